/* offset_ptr.h - for C++: pointers and an allocator for standard containers that live in a pool in a file.
 *
 *     using string = std::basic_string<char, std::char_traits<char>, cairn::pool_allocator<char>>;
 *     using words = std::vector<string, cairn::pool_allocator<string>>;
 *
 *     cairn_pool *pool = cairn_pool_open("words.pool", nullptr);
 *     auto *list = static_cast<words *>(cairn_pool_root(pool));
 *     if (list == nullptr)
 *         cairn_pool_set_root(pool, list = cairn::make<words>(pool));
 *     list->emplace_back("stone", list->get_allocator());
 *
 * cairn::offset_ptr<T> holds the distance from itself to what it points to: 8 bytes, the form of cairn_ptr
 * (<cairn/persist.h>).  It stays right when both move together, so it means the same wherever the pool is mapped.  It
 * converts from and to T *, and is a random access iterator and a "fancy pointer" as std::allocator_traits wants it.
 *
 * What a container keeps as the allocator's pointer moves with the pool; what it keeps as plain pointers does not:
 *   opens anywhere        std::vector, std::deque's blocks and std::string out of line (libstdc++ keeps plain pointers in
 *                         deque's iterators and in short strings: these two only where the pool was made);
 *                         the containers of Boost.Container, all of them
 *   only where the pool   std::map, std::set, std::list, std::unordered_map of libstdc++ and libc++ (their nodes are
 *   was made              linked by plain pointers): not in a pool made with CAIRN_FILE_RELOCATABLE
 *
 * A container in a pool is as crash-safe as the program makes it: std::map does not know that it may be killed between
 * two stores.  Change it between checkpoints, or build it aside and publish it by one store of a root.
 * In C this header is empty.  Compiles as C++17.  MIT licence. */
#ifndef CAIRN_OFFSET_PTR_H
#define CAIRN_OFFSET_PTR_H

#include "cairn/persist.h"

