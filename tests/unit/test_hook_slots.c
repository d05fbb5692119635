// timeout: 20
/* test_hook_slots.c - the slots by which threads say that they are inside an interface: what another thread may find there
 * between two steps of theirs. */
#include "unit.h"

#include "cairn/hooks.h"
#include "observe/hooks.h"

#include <pthread.h>

/* Another thread has claimed the slot, and leaves it after a while. */
static void *leave_later(void *slot)
{
    check_sleep(0.02);
    hooks_leave(slot);
    return NULL;
}

/* Who has left a slot is not taken for its next owner, who has not yet said who he is: he can wait for that one. */
static void a_slot_has_another_owner(void **state)
{
    (void)state;
    cairn_interface nothing = {.struct_size = sizeof nothing};
    cairn_hook *hook = cairn_hook_push(&nothing);
    cairn_call call = {.func = "test"};
    pthread_t thread;
    CHECK(hook != NULL);
    struct hook_slot *slot = hooks_enter(&call, false);
    CHECK(slot != NULL && slot->turn % 2 == 1 && !hooks_grace()); /* it would wait for itself */
    hooks_leave(slot);
    CHECK(slot->turn % 2 == 0 && hooks_grace());
    store_seq(&slot->turn, slot->turn + 1);
    CHECK(pthread_create(&thread, NULL, leave_later, slot) == 0);
    CHECK(hooks_grace() && load_seq(&slot->turn) % 2 == 0);
    CHECK(pthread_join(thread, NULL) == 0 && cairn_hook_remove(hook) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_slot_has_another_owner)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
