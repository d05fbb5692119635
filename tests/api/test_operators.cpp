// timeout: 60
// sanitize: no
/* test_operators.cpp - operator new and delete in all their forms: plain, array, nothrow, sized, aligned; the
 * new-handler; std::bad_alloc; and the standard library on top. */
#include "api.h"
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#ifndef __cpp_sized_deallocation /* clang has these only with -fsized-deallocation */
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;
#endif

/* Counts what one call does to the heap's own numbers: proof that the operator is ours. */
static uint64_t allocations()
{
    return stats_now().allocations;
}
static uint64_t frees()
{
    return stats_now().frees;
}

static void *used(void *p, std::size_t size)
{
    CHECK(p != nullptr);
    CHECK(cairn_usable_size(p) >= size);
    memset(p, 0x5a, size);
    return check_opaque(p);
}

#define ONE_FREE(statement)                                                                                  \
    do {                                                                                                     \
        uint64_t frees_before = frees();                                                                     \
        statement;                                                                                           \
        CHECK_EQ(frees(), frees_before + 1);                                                                 \
    } while (0)

/* "operators new and delete (plain, array, nothrow, sized, aligned)": each of the eight ways to get a
 * block is paired with each way to give it back that the standard allows. */
static void all_forms_pair_up(void **)
{
    for (std::size_t n : {1, 8, 16, 24, 100, 1000, 5000, 20000, 300000, 5000000}) {
        uint64_t before = allocations();
        ONE_FREE(::operator delete(used(::operator new(n), n)));
        ONE_FREE(::operator delete(used(::operator new(n), n), n));
        ONE_FREE(::operator delete(used(::operator new(n, std::nothrow), n)));
        ONE_FREE(::operator delete(used(::operator new(n, std::nothrow), n), std::nothrow));
        ONE_FREE(::operator delete[](used(::operator new[](n), n)));
        ONE_FREE(::operator delete[](used(::operator new[](n), n), n));
        ONE_FREE(::operator delete[](used(::operator new[](n, std::nothrow), n)));
        ONE_FREE(::operator delete[](used(::operator new[](n, std::nothrow), n), std::nothrow));
        CHECK_EQ(allocations(), before + 8);
        for (std::size_t a = 1; a <= 65536; a *= 2) {
            std::align_val_t align{a};
            auto aligned = [&](void *p) {
                CHECKF((reinterpret_cast<std::uintptr_t>(p) & (a - 1)) == 0, "%p at %zu", p, a);
                return used(p, n);
            };
            ONE_FREE(::operator delete(aligned(::operator new(n, align)), align));
            ONE_FREE(::operator delete(aligned(::operator new(n, align)), n, align));
            ONE_FREE(::operator delete(aligned(::operator new(n, align, std::nothrow)), align));
            ONE_FREE(::operator delete(aligned(::operator new(n, align, std::nothrow)), align, std::nothrow));
            ONE_FREE(::operator delete[](aligned(::operator new[](n, align)), align));
            ONE_FREE(::operator delete[](aligned(::operator new[](n, align)), n, align));
            ONE_FREE(::operator delete[](aligned(::operator new[](n, align, std::nothrow)), align));
            ONE_FREE(
                ::operator delete[](aligned(::operator new[](n, align, std::nothrow)), align, std::nothrow));
        }
    }
}

/* new of no bytes is a unique block; delete of null does nothing */
static void nothing_is_something(void **)
{
    std::size_t zero = check_opaque_size(0);
    void *a = ::operator new(zero), *b = ::operator new[](zero),
         *c = ::operator new (zero, std::align_val_t{64});
    CHECK(a != nullptr && b != nullptr && c != nullptr && a != b && b != c && a != c);
    ::operator delete(a, zero);
    ::operator delete[](b);
    ::operator delete (c, std::align_val_t{64});
    auto null = [] { return check_opaque(nullptr); };
    ::operator delete(null());
    ::operator delete (null(), std::size_t{5});
    ::operator delete[](null(), std::align_val_t{32});
    ::operator delete[](null(), std::size_t{5}, std::align_val_t{32});
    ::operator delete(null(), std::nothrow);
}