#ifdef __cplusplus

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace cairn {

template <class T>
class offset_ptr {
    std::int64_t delta = 0; /* as in cairn_ptr */

    void set(const volatile void *target) noexcept
    {
        auto distance = reinterpret_cast<std::uintptr_t>(target) - reinterpret_cast<std::uintptr_t>(this);
        delta =
            target != nullptr ? static_cast<std::int64_t>(static_cast<std::uint64_t>(distance) * 2u + 1u) : 0;
    }

  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = offset_ptr;
    using reference = std::add_lvalue_reference_t<T>;
    using iterator_category = std::random_access_iterator_tag;
    template <class U>
    using rebind = offset_ptr<U>;

    offset_ptr() noexcept = default;
    offset_ptr(std::nullptr_t) noexcept {}
    offset_ptr(T *target) noexcept { set(target); }
    offset_ptr(const offset_ptr &other) noexcept { set(other.get()); }
    template <class U, std::enable_if_t<std::is_convertible<U *, T *>::value, int> = 0>
    offset_ptr(const offset_ptr<U> &other) noexcept
    {
        set(static_cast<T *>(other.get()));
    }
    template <class U, std::enable_if_t<!std::is_convertible<U *, T *>::value, int> = 0,
              class = decltype(static_cast<T *>(std::declval<U *>()))>
    explicit offset_ptr(const offset_ptr<U> &other) noexcept
    {
        set(static_cast<T *>(other.get()));
    }
    ~offset_ptr() = default;

    offset_ptr &operator=(const offset_ptr &other) noexcept
    {
        set(other.get());
        return *this;
    }
    template <class U, std::enable_if_t<std::is_convertible<U *, T *>::value, int> = 0>
    offset_ptr &operator=(const offset_ptr<U> &other) noexcept
    {
        set(static_cast<T *>(other.get()));
        return *this;
    }
    offset_ptr &operator=(T *target) noexcept
    {
        set(target);
        return *this;
    }
    offset_ptr &operator=(std::nullptr_t) noexcept
    {
        delta = 0;
        return *this;
    }

    T *get() const noexcept
    {
        return delta == 0 ? nullptr
                          : reinterpret_cast<T *>(reinterpret_cast<std::uintptr_t>(this) +
                                                  static_cast<std::uintptr_t>(delta >> 1));
    }
    operator T *() const noexcept
    {
        return get();
    } /* comparisons are those of plain pointers, through this */
    explicit operator bool() const noexcept { return delta != 0; }

    reference operator*() const noexcept { return *get(); }
    T *operator->() const noexcept { return get(); }
    reference operator[](difference_type i) const noexcept { return get()[i]; }

    /* std::pointer_traits; not for void. */
    template <class U = T, std::enable_if_t<!std::is_void<U>::value, int> = 0>
    static offset_ptr pointer_to(U &target) noexcept
    {
        return offset_ptr(std::addressof(target));
    }

    offset_ptr &operator++() noexcept { return *this = get() + 1; }
    offset_ptr &operator--() noexcept { return *this = get() - 1; }
    offset_ptr operator++(int) noexcept
    {
        offset_ptr old = *this;
        ++*this;
        return old;
    }
    offset_ptr operator--(int) noexcept
    {
        offset_ptr old = *this;
        --*this;
        return old;
    }
    offset_ptr &operator+=(difference_type n) noexcept { return *this = get() + n; }
    offset_ptr &operator-=(difference_type n) noexcept { return *this = get() - n; }
    friend offset_ptr operator+(const offset_ptr &p, difference_type n) noexcept { return p.get() + n; }
    friend offset_ptr operator+(difference_type n, const offset_ptr &p) noexcept { return p.get() + n; }
    friend offset_ptr operator-(const offset_ptr &p, difference_type n) noexcept { return p.get() - n; }
    friend difference_type operator-(const offset_ptr &p, const offset_ptr &q) noexcept
    {
        return p.get() - q.get();
    }
};

/* Allocates from the pool that a certain block of it lies in: the anchor, usually the container itself.  The anchor must
 * live as long as the allocator is used.  May lie in the pool, where it stays right, or anywhere else. */
template <class T>
class pool_allocator {
    template <class U>
    friend class pool_allocator;
    offset_ptr<const void> anchor;

  public:
    using value_type = T;
    using pointer = offset_ptr<T>;
    using const_pointer = offset_ptr<const T>;
    using void_pointer = offset_ptr<void>;
    using const_void_pointer = offset_ptr<const void>;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    explicit pool_allocator(const void *block_of_pool) noexcept : anchor(block_of_pool) {}
    template <class U>
    pool_allocator(const pool_allocator<U> &other) noexcept : anchor(other.anchor)
    {
    }
    pool_allocator(const pool_allocator &) noexcept = default;
    pool_allocator &operator=(const pool_allocator &) noexcept = default;
    ~pool_allocator() = default;

    cairn_pool *pool() const noexcept { return cairn_pool_of(anchor.get()); }

    pointer allocate(size_type count)
    {
        cairn_pool *from = pool();
        if (from == nullptr || count > std::numeric_limits<size_type>::max() / 2 / sizeof(T))
            throw std::bad_alloc();
        void *block = alignof(T) > 16 ? cairn_pool_aligned_alloc(from, alignof(T), count * sizeof(T))
                                      : cairn_pool_malloc(from, count * sizeof(T));
        if (block == nullptr)
            throw std::bad_alloc();
        return static_cast<T *>(block);
    }

    void deallocate(pointer block, size_type) noexcept
    {
        cairn_pool_free(pool(), const_cast<std::remove_cv_t<T> *>(block.get()));
    }

    template <class U>
    friend bool operator==(const pool_allocator &a, const pool_allocator<U> &b) noexcept
    {
        return a.pool() == b.pool();
    }
    template <class U>
    friend bool operator!=(const pool_allocator &a, const pool_allocator<U> &b) noexcept
    {
        return a.pool() != b.pool();
    }
};

/* A container in a block of its own in the pool; its allocator, given as the last argument of the constructor, is anchored
 * there.  Throws std::bad_alloc. */
template <class Container, class... Arguments>
Container *make(cairn_pool *pool, Arguments &&...arguments)
{
    void *block = alignof(Container) > 16
                      ? cairn_pool_aligned_alloc(pool, alignof(Container), sizeof(Container))
                      : cairn_pool_malloc(pool, sizeof(Container));
    if (block == nullptr)
        throw std::bad_alloc();
    try {
        return new (block)
            Container(std::forward<Arguments>(arguments)..., typename Container::allocator_type(block));
    } catch (...) {
        cairn_pool_free(pool, block);
        throw;
    }
}

/* The way back: destroys it and frees its block. */
template <class Container>
void unmake(cairn_pool *pool, Container *container) noexcept
{
    if (container == nullptr)
        return;
    container->~Container();
    cairn_pool_free(pool, container);
}

} // namespace cairn

#endif
#endif
