/* test_stack.c - the callers that stack_capture finds are those that the compiler's own unwinder finds; also in signal
 * handlers, through code made at run time, and on stacks that hold nonsense. */
#include "unit.h"

#include "observe/cfi.h"
#include "observe/stack.h"
#include "os/os.h"

#include <gnu/libc-version.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unwind.h>

enum { DEPTH = 40, MAX = STACK_DEPTH_MAX };

static uintptr_t ours[MAX];
static void *theirs[MAX];
static unsigned count;
static int expected;

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *unused)
{
    (void)unused;
    if (expected < MAX && _Unwind_GetIP(context) != 0)
        theirs[expected++] = (void *)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

/* Both in one function, so that only the addresses in it differ. */
__attribute__((noinline)) static void capture(void)
{
    memset(ours, 0, sizeof ours);
    count = stack_capture(ours, MAX);
    expected = 0;
    (void)_Unwind_Backtrace(note, NULL);
    __asm__ volatile("" : : : "memory"); /* or the call above may be the last thing done, by a jump */
}

static int index_in(uintptr_t start, size_t size)
{
    for (unsigned i = 0; i < count; i++)
        if (ours[i] >= start && ours[i] - start < size)
            return (int)i;
    return -1;
}

/* From the function behind capture() on all callers are equal, to the end. */
static void check_same(int at_least)
{
    CHECKF(expected > at_least, "%d", expected);
    int shift = index_in((uintptr_t)theirs[1], 1) - 1;
    CHECKF(shift >= -1, "the caller %p is missing", theirs[1]);
    for (int i = 1; i < expected; i++)
        CHECKF(i + shift < (int)count && ours[i + shift] == (uintptr_t)theirs[i], "caller %d: %p, not %p", i,
               (void *)ours[i + shift], theirs[i]);
    CHECK_EQ(count, expected + shift);
}

__attribute__((noinline)) static int down(int depth, volatile char *from)
{
    char *room =
        __builtin_alloca((size_t)(depth % 7 * 100 + 8)); /* frames of many sizes, with a frame pointer */
    room[0] = from[0];
    if (depth == 0)
        capture();
    else
        down(depth - 1, room);
    return room[0];
}

static void plain_calls(void **state)
{
    (void)state;
    char byte = 0;
    down(DEPTH, &byte);
    check_same(6); /* the compiler may have unrolled it */
}

static int compare(const void *a, const void *b)
{
    if (count == 0)
        capture();
    return *(const int *)a - *(const int *)b;
}

static void through_the_c_library(void **state)
{
    (void)state;
    int numbers[] = {3, 1, 2};
    count = 0;
    qsort(numbers, COUNT_OF(numbers), sizeof numbers[0], compare);
    check_same(4);
}

static void handler(int number)
{
    (void)number;
    capture();
}

static void in_a_signal_handler(void **state)
{
    (void)state;
    char other[64 * KIB];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0);
    check_same(4);
    action.sa_flags = SA_ONSTACK;
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0);
    check_same(4);
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
}

static void *thread_main(void *unused)
{
    char byte = 0;
    down(3, &byte);
    return unused;
}

static void in_a_thread(void **state)
{
    (void)state;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0);
    check_same(2);
}

static void as_many_as_asked_for(void **state)
{
    (void)state;
    uintptr_t few[4] = {0, 0, 0, 77};
    CHECK(stack_capture(few, 3) == 3 && few[2] != 0 && few[3] == 77);
    CHECK(stack_capture(few, 0) == 0);
}

/* ---- Code that has no tables --------------------------------------------------------------------- */

typedef void made_code(void (*)(void), const void *frame);

#if defined(__x86_64__)
/* push rbp; mov rbp, rsp; sub rsp, 64; call rdi; leave; ret */
static const unsigned char with_frame[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
                                           0xec, 0x40, 0xff, 0xd7, 0xc9, 0xc3};
/* push rbp; mov ebp, 0x12345678; call rdi; pop rbp; ret: where callers look for a frame there is nonsense */
static const unsigned char without_frame[] = {0x55, 0xbd, 0x78, 0x56, 0x34, 0x12, 0xff, 0xd7, 0x5d, 0xc3};
/* push rbp; mov rbp, rsi; call rdi; pop rbp; ret: where callers look for a frame there is the second argument */
static const unsigned char other_frame[] = {0x55, 0x48, 0x89, 0xf5, 0xff, 0xd7, 0x5d, 0xc3};
#elif defined(__aarch64__)
/* stp x29, x30, [sp, #-16]!; mov x29, sp; blr x0; ldp x29, x30, [sp], #16; ret */
static const unsigned char with_frame[] = {0xfd, 0x7b, 0xbf, 0xa9, 0xfd, 0x03, 0x00, 0x91, 0x00, 0x00,
                                           0x3f, 0xd6, 0xfd, 0x7b, 0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6};
/* stp x29, x30, [sp, #-16]!; mov x29, #1; blr x0; ldp x29, x30, [sp], #16; ret */
static const unsigned char without_frame[] = {0xfd, 0x7b, 0xbf, 0xa9, 0x3d, 0x00, 0x80, 0xd2, 0x00, 0x00,
                                              0x3f, 0xd6, 0xfd, 0x7b, 0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6};