/* Blocks of new meet the common promise on alignment. */
static void blocks_of_new_are_aligned(void **)
{
    std::vector<std::pair<void *, std::size_t>> blocks;
    for (std::size_t n = 1; n < 3000; n++) {
        void *p = ::operator new(n);
        CHECK((reinterpret_cast<std::uintptr_t>(p) & (n <= 8 ? 7 : 15)) == 0);
        blocks.emplace_back(p, n);
    }
    for (auto &b : blocks)
        ::operator delete(b.first, b.second);
}

static int handler_calls;

static void handler_that_gives_up()
{
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}
static void handler_that_throws()
{
    handler_calls++;
    throw std::bad_alloc();
}
static void handler_that_helps()
{
    if (++handler_calls == 2)
        CHECK(cairn_limit_set(SIZE_MAX, SIZE_MAX) == 0);
}

template <class F>
static bool throws_bad_alloc(F call)
{
    try {
        check_opaque(call());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

/* "on failure new must call the installed new-handler and then throw std::bad_alloc" */
static void failure_calls_the_handler_then_throws(void **)
{
    std::size_t huge = check_opaque_size(static_cast<std::size_t>(PTRDIFF_MAX) + 1);
    std::align_val_t align{256};
    CHECK(std::get_new_handler() == nullptr);
    CHECK(throws_bad_alloc([&] { return ::operator new(huge); }));
    CHECK(throws_bad_alloc([&] { return ::operator new[](huge); }));
    CHECK(throws_bad_alloc([&] { return ::operator new(huge, align); }));
    CHECK(throws_bad_alloc([&] { return ::operator new[](huge, align); }));
    auto counted = [&](auto call) {
        handler_calls = 0;
        std::set_new_handler(handler_that_gives_up);
        bool thrown = throws_bad_alloc(call);
        CHECK(std::get_new_handler() == nullptr);
        CHECK_EQ(handler_calls, 3);
        return thrown;
    };
    CHECK(counted([&] { return ::operator new(huge); }));
    CHECK(counted([&] { return ::operator new[](huge); }));
    CHECK(counted([&] { return ::operator new(huge, align); }));
    CHECK(counted([&] { return ::operator new[](huge, align); }));
    /* the nothrow forms call it too, and return null when it throws */
    CHECK(!counted([&] { return ::operator new(huge, std::nothrow); }));
    CHECK(!counted([&] { return ::operator new[](huge, align, std::nothrow); }));
}

static void nothrow_forms_return_null(void **)
{
    std::size_t huge = check_opaque_size(SIZE_MAX - 5);
    std::align_val_t align{64};
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::nothrow) == nullptr);
    CHECK(::operator new(huge, align, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, align, std::nothrow) == nullptr);
    std::set_new_handler(handler_that_throws);
    handler_calls = 0;
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::nothrow) == nullptr);
    CHECK(::operator new(huge, align, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, align, std::nothrow) == nullptr);
    CHECK_EQ(handler_calls, 4);
    CHECK(throws_bad_alloc([&] { return ::operator new(huge); }));
    CHECK_EQ(handler_calls, 5);
    std::set_new_handler(nullptr);
}

/* A handler that finds memory lets new succeed: here it lifts the limit. */
static void handler_may_help(void **)
{
    uint64_t committed = stats_now().committed;
    CHECK(cairn_limit_set(committed + MIB, committed + MIB) == 0);
    CHECK(throws_bad_alloc([] { return ::operator new(64 * MIB); }));
    handler_calls = 0;
    std::set_new_handler(handler_that_helps);
    void *p = used(::operator new(64 * MIB), 64 * MIB);
    std::set_new_handler(nullptr);
    CHECK_EQ(handler_calls, 2);
    ::operator delete(p, 64 * MIB);
}

/* An exception passes through code that holds blocks, and nothing is lost. */
static void exceptions_unwind(void **)
{
    uint64_t live = stats_now().live_blocks;
    for (int i = 0; i < 1000; i++) {
        bool caught = false;
        try {
            std::vector<std::string> strings(20, std::string(100, 'x'));
            std::unique_ptr<char[]> more(new char[check_opaque_size(SIZE_MAX / 2 - 100)]);
            strings.emplace_back(more.get());
        } catch (const std::bad_alloc &) {
            caught = true;
        }
        CHECK(caught);
    }
    CHECKF(stats_now().live_blocks <= live + 4, "%llu blocks more",
           static_cast<unsigned long long>(stats_now().live_blocks - live));
}

/* A class with a large alignment goes through the aligned forms; containers and strings through the
 * others. */
