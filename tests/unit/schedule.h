/* schedule.h - threads that take turns: one runs at a time, and at every step() a schedule says which is next.
 *
 * Code under test is compiled into the test with step() in its atomics, so that each of them is a place where
 * another thread may come in.  schedule_explore() runs a scenario under every schedule with at most so many
 * preemptions (M. Musuvathi and S. Qadeer, "Iterative context bounding for systematic testing", 2007), up to a
 * number of runs, then under random ones.  What it does not show are effects of weak memory order: the turns
 * are handed over by semaphores.  For those there is the thread sanitizer on tests/stress. */
#ifndef TESTS_UNIT_SCHEDULE_H
#define TESTS_UNIT_SCHEDULE_H

#include "unit/unit.h"
#include <semaphore.h>

enum { ACTORS = 3, SCHEDULE_DEPTH = 20000 };

struct actor {
    pthread_t thread;
    sem_t go;
    void (*script)(void);
    const void *waits_for; /* a lock that somebody else holds */
    bool finished;
};

static struct {
    struct actor actors[ACTORS];
    sem_t all_finished;
    bool quit;
    /* the schedule: at each place where there is a choice, which and out of how many */
    struct {
        unsigned char choice, options;
    } path[SCHEDULE_DEPTH];
    size_t depth, length;
    unsigned preemptions, preemptions_max;
    uint64_t random; /* 0: follow `path` */
    uint64_t steps;
} schedule;

static __thread int schedule_me = -1; /* -1: not an actor, never interrupted */

/* ---- Choosing ------------------------------------------------------------------------------------ */

static inline unsigned schedule_choose(unsigned options, bool may_stay)
{
    if (schedule.random != 0) {
        if (may_stay && check_below(&schedule.random, 8) != 0)
            return 0;
        return (unsigned)check_below(&schedule.random, options);
    }
    if (may_stay && schedule.preemptions == schedule.preemptions_max)
        return 0;
    CHECKF(schedule.depth < SCHEDULE_DEPTH, "%s", "the scenario is too long");
    if (schedule.depth == schedule.length) {
        schedule.path[schedule.length].choice = 0;
        schedule.path[schedule.length++].options = (unsigned char)options;
    }
    CHECKF(schedule.path[schedule.depth].options == options, "%s", "the scenario does not repeat itself");
    unsigned choice = schedule.path[schedule.depth++].choice;
    schedule.preemptions += may_stay && choice > 0;
    return choice;
}

/* Lets the next one run.  `me` goes on at once if it may and is chosen; otherwise it sleeps until it is, unless it
 * has finished. */
static inline void schedule_switch(int me, bool may_stay)
{
    int options[ACTORS];
    unsigned count = 0;
    bool unfinished = false;
    if (may_stay)
        options[count++] = me;
    for (int i = 0; i < ACTORS; i++) {
        const struct actor *a = &schedule.actors[i];
        unfinished |= !a->finished;
        if (i != me && !a->finished && a->waits_for == NULL)
            options[count++] = i;
    }
    if (count == 0) {
        CHECKF(!unfinished, "%s", "all wait for locks");
        CHECK(sem_post(&schedule.all_finished) == 0);
        return;
    }
    int next = options[count > 1 ? schedule_choose(count, may_stay) : 0];
    if (next == me)
        return;
    bool finished =
        schedule.actors[me].finished; /* the next run may begin as soon as the other one has its turn */
    CHECK(sem_post(&schedule.actors[next].go) == 0);
    if (!finished)
        while (sem_wait(&schedule.actors[me].go) != 0)
            continue;
}

static inline void step(void)
{
    if (schedule_me < 0)
        return;
    schedule.steps++;
    schedule_switch(schedule_me, true);
}

/* The lock at `address` is held by somebody else: others run until it may be free. */
static inline void step_wait(const void *address)
{
    CHECKF(schedule_me >= 0, "%s", "a lock was left held");
    schedule.actors[schedule_me].waits_for = address;
    schedule_switch(schedule_me, false);
}

static inline void step_freed(const void *address)
{
    for (int i = 0; i < ACTORS; i++)
        if (schedule.actors[i].waits_for == address)
            schedule.actors[i].waits_for = NULL;
}

/* ---- Running ------------------------------------------------------------------------------------- */

static inline void *schedule_actor(void *number)
{
    schedule_me = (int)(intptr_t)number;
    struct actor *me = &schedule.actors[schedule_me];
    for (;;) {
        while (sem_wait(&me->go) != 0)
            continue;
        if (schedule.quit)
            return NULL;
        if (me->script != NULL)
            me->script();
        me->finished = true;
        schedule_switch(schedule_me, false);
    }
}

static inline void schedule_start(void)
{
    CHECK(sem_init(&schedule.all_finished, 0, 0) == 0);
    for (intptr_t i = 0; i < ACTORS; i++) {
        CHECK(sem_init(&schedule.actors[i].go, 0, 0) == 0);
        CHECK(pthread_create(&schedule.actors[i].thread, NULL, schedule_actor, (void *)i) == 0);
    }
}

static inline void schedule_stop(void)
{
    schedule.quit = true;
    for (int i = 0; i < ACTORS; i++) {
        CHECK(sem_post(&schedule.actors[i].go) == 0);
        CHECK(pthread_join(schedule.actors[i].thread, NULL) == 0);
    }
}

struct scenario {
    const char *name;
    void (*before)(void);
    void (*scripts[ACTORS])(void);
    void (*after)(void); /* checks */
};

static inline void schedule_run_once(const struct scenario *scenario)
{
    scenario->before();
    schedule.depth = 0;
    schedule.preemptions = 0;
    for (int i = 0; i < ACTORS; i++) {
        schedule.actors[i].script = scenario->scripts[i];
        schedule.actors[i].finished = scenario->scripts[i] == NULL;
    }
    for (int i = 0; i < ACTORS; i++)
        if (!schedule.actors[i].finished) {
            CHECK(sem_post(&schedule.actors[i].go) == 0);
            break;
        }
    while (sem_wait(&schedule.all_finished) != 0)
        continue;
    scenario->after();
}

/* The next schedule in order; false when all were there. */
static inline bool schedule_advance(void)
{
    while (schedule.length > 0) {
        if (++schedule.path[schedule.length - 1].choice < schedule.path[schedule.length - 1].options)
            return true;
        schedule.length--;
    }
    return false;
}

/* Every schedule with up to `preemptions` preemptions, at most `runs` of them, then `randoms` random ones. */
static inline void schedule_explore(const struct scenario *scenario, unsigned preemptions, size_t runs,
                                    size_t randoms)
{
    size_t done = 0;
    bool all = false;
    for (unsigned bound = 0; bound <= preemptions; bound++) {
        schedule.random = 0;
        schedule.length = 0;
        schedule.preemptions_max = bound;
        do {
            schedule_run_once(scenario);
            all = !schedule_advance();
        } while (!all && ++done < runs);
    }
    uint64_t seed = check_seed();
    for (size_t i = 0; i < randoms; i++) {
        schedule.random = check_random(&seed) | 1;
        schedule_run_once(scenario);
    }
    print_message("%s: %zu schedules%s, %zu random\n", scenario->name, done, all ? ", all there are" : "",
                  randoms);
}

#endif
