// test_cpp.cpp - <cairn/cairn.hpp>: standard containers in pools, and what happens when a pool is full.
#include "api.h"

#include <cairn/cairn.hpp>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

cairn_stats stats_of(cairn_pool *pool)
{
    cairn_stats s = {};
    s.struct_size = sizeof s;
    CHECK(cairn_pool_stats(pool, &s) == 0);
    CHECK(s.live + s.cached + s.free + s.metadata == s.committed);
    return s;
}

cairn_pool_config config_of(cairn_pool_class pool_class, size_t limit = 0)
{
    cairn_pool_config config = {};
    config.pool_class = pool_class;
    config.limit = limit;
    if (pool_class == CAIRN_FIXED)
        config.block_size = 128;
    return config;
}

/* Fills containers of all sorts through the polymorphic allocator and reads them back. */
void fill_polymorphic(std::pmr::memory_resource *resource, cairn_pool *pool)
{
    uint64_t before = stats_of(pool).live_blocks;
    {
        std::pmr::vector<std::pmr::string> lines(resource);
        std::pmr::map<int, std::pmr::string> numbers(resource);
        std::pmr::unordered_map<std::pmr::string, int> words(resource);
        std::pmr::list<int> list(resource);
        for (int i = 0; i < 2000; i++) {
            lines.emplace_back("a line that is too long to lie within the string, number " +
                               std::to_string(i));
            numbers.emplace(i * 7919 % 2000,
                            "the text of a number that does not lie within: " + std::to_string(i));
            words[std::pmr::string("a word of some length, ", resource) + std::to_string(i % 500).c_str()]++;
            list.push_front(i);
        }
        CHECK(cairn_pool_of(lines.data()) == pool && cairn_pool_of(lines[77].data()) == pool);
        CHECK(cairn_pool_of(&*numbers.begin()) == pool && cairn_pool_of(&list.front()) == pool);
        CHECK(lines[1999].substr(lines[1999].size() - 4) == "1999" && numbers.size() == 2000);
        CHECK(numbers.begin()->first == 0 && words.size() == 500 && words.begin()->second == 4);
        CHECK(list.front() == 1999 && list.back() == 0);
        list.remove_if([](int x) { return x % 2 == 0; });
        lines.erase(lines.begin() + 100, lines.begin() + 1900);
        CHECK(list.size() == 1000 && lines.size() == 200);
        CHECK(stats_of(pool).live_blocks > before + 4000);
    }
    CHECK_EQ(stats_of(pool).live_blocks, before);
}

void polymorphic_containers(void **state)
{
    (void)state;
    for (cairn_pool_class pool_class : {CAIRN_SLAB, CAIRN_FIT, CAIRN_STACK}) {
        cairn::pool pool(config_of(pool_class));
        cairn::pool_resource resource(pool);
        CHECK(cairn_pool_class_of(pool) == pool_class && resource.get() == pool.get());
        fill_polymorphic(&resource, pool);
        CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    }
}

