/* test_offset_ptr.cpp - cairn::offset_ptr and the allocator on it: standard containers in a pool in a file, reopened, and
 * those that can move opened where another address was the only one free. */
#include <cairn/offset_ptr.h>

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <cstdarg>
#include <cstring>
#include <list>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

#include "check.h"

#if __has_include(<boost/container/map.hpp>)
#include <boost/container/list.hpp>
#include <boost/container/map.hpp>
#define HAVE_BOOST 1
#endif

using cairn::offset_ptr;
using cairn::pool_allocator;

template <class T>
using vector = std::vector<T, pool_allocator<T>>;
template <class T>
using list = std::list<T, pool_allocator<T>>;
template <class K, class V>
using map = std::map<K, V, std::less<K>, pool_allocator<std::pair<const K, V>>>;

static char path[128];

static cairn_pool *make_pool(unsigned flags)
{
    cairn_file_config config = {};
    config.struct_size = sizeof config;
    config.flags = flags;
    config.size = 16 * MIB;
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != nullptr, "%s", cairn_errormsg());
    return pool;
}

static cairn_pool *open_pool()
{
    cairn_pool *pool = cairn_pool_open(path, nullptr);
    CHECKF(pool != nullptr, "%s", cairn_errormsg());
    return pool;
}

static void close_pool(cairn_pool *pool)
{
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    CHECKF(cairn_pool_close(pool) == 0, "%s", cairn_errormsg());
}

static int tidy(void **)
{
    return unlink(path);
}

