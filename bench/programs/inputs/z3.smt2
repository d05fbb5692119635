; The workload of z3.sh: problems that end in (reset), of which the script takes the first ones
; or goes through all of them several times. Every answer is decided by the problem and not by the
; search: sat, unsat, and values that are the only ones.

; Bit-vectors: multiplication is shifting and adding.
(declare-const x (_ BitVec 8))
(declare-const y (_ BitVec 8))
(define-fun term ((i (_ BitVec 8))) (_ BitVec 8)
  (ite (= ((_ extract 0 0) (bvlshr y i)) #b1) (bvshl x i) #x00))
(assert (not (= (bvmul x y) (bvadd (term #x00) (term #x01) (term #x02) (term #x03)
                                   (term #x04) (term #x05) (term #x06) (term #x07)))))
(check-sat)
(reset)

; Arrays: writing to different places in another order gives the same memory.
(define-sort Address () (_ BitVec 16))
(declare-const m (Array Address (_ BitVec 8)))
(declare-const a Address)
(declare-const b Address)
(declare-const c Address)
(declare-const d Address)
(declare-const e Address)
(declare-const f Address)
(assert (distinct a b c d e f))
(assert (not (= (store (store (store (store (store (store m a #x00) b #x01) c #x02) d #x03) e #x04) f #x05)
                (store (store (store (store (store (store m f #x05) d #x03) b #x01) e #x04) a #x00) c #x02))))
(check-sat)
(reset)

; Quantifiers: in a group, the left inverse is a right inverse. (push) selects the incremental
; solver, which proves this in a moment; with the others, it is the slower one.
(push)
(declare-sort G)
(declare-const e G)
(declare-const g G)
(declare-fun op (G G) G)
(declare-fun inv (G) G)
(assert (forall ((r G) (s G) (t G)) (= (op (op r s) t) (op r (op s t)))))
(assert (forall ((r G)) (= (op e r) r)))
(assert (forall ((r G)) (= (op (inv r) r) e)))
(assert (not (= (op g (inv g)) e)))
(check-sat)
(reset)

; Quantifiers over integers: a function that grows does not fall.
(declare-fun f (Int) Int)
(assert (forall ((s Int) (t Int)) (! (=> (< s t) (< (f s) (f t))) :pattern ((f s) (f t)))))
(assert (and (< (f 0) (f 1)) (< (f 1) (f 2)) (< (f 2) (f 3)) (< (f 3) (f 4))))
(assert (> (f 4) (f 40)))
(check-sat)
(reset)

; Bit-vectors: division with a large circuit.
(declare-const x (_ BitVec 64))
(declare-const y (_ BitVec 64))
(declare-const z (_ BitVec 64))
(assert (= (bvurem x y) (_ bv12345 64)))
(assert (= (bvudiv x y) (_ bv987654321 64)))
(assert (bvult (_ bv20000 64) y))
(assert (= (bvurem y #x0000000000001000) (_ bv77 64)))
(assert (= (bvurem z x) (_ bv5 64)))
(assert (bvugt z x))
(check-sat)
(reset)

; Integers: seven pigeons do not fit into six holes.
(declare-fun hole (Int) Int)
(assert (and (<= 1 (hole 1) 6) (<= 1 (hole 2) 6) (<= 1 (hole 3) 6) (<= 1 (hole 4) 6)
             (<= 1 (hole 5) 6) (<= 1 (hole 6) 6) (<= 1 (hole 7) 6)))
(assert (distinct (hole 1) (hole 2) (hole 3) (hole 4) (hole 5) (hole 6) (hole 7)))
(check-sat)
(reset)

; Bit-vectors: quotient and remainder give the number back.
(declare-const x (_ BitVec 10))
(declare-const y (_ BitVec 10))
(assert (not (= y (_ bv0 10))))
(assert (not (= x (bvadd (bvmul (bvudiv x y) y) (bvurem x y)))))
(check-sat)
(reset)

; Bit-vectors: the two factors of a number.
(declare-const p (_ BitVec 40))
(declare-const q (_ BitVec 40))
(assert (= (bvmul p q) (bvmul (_ bv40009 40) (_ bv50021 40))))
(assert (bvult (_ bv1 40) p))
(assert (bvult p q))
(assert (bvult q (_ bv65536 40)))
(check-sat)
(get-value (p q))
(reset)