/* stp x29, x30, [sp, #-16]!; mov x29, x1; blr x0; ldp x29, x30, [sp], #16; ret */
static const unsigned char other_frame[] = {0xfd, 0x7b, 0xbf, 0xa9, 0xfd, 0x03, 0x01, 0xaa, 0x00, 0x00,
                                            0x3f, 0xd6, 0xfd, 0x7b, 0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6};
#endif

/* Where in the callers the made code is. */
static int run_made(const unsigned char *code, size_t size, const void *frame)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, code, size);
    CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
    ((made_code *)(uintptr_t)page)(capture, frame);
    CHECK(munmap(page, 4096) == 0);
    return index_in((uintptr_t)page, 4096);
}

static void code_with_frame_pointers(void **state)
{
    (void)state;
    int made = run_made(with_frame, sizeof with_frame, NULL);
    struct os_object here, caller;
    CHECKF(made >= 0 && count > (unsigned)made + 4, "%d of %u", made, count);
    CHECK(os_object_at((uintptr_t)run_made, &here) && os_object_at(ours[made + 1], &caller));
    CHECK(here.start == caller.start); /* run_made, and on to main */
}

static void code_without_them(void **state)
{
    (void)state;
    int made = run_made(without_frame, sizeof without_frame, NULL);
    CHECKF(made >= 0 && count == (unsigned)made + 1, "%d of %u", made, count);
}

/* What looks like the outermost frame is one if it lies on the stack, not far above. */
static void *run_with_frames(void *top)
{
    uintptr_t caller = (uintptr_t)plain_calls + 1, here[2] = {0, caller};
    static uintptr_t elsewhere[2];
    int made = run_made(other_frame, sizeof other_frame, here);
    CHECKF(made >= 0 && count >= (unsigned)made + 2 && ours[made + 1] == caller, "%d of %u", made, count);
    memcpy(elsewhere, here, sizeof here);
    made = run_made(other_frame, sizeof other_frame, elsewhere);
    CHECKF(made >= 0 && count == (unsigned)made + 1, "below: %d of %u", made, count);
    uintptr_t *far = (uintptr_t *)top - 2;
    memcpy(far, here, sizeof here);
    made = run_made(other_frame, sizeof other_frame, far);
    CHECKF(made >= 0 && count == (unsigned)made + 1, "far above: %d of %u", made, count);
    return NULL;
}

static void frame_pointers_far_away(void **state)
{
    (void)state;
    enum { STACK = 1 * MIB, ALL = 40 * MIB };
    pthread_attr_t attributes;
    pthread_t thread;
    char *memory = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, memory, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, run_with_frames, memory + ALL) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && munmap(memory, ALL) == 0);
    CHECK(pthread_attr_destroy(&attributes) == 0);
}

/* ---- Nonsense ------------------------------------------------------------------------------------ */

static void readable_or_not(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
    CHECK(mprotect(pages + 2 * 4096, 4096, PROT_NONE) == 0);
    sigset_t before, after;
    sigemptyset(&before);
    sigemptyset(&after);
    sigprocmask(SIG_BLOCK, NULL, &before);
    CHECK(os_readable(pages) && os_readable(pages + 4088));
    CHECK(!os_readable(pages + 4096) && !os_readable(pages + 2 * 4096) && !os_readable(NULL));
    CHECK(!os_readable((void *)UINT64_C(0x7fff12345678f000)) && !os_readable((void *)(UINTPTR_MAX - 7)));
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        CHECK_EQ(sigismember(&before, number), sigismember(&after, number));
    uintptr_t word;
    struct frame frame = {{0}, 0, true, 0};
    *(uintptr_t *)(void *)(pages + 8) = 99;
    CHECK(frame_read(&frame, (uintptr_t)pages + 8, &word) && word == 99);
    CHECK(!frame_read(&frame, (uintptr_t)pages + 4096, &word) &&
          !frame_read(&frame, (uintptr_t)pages + 4, &word));
    CHECK(munmap(pages, 4096) == 0 && munmap(pages + 2 * 4096, 4096) == 0);
}

/* Whatever the registers hold, a step ends: with a frame or without. */
static void steps_from_nonsense(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    struct os_object libc;
    CHECK(os_object_at((uintptr_t)gnu_get_libc_version, &libc) && libc.unwind_table != NULL &&
          !libc.is_program);
    CHECK(os_object_at((uintptr_t)run_made, &libc) && libc.is_program);
    CHECK(os_object_at((uintptr_t)gnu_get_libc_version, &libc));
    for (unsigned i = 0; i < 200000; i++) {
        struct frame frame = {{0}, 0, check_below(&random, 2) != 0, 0};
        for (unsigned r = 0; r < CPU_REGISTERS; r++)
            frame.registers[r] = check_below(&random, 2) ? check_random(&random) & ~(uint64_t)7
                                                         : ((uintptr_t)&frame & ~(uintptr_t)7) + r * 8;
        frame.pc = libc.start + check_below(&random, libc.end - libc.start);
        for (unsigned depth = 0; depth < 5 && cfi_step(&frame, libc.unwind_table) == CFI_STEPPED; depth++)
            continue;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_calls),
        cmocka_unit_test(through_the_c_library),
        cmocka_unit_test(in_a_signal_handler),
        cmocka_unit_test(in_a_thread),
        cmocka_unit_test(as_many_as_asked_for),
        cmocka_unit_test(code_with_frame_pointers),
        cmocka_unit_test(code_without_them),
        cmocka_unit_test(readable_or_not),
        cmocka_unit_test(frame_pointers_far_away),
        cmocka_unit_test(steps_from_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