/* A fit pool without records of its blocks: sizes come from the containers. */
void a_pool_that_knows_no_sizes(void **state)
{
    (void)state;
    cairn_pool_config config = config_of(CAIRN_FIT);
    config.flags = CAIRN_POOL_SIZED;
    cairn::pool pool(config);
    cairn::pool_resource resource(pool);
    std::pmr::map<int, std::pmr::string> numbers(&resource);
    for (int i = 0; i < 1000; i++)
        numbers.emplace(i, "a text that is too long to lie within the string " + std::to_string(i));
    for (int i = 0; i < 1000; i += 2)
        numbers.erase(i);
    CHECK(numbers.size() == 500 && numbers.begin()->first == 1);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

template <class T>
using in_pool = cairn::allocator<T>;

void allocator_in_the_type(void **state)
{
    (void)state;
    using text = std::basic_string<char, std::char_traits<char>, in_pool<char>>;
    cairn::pool pool;
    {
        std::vector<int, in_pool<int>> numbers(pool.get());
        std::map<int, text, std::less<>, in_pool<std::pair<const int, text>>> texts(pool.get());
        std::unordered_map<int, double, std::hash<int>, std::equal_to<>,
                           in_pool<std::pair<const int, double>>>
            halves(pool.get());
        std::set<long, std::less<>, in_pool<long>> set(pool.get());
        std::list<text, in_pool<text>> list(pool.get());
        for (int i = 0; i < 3000; i++) {
            numbers.push_back(i);
            texts.emplace(i, text("some text that is longer than fifteen bytes", pool.get()));
            halves[i] = i / 2.0;
            set.insert(-i);
            list.emplace_back(200, 'x', pool.get());
        }
        CHECK(numbers[2999] == 2999 && texts.at(1234).size() == 43 && halves.at(7) == 3.5 &&
              *set.begin() == -2999);
        CHECK(cairn_pool_of(numbers.data()) == pool.get() &&
              cairn_pool_of(list.front().data()) == pool.get());
        auto shared = std::allocate_shared<text>(in_pool<text>(pool), "shared, with its counts in the pool",
                                                 pool.get());
        CHECK(cairn_pool_of(shared.get()) == pool.get());
    }
    CHECK_EQ(stats_of(pool).live_blocks, 0);
}

void copies_moves_and_swaps(void **state)
{
    (void)state;
    using numbers = std::vector<int, in_pool<int>>;
    cairn::pool one, two;
    numbers a({1, 2, 3}, one.get()), b({4, 5}, two.get());
    CHECK(a.get_allocator() != b.get_allocator());
    CHECK(in_pool<char>(one.get()) == in_pool<long>(one.get()));
    numbers copy = a;
    CHECK(copy.get_allocator().get() == one.get() && copy.data() != a.data());
    copy = b; // the contents change, the pool stays
    CHECK(copy.size() == 2 && cairn_pool_of(copy.data()) == one.get());
    const int *data = b.data();
    a = std::move(b); // the memory comes along
    CHECK(a.data() == data && a.get_allocator().get() == two.get());
    std::swap(a, copy);
    CHECK(cairn_pool_of(a.data()) == one.get() && cairn_pool_of(copy.data()) == two.get());
    numbers other(copy, one.get()); // a copy in another pool
    CHECK(cairn_pool_of(other.data()) == one.get() && other == copy);
    cairn::pool_resource x(one), y(one), z(two);
    CHECK(x == y && x != z && x != *std::pmr::new_delete_resource());
    cairn::pool third;
    cairn_pool *handle = third;
    cairn::pool moved = std::move(third);
    CHECK(third.get() == nullptr && moved.get() == handle);
    moved = cairn::pool();
    CHECK(moved.get() != nullptr);
}

/* Alignments beyond what every block has. */
void over_aligned_types(void **state)
{
    (void)state;
    struct alignas(256) wide {
        char bytes[256];
    };
    for (cairn_pool_class pool_class : {CAIRN_SLAB, CAIRN_FIT, CAIRN_STACK}) {
        cairn::pool pool(config_of(pool_class));
        std::vector<wide, in_pool<wide>> vector(pool.get());
        std::list<wide, in_pool<wide>> list(pool.get());
        for (int i = 0; i < 100; i++) {
            vector.push_back(wide{});
            list.push_back(wide{});
            CHECK(reinterpret_cast<uintptr_t>(&vector.back()) % 256 == 0);
            CHECK(reinterpret_cast<uintptr_t>(&list.back()) % 256 == 0);
        }
        cairn::pool_resource resource(pool);
        void *page = resource.allocate(10, 4096);
        CHECK(reinterpret_cast<uintptr_t>(page) % 4096 == 0);
        resource.deallocate(page, 10, 4096);
        CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    }
}

/* A pool with little alignment still gives each type its own. */
void under_aligned_pools(void **state)
{
    (void)state;
    cairn_pool_config config = config_of(CAIRN_STACK);
    config.alignment = 1;
    cairn::pool pool(config);
    std::vector<char, in_pool<char>> odd(3, 'x', pool.get());
    std::vector<double, in_pool<double>> doubles(pool.get());
    doubles.push_back(1);
    CHECK(reinterpret_cast<uintptr_t>(doubles.data()) % alignof(double) == 0);
}

/* A full pool throws, the container stays as it was, and goes on once there is room. */
template <class Container, class Grow>
void exhaust(cairn_pool *pool, Container &container, Grow grow)
{
    bool thrown = false;
    size_t before = 0;
    try {
        for (int i = 0; i < 10000000; i++) {
            before = container.size();
            grow(container, i);
        }
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown && container.size() == before && before > 10);
    CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0);
    grow(container, -1);
    CHECK(container.size() == before + 1);
}

