/* operators.c - C++'s operator new and delete, all 20 that a program may replace, written in C.
 *
 * The names are asm labels, and libstdc++ (or libc++) is found through weak references at run time: a C
 * program that preloads or links this library gets no C++ runtime from it.  On failure operator new
 * calls the installed new-handler until memory is there or there is no handler, then throws
 * std::bad_alloc.  The nothrow forms return NULL instead, also when a handler throws: C cannot catch that, so
 * when a handler is installed they leave it to the runtime's own nothrow forms, which call the throwing forms
 * (ours) inside a try block.  This file is compiled with -fexceptions, so that a handler may throw through it. */
#include "cairn/cairn.h"
#include "front/process.h"
#include "os/os.h"
#include "os/report.h"

typedef void new_handler(void);

/* std::get_new_handler() and std::__throw_bad_alloc(), where the program has a C++ runtime. */
extern new_handler *cxx_get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void cxx_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

/* A runtime that was loaded after this library is not bound to the weak references. */
static new_handler *installed_handler(void)
{
    if (cxx_get_new_handler != NULL)
        return cxx_get_new_handler();
    new_handler *(*late)(void) = (new_handler * (*)(void)) os_symbol("_ZSt15get_new_handlerv");
    return late != NULL ? late() : NULL;
}

_Noreturn static void throw_bad_alloc(void)
{
    void (*thrower)(void) = cxx_throw_bad_alloc;
    if (thrower == NULL)
        thrower = (void (*)(void))os_symbol("_ZSt17__throw_bad_allocv");
    if (thrower != NULL)
        thrower();
    report_fatal("operator new", NULL, "out of memory, and no C++ runtime to throw std::bad_alloc:");
}

/* Where the fast path found nothing. */
static void *allocate(size_t align, size_t size, const void *caller)
{
    return align != 0 ? process_aligned_alloc(align, size, caller) : process_alloc_slow(size, false, caller);
}

COLD static void *new_slow(size_t align, size_t size, const void *caller)
{
    for (;;) {
        void *block = allocate(align, size, caller);
        if (block != NULL)
            return block;
        new_handler *handler = installed_handler();
        if (handler == NULL)
            throw_bad_alloc();
        handler();
    }
}

typedef void *nothrow_new(size_t size, const void *nothrow);
typedef void *nothrow_new_aligned(size_t size, size_t align, const void *nothrow);

COLD static void *new_slow_nothrow(size_t align, size_t size, const void *nothrow, const void *caller)
{
    void *block = allocate(align, size, caller);
    if (block != NULL || installed_handler() == NULL)
        return block;
    if (align != 0) {
        nothrow_new_aligned *runtime =
            (nothrow_new_aligned *)os_next_symbol("_ZnwmSt11align_val_tRKSt9nothrow_t");
        return runtime != NULL ? runtime(size, align, nothrow) : NULL;
    }
    nothrow_new *runtime = (nothrow_new *)os_next_symbol("_ZnwmRKSt9nothrow_t");
    return runtime != NULL ? runtime(size, nothrow) : NULL;
}

ALWAYS_INLINE void *new_plain(size_t size)
{
    void *block = process_alloc_fast(size);
    return LIKELY(block != NULL) ? block : new_slow(0, size, CALLER);
}

ALWAYS_INLINE void *new_plain_nothrow(size_t size, const void *nothrow)
{
    void *block = process_alloc_fast(size);
    return LIKELY(block != NULL) ? block : new_slow_nothrow(0, size, nothrow, CALLER);
}

#define OPERATOR(type, name, symbol, ...)                                                                    \
    CAIRN_API type name(__VA_ARGS__) __asm__(symbol);                                                        \
    type name(__VA_ARGS__)

/* The tag std::nothrow_t is passed by reference and not looked at. */
#define NOTHROW const void *nothrow

/* ---- new ----------------------------------------------------------------------------------------- */

OPERATOR(void *, op_new, "_Znwm", size_t size)
{
    return new_plain(size);
}

OPERATOR(void *, op_new_array, "_Znam", size_t size)
{
    return new_plain(size);
}

OPERATOR(void *, op_new_nothrow, "_ZnwmRKSt9nothrow_t", size_t size, NOTHROW)
{
    return new_plain_nothrow(size, nothrow);
}

OPERATOR(void *, op_new_array_nothrow, "_ZnamRKSt9nothrow_t", size_t size, NOTHROW)
{
    return new_plain_nothrow(size, nothrow);
}

OPERATOR(void *, op_new_aligned, "_ZnwmSt11align_val_t", size_t size, size_t align)
{
    return new_slow(align, size, CALLER);
}

OPERATOR(void *, op_new_array_aligned, "_ZnamSt11align_val_t", size_t size, size_t align)
{
    return new_slow(align, size, CALLER);
}

OPERATOR(void *, op_new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", size_t size, size_t align,
         NOTHROW)
{
    return new_slow_nothrow(align, size, nothrow, CALLER);
}

OPERATOR(void *, op_new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", size_t size,
         size_t align, NOTHROW)
{
    return new_slow_nothrow(align, size, nothrow, CALLER);
}

/* ---- delete -------------------------------------------------------------------------------------- */

#define DELETE_CALL "operator delete"

OPERATOR(void, op_delete, "_ZdlPv", void *block)
{
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_array, "_ZdaPv", void *block)
{
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_nothrow, "_ZdlPvRKSt9nothrow_t", void *block, NOTHROW)
{
    (void)nothrow;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", void *block, NOTHROW)
{
    (void)nothrow;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_sized, "_ZdlPvm", void *block, size_t size)
{
    process_free_sized(DELETE_CALL, block, 0, size);
}

OPERATOR(void, op_delete_array_sized, "_ZdaPvm", void *block, size_t size)
{
    process_free_sized(DELETE_CALL, block, 0, size);
}

OPERATOR(void, op_delete_aligned, "_ZdlPvSt11align_val_t", void *block, size_t align)
{
    (void)align;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_array_aligned, "_ZdaPvSt11align_val_t", void *block, size_t align)
{
    (void)align;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t", void *block, size_t align,
         NOTHROW)
{
    (void)align;
    (void)nothrow;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t", void *block,
         size_t align, NOTHROW)
{
    (void)align;
    (void)nothrow;
    process_free(DELETE_CALL, block);
}

OPERATOR(void, op_delete_sized_aligned, "_ZdlPvmSt11align_val_t", void *block, size_t size, size_t align)
{
    process_free_sized(DELETE_CALL, block, align, size);
}

OPERATOR(void, op_delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", void *block, size_t size,
         size_t align)
{
    process_free_sized(DELETE_CALL, block, align, size);
}