/* Takes the place where the pool was made. */
struct taken {
    void *at;
    static constexpr size_t size = MIB;
    taken()
    {
        cairn_file_info info = {};
        info.struct_size = sizeof info;
        CHECK(cairn_pool_file_info(path, &info) == 0);
        at = mmap(reinterpret_cast<void *>(info.address), size, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(at == reinterpret_cast<void *>(info.address));
    }
    ~taken() { munmap(at, size); }
};

static void test_pointer(void **)
{
    int numbers[10];
    std::iota(numbers, numbers + 10, 0);
    offset_ptr<int> p = numbers, q = p + 9, null;
    CHECK(sizeof p == 8 && p && !null && null == nullptr && nullptr != p);
    CHECK(*p == 0 && p[3] == 3 && *(q - 4) == 5 && q - p == 9 && p < q && q >= p && *(2 + p) == 2);
    CHECK(p++ == numbers && *p == 1 && *--p == 0 && (p += 5) == numbers + 5 && *(p -= 1) == 4);
    offset_ptr<const int> c = p;
    offset_ptr<const void> v = c;
    CHECK(c.get() == numbers + 4 && v.get() == numbers + 4);
    CHECK(offset_ptr<const int>(v) == c);
    CHECK(std::pointer_traits<offset_ptr<int>>::pointer_to(numbers[2]) == numbers + 2);
    /* a copy of the bytes means the same distance, a copy of the pointer the same target */
    struct pair {
        offset_ptr<int> pointer;
        int target;
    } one, two;
    one.pointer = &one.target;
    memcpy(static_cast<void *>(&two), &one, sizeof one);
    CHECK(two.pointer == &two.target);
    two.pointer = one.pointer;
    CHECK(two.pointer == &one.target);
    /* to itself, which is not null */
    offset_ptr<offset_ptr<void>> self;
    self = reinterpret_cast<offset_ptr<void> *>(&self);
    CHECK(self && self.get() == reinterpret_cast<void *>(&self));
    std::sort(offset_ptr<int>(numbers), offset_ptr<int>(numbers + 10), [](int a, int b) { return a > b; });
    CHECK(numbers[0] == 9 && numbers[9] == 0);
    /* the same form as in C */
    cairn_ptr in_c;
    static_assert(sizeof in_c == sizeof p, "");
    cairn_ptr_set(&in_c, numbers);
    offset_ptr<int> *in_cpp = static_cast<offset_ptr<int> *>(check_opaque(&in_c));
    CHECK(in_cpp->get() == numbers);
}

static void test_vector_moves(void **)
{
    cairn_pool *pool = make_pool(CAIRN_FILE_RELOCATABLE);
    using rows = vector<vector<int>>;
    auto *table = cairn::make<rows>(pool);
    CHECK(cairn_pool_set_root(pool, table) == 0);
    for (int i = 0; i < 300; i++) {
        table->emplace_back(table->get_allocator());
        for (int k = 0; k < i; k++)
            table->back().push_back(i * k);
    }
    close_pool(pool);
    taken place;
    pool = open_pool();
    CHECK(cairn_pool_root(pool) != nullptr && cairn_pool_root(pool) != table);
    table = static_cast<rows *>(cairn_pool_root(pool));
    CHECK(table->size() == 300);
    for (int i = 0; i < 300; i++) {
        auto &row = (*table)[static_cast<size_t>(i)];
        CHECK(row.size() == static_cast<size_t>(i));
        for (int k = 0; k < i; k++)
            CHECK(row[static_cast<size_t>(k)] == i * k);
        row.push_back(-1); /* goes on growing from where it is now */
    }
    cairn::unmake(pool, table);
    CHECK(cairn_pool_set_root(pool, nullptr) == 0);
    cairn_stats stats = {};
    stats.struct_size = sizeof stats;
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    CHECK_EQ(stats.live_blocks, 0);
    close_pool(pool);
}

static void test_others_refuse(void **)
{
    cairn_pool *pool = make_pool(0);
    CHECK(cairn_pool_malloc(pool, 10) != nullptr);
    close_pool(pool);
    taken place;
    errno = 0;
    CHECK(cairn_pool_open(path, nullptr) == nullptr && errno == ENOMEM);
    CHECKF(strstr(cairn_errormsg(), "taken") != nullptr, "%s", cairn_errormsg());
}

struct everything {
    map<int, int> squares;
    list<int> order;
    explicit everything(const pool_allocator<char> &allocator)
        : squares(std::less<int>(), allocator), order(allocator)
    {
    }
    using allocator_type = pool_allocator<char>;
};

/* std::map and std::list link their nodes with plain pointers: reopened where they were made. */
static void test_map_and_list(void **)
{
    cairn_pool *pool = make_pool(0);
    auto *all = cairn::make<everything>(pool);
    CHECK(cairn_pool_set_root(pool, all) == 0);
    for (int i = 0; i < 5000; i++) {
        all->squares[i * 7919 % 5000] = i;
        all->order.push_front(i);
    }
    for (int round = 0; round < 3; round++) {
        close_pool(pool);
        pool = open_pool();
        CHECK(cairn_pool_root(pool) == all);
        CHECK(all->squares.size() == 5000 && all->order.size() == 5000);
        int expected = 0;
        for (const auto &entry : all->squares)
            CHECK(entry.first == expected++ && entry.second * 7919 % 5000 == entry.first);
        all->order.reverse();
        CHECK(all->order.front() == (round % 2 == 0 ? 0 : 4999));
        for (int i = 0; i < 100; i++) { /* it can be changed */
            all->squares.erase(i);
            all->squares[i] = -1;
        }
        for (int i = 0; i < 100; i++)
            for (int k = 0; k < 5000; k++)
                if (k * 7919 % 5000 == i)
                    all->squares[i] = k;
    }
    cairn::unmake(pool, all);
    close_pool(pool);
}

#ifdef HAVE_BOOST
static void test_boost_moves(void **)
{
    namespace container = boost::container;
    using numbers = container::map<int, int, std::less<int>, pool_allocator<std::pair<const int, int>>>;
    using chain = container::list<int, pool_allocator<int>>;
    cairn_pool *pool = make_pool(CAIRN_FILE_RELOCATABLE);
    auto *squares = cairn::make<numbers>(pool, std::less<int>());
    auto *order = cairn::make<chain>(pool);
    CHECK(cairn_pool_set_root(pool, squares) == 0 && cairn_pool_set_named_root(pool, "order", order) == 0);
    for (int i = 0; i < 3000; i++) {
        (*squares)[i] = i * i;
        order->push_front(i);
    }
    close_pool(pool);
    taken place;
    pool = open_pool();
    squares = static_cast<numbers *>(cairn_pool_root(pool));
    order = static_cast<chain *>(cairn_pool_named_root(pool, "order"));
    CHECK(squares->size() == 3000 && order->size() == 3000);
    int expected = 3000;
    for (int value : *order)
        CHECK(value == --expected);
    for (int i = 0; i < 3000; i++)
        CHECK(squares->at(i) == i * i);
    squares->erase(7);
    cairn::unmake(pool, squares);
    cairn::unmake(pool, order);
    close_pool(pool);
}
#endif

static void test_full(void **)
{
    cairn_pool *pool = make_pool(0);
    auto *numbers = cairn::make<vector<int>>(pool);
    bool thrown = false;
    try {
        numbers->resize(100 * MIB);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown && numbers->empty());
    close_pool(pool);
}

int main()
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/offset_ptr.%d",
                   base != nullptr && strlen(base) < 80 ? base : "/tmp", static_cast<int>(getpid()));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointer),
        cmocka_unit_test_teardown(test_vector_moves, tidy),
        cmocka_unit_test_teardown(test_others_refuse, tidy),
        cmocka_unit_test_teardown(test_map_and_list, tidy),
#ifdef HAVE_BOOST
        cmocka_unit_test_teardown(test_boost_moves, tidy),
#endif
        cmocka_unit_test_teardown(test_full, tidy),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