void a_full_pool_throws(void **state)
{
    (void)state;
    for (cairn_pool_class pool_class : {CAIRN_SLAB, CAIRN_FIT, CAIRN_STACK}) {
        cairn::pool pool(config_of(pool_class, 1 << 20));
        cairn::pool_resource resource(pool);
        std::pmr::vector<long> vector(&resource);
        exhaust(pool, vector, [](auto &v, int i) { v.push_back(i); });
        cairn::pool second(config_of(pool_class, 1 << 20));
        std::map<int, int, std::less<>, in_pool<std::pair<const int, int>>> map(second.get());
        exhaust(second, map, [](auto &m, int i) { m.emplace(i, i); });
        cairn::pool third(config_of(pool_class, 1 << 20));
        std::basic_string<char, std::char_traits<char>, in_pool<char>> string(third.get());
        exhaust(third, string, [](auto &s, int i) { s.push_back(static_cast<char>(i)); });
    }
    cairn::pool fixed(config_of(CAIRN_FIXED, 1 << 20));
    std::list<int, in_pool<int>> list(fixed.get());
    exhaust(fixed, list, [](auto &l, int i) { l.push_back(i); });
}

void sizes_that_cannot_be(void **state)
{
    (void)state;
    cairn::pool pool;
    in_pool<long> numbers(pool);
    int caught = 0;
    try {
        (void)numbers.allocate(SIZE_MAX / 4);
    } catch (const std::bad_array_new_length &) {
        caught++;
    }
    try {
        (void)numbers.allocate(static_cast<size_t>(PTRDIFF_MAX) / sizeof(long));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    cairn_pool_config wrong = {};
    wrong.alignment = 3;
    try {
        cairn::pool never(wrong);
    } catch (const std::bad_alloc &) {
        caught += strstr(cairn_errormsg(), "alignment") != nullptr;
    }
    cairn::pool fixed(config_of(CAIRN_FIXED));
    try {
        (void)in_pool<char>(fixed.get()).allocate(129);
    } catch (const std::bad_alloc &) {
        caught++;
    }
    CHECK_EQ(caught, 4);
}

void scopes_of_a_stack(void **state)
{
    (void)state;
    cairn::pool pool(config_of(CAIRN_STACK));
    cairn::pool_resource resource(pool);
    for (int i = 0; i < 100; i++) {
        cairn::scope outer(pool);
        std::pmr::vector<int> *leaked =
            new (resource.allocate(sizeof *leaked)) std::pmr::vector<int>(&resource);
        leaked->assign(1000, i);
        {
            cairn::scope inner(pool);
            (void)resource.allocate(100000);
        }
        CHECK(leaked->at(999) == i);
    }
    CHECK_EQ(stats_of(pool).live_blocks, 0);
    CHECK(stats_of(pool).committed < 1000000);
}

/* Containers that several threads fill, each its own, in one pool. */
void threads_in_one_pool(void **state)
{
    (void)state;
    cairn::pool pool;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&pool, t] {
            std::map<int, int, std::less<>, in_pool<std::pair<const int, int>>> map(pool.get());
            for (int i = 0; i < 20000; i++)
                map[i * 31 % 5000] = t;
            CHECK(map.size() == 5000 && map[17] == t);
        });
    for (auto &thread : threads)
        thread.join();
    CHECK_EQ(stats_of(pool).live_blocks, 0);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polymorphic_containers), cmocka_unit_test(a_pool_that_knows_no_sizes),
        cmocka_unit_test(allocator_in_the_type),  cmocka_unit_test(copies_moves_and_swaps),
        cmocka_unit_test(over_aligned_types),     cmocka_unit_test(under_aligned_pools),
        cmocka_unit_test(a_full_pool_throws),     cmocka_unit_test(sizes_that_cannot_be),
        cmocka_unit_test(scopes_of_a_stack),      cmocka_unit_test(threads_in_one_pool),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