struct alignas(128) wide {
    char bytes[200];
};

static void standard_library_runs(void **)
{
    uint64_t live = stats_now().live_blocks, seed = check_seed();
    {
        std::map<int, std::string> map;
        std::vector<std::unique_ptr<wide>> wides;
        std::vector<std::shared_ptr<std::string>> shared;
        for (int i = 0; i < 20000; i++) {
            map[static_cast<int>(check_below(&seed, 3000))] += std::string(check_below(&seed, 50), 'm');
            if (i % 10 == 0) {
                wides.push_back(std::make_unique<wide>());
                CHECK((reinterpret_cast<std::uintptr_t>(wides.back().get()) & 127) == 0);
            }
            if (i % 7 == 0)
                map.erase(static_cast<int>(check_below(&seed, 3000)));
            shared.push_back(std::make_shared<std::string>(i % 40, 's'));
        }
        for (auto &entry : map)
            CHECK(entry.second.find_first_not_of('m') == std::string::npos);
    }
    CHECKF(stats_now().live_blocks <= live + 4, "%llu blocks more",
           static_cast<unsigned long long>(stats_now().live_blocks - live));
}

/* "TLS destructors": a thread_local object allocates in its constructor and destructor, in every thread */
struct thread_notes {
    std::vector<std::string> notes;
    thread_notes() : notes(10, std::string(200, 'n')) {}
    ~thread_notes()
    {
        for (auto &note : notes)
            CHECK(note == std::string(200, 'n'));
        notes.clear();
        notes.shrink_to_fit();
        std::string last(5000, 'l');
        CHECK(last.size() == 5000);
    }
};
static thread_local thread_notes notes;

static void thread_local_destructors_allocate(void **)
{
    uint64_t live = stats_now().live_blocks, threads = stats_now().threads;
    for (int i = 0; i < 500; i++) {
        std::thread a([] { CHECK(notes.notes.size() == 10); }), b([] { notes.notes.emplace_back(200, 'n'); });
        a.join();
        b.join();
    }
    /* what a thread gives back as it dies may come a moment after join */
    double end = check_now() + 5;
    while (stats_now().threads > threads && check_now() < end)
        check_sleep(0.01);
    CHECK(stats_now().threads <= threads);
    CHECKF(stats_now().live_blocks <= live + 20, "%llu blocks more",
           static_cast<unsigned long long>(stats_now().live_blocks - live));
}

/* "Sized delete with a wrong size is reported" */
static void task_wrong_delete()
{
    void *p = used(::operator new(64), 64);
    dprintf(1, "%p\n", p);
    if (strcmp(getenv("WRONG_DELETE"), "plain") == 0)
        ::operator delete (p, std::size_t{4096});
    if (strcmp(getenv("WRONG_DELETE"), "array") == 0)
        ::operator delete[](p, std::size_t{4096});
    if (strcmp(getenv("WRONG_DELETE"), "aligned") == 0)
        ::operator delete (p, std::size_t{4096}, std::align_val_t{16});
    if (strcmp(getenv("WRONG_DELETE"), "aligned array") == 0)
        ::operator delete[](p, std::size_t{4096}, std::align_val_t{16});
}

static void wrong_sizes_are_reported(void **)
{
    static check_run run;
    for (const char *form : {"plain", "array", "aligned", "aligned array"}) {
        std::string setting = std::string("WRONG_DELETE=") + form;
        const char *const env[] = {setting.c_str(), nullptr};
        memset(&run, 0, sizeof run);
        run.env = env;
        check_task_run(&run, "wrong_delete");
        std::string pointer(run.out, strcspn(run.out, "\n"));
        check_run_aborted(&run, ("^cairn: [a-z_ ]*delete[^:]*: wrong size .*" + pointer).c_str());
    }
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {{"wrong_delete", task_wrong_delete}, {nullptr, nullptr}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_pair_up),
        cmocka_unit_test(nothing_is_something),
        cmocka_unit_test(blocks_of_new_are_aligned),
        cmocka_unit_test(failure_calls_the_handler_then_throws),
        cmocka_unit_test(nothrow_forms_return_null),
        cmocka_unit_test(handler_may_help),
        cmocka_unit_test(exceptions_unwind),
        cmocka_unit_test(standard_library_runs),
        cmocka_unit_test(thread_local_destructors_allocate),
        cmocka_unit_test(wrong_sizes_are_reported),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
