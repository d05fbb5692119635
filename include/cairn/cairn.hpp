// cairn.hpp - pools for C++17: an owner, a memory resource, a standard allocator, a scope for stacks.
//
//     cairn::pool pool;                                              a pool, destroyed with the variable
//     cairn::pool_resource resource(pool);
//     std::pmr::vector<std::pmr::string> lines(&resource);           everything in the pool
//
//     using names = std::map<int, int, std::less<>, cairn::allocator<std::pair<const int, int>>>;
//     names by_number(pool);                                         the same with the allocator in the type
//
// Nothing here adds to what <cairn/pool.h> promises: the pool's class decides what is fast and what is possible, and
// any thread may use a resource or allocator.  A pool that has no more memory ends in std::bad_alloc; in a build
// without exceptions the process is aborted, as nobody could be told.
// Destroying or resetting a pool frees the memory of every container in it at once, without their destructors; a
// container must not be used, not even destroyed, afterwards.
// CAIRN_FIXED serves node containers (list, map, set) whose nodes fit its block size; vector and string grow beyond
// it and get std::bad_alloc.  CAIRN_STACK serves what dies in the order in which it came.
// MIT licence.
#ifndef CAIRN_CAIRN_HPP
#define CAIRN_CAIRN_HPP

#include "cairn/pool.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

namespace cairn {

namespace detail {

[[noreturn]] inline void exhausted()
{
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

[[noreturn]] inline void too_long()
{
#if defined(__cpp_exceptions)
    throw std::bad_array_new_length();
#else
    std::abort();
#endif
}

// Blocks of a slab pool are aligned to this without being asked.
constexpr std::size_t slab_alignment = 16;

inline bool is_plain(cairn_pool *pool, std::size_t alignment) noexcept
{
    return alignment <= slab_alignment && cairn_pool_class_of(pool) == CAIRN_SLAB;
}

inline void *take(cairn_pool *pool, std::size_t size, std::size_t alignment)
{
    void *block = is_plain(pool, alignment) ? cairn_pool_malloc(pool, size)
                                            : cairn_pool_aligned_alloc(pool, alignment, size);
    if (block == nullptr)
        exhausted();
    return block;
}

inline void give(cairn_pool *pool, void *block, std::size_t size, std::size_t alignment) noexcept
{
    // An aligned block of a slab pool may be much larger than its size says, so that is not checked.
    if (cairn_pool_class_of(pool) == CAIRN_SLAB && !is_plain(pool, alignment))
        cairn_pool_free(pool, block);
    else
        cairn_pool_free_sized(pool, block, size);
}

} // namespace detail

// Owns a pool: made with it, destroyed with it.  Moves, does not copy.  Converts to cairn_pool *.
class pool {
  public:
    // A pool with the defaults.  Throws std::bad_alloc.
    pool() : pool(nullptr) {}

    // A pool as configured; struct_size is set here.  Throws std::bad_alloc, also for a config that is wrong: the
    // words are in cairn_errormsg().
    explicit pool(cairn_pool_config config) : handle_(nullptr)
    {
        config.struct_size = sizeof config;
        handle_ = cairn_pool_create(&config);
        if (handle_ == nullptr)
            detail::exhausted();
    }

    pool(pool &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    pool &operator=(pool &&other) noexcept
    {
        if (this != &other)
            cairn_pool_destroy(std::exchange(handle_, std::exchange(other.handle_, nullptr)));
        return *this;
    }
    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;
    ~pool() { cairn_pool_destroy(handle_); }

    cairn_pool *get() const noexcept { return handle_; }
    operator cairn_pool *() const noexcept { return handle_; }

  private:
    explicit pool(std::nullptr_t) : handle_(cairn_pool_create(nullptr))
    {
        if (handle_ == nullptr)
            detail::exhausted();
    }

    cairn_pool *handle_;
};

// A std::pmr::memory_resource on a pool, which must outlive it.  Two are equal if they have the same pool.
class pool_resource : public std::pmr::memory_resource {
  public:
    explicit pool_resource(cairn_pool *pool) noexcept : pool_(pool) {}

    cairn_pool *get() const noexcept { return pool_; }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        return detail::take(pool_, bytes, alignment);
    }

    void do_deallocate(void *block, std::size_t bytes, std::size_t alignment) override
    {
        detail::give(pool_, block, bytes, alignment);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        if (this == &other)
            return true;
#if defined(__cpp_rtti)
        const auto *same = dynamic_cast<const pool_resource *>(&other);
        return same != nullptr && same->pool_ == pool_;
#else
        return false;
#endif
    }

    cairn_pool *pool_;
};

// A standard allocator on a pool, which must outlive every container that uses it.
// Copies of a container stay in its pool; moving and swapping take the pool along, assigning a copy does not.
template <class T>
class allocator {
  public:
    using value_type = T;
    using is_always_equal = std::false_type;
    using propagate_on_container_copy_assignment = std::false_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;

    allocator(cairn_pool *pool) noexcept : pool_(pool) {} // not explicit: a container is made with a pool

    template <class U>
    allocator(const allocator<U> &other) noexcept : pool_(other.get())
    {
    }

    T *allocate(std::size_t count)
    {
        if (count > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T))
            detail::too_long();
        return static_cast<T *>(detail::take(pool_, count * sizeof(T), alignof(T)));
    }

    void deallocate(T *block, std::size_t count) noexcept
    {
        detail::give(pool_, block, count * sizeof(T), alignof(T));
    }

    cairn_pool *get() const noexcept { return pool_; }

    template <class U>
    bool operator==(const allocator<U> &other) const noexcept
    {
        return pool_ == other.get();
    }
    template <class U>
    bool operator!=(const allocator<U> &other) const noexcept
    {
        return pool_ != other.get();
    }

  private:
    cairn_pool *pool_;
};

// Marks a CAIRN_STACK pool and releases it at the end of the scope: what was allocated in between is gone.
class scope {
  public:
    explicit scope(cairn_pool *pool) noexcept : pool_(pool), mark_(cairn_pool_mark(pool)) {}
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;
    ~scope() { cairn_pool_release(pool_, mark_); }

  private:
    cairn_pool *pool_;
    cairn_mark mark_;
};

} // namespace cairn
#endif
