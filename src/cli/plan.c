/* plan.c - see plan.h. */
#include "plan.h"

#include "cli.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_SLOT UINT32_MAX
#define SLOTS_RESTING                                                                                        \
    4096 /* so many empty slots wait before one is used again, or threads would wait for a slot */

struct list {
    struct plan_step *steps;
    size_t count, room;
    uint32_t epoch, in_epoch; /* of the steps added last, and how many there are */
    uint32_t moving;          /* slot of the realloc that goes on; NO_SLOT: none */
    bool begun;
};

struct builder {
    const struct trace *trace;
    struct list *lists;
    uint32_t *order;    /* thread numbers of the trace in the order in which they begin */
    uint32_t begun;     /* how many have */
    struct table slots; /* from a live block's address to its slot + 1 */
    uint64_t *sizes;    /* of the block in each slot */
    uint32_t *resting;  /* a ring of empty slots, the longest empty first */
    size_t slot_count, slot_room, resting_first, resting_count;
    uint32_t *remaining; /* per epoch: steps */
    size_t epochs;
    uint64_t live_bytes, live_blocks;
    struct plan_sums *sums;
};

/* ---- Slots --------------------------------------------------------------------------------------- */

static void more_slots(struct builder *b)
{
    size_t room = b->slot_room > 0 ? 2 * b->slot_room : 2 * SLOTS_RESTING;
    uint32_t *resting = allocate(room, sizeof *resting);
    uint64_t *sizes = allocate(room, sizeof *sizes);
    for (size_t i = 0; b->slot_room > 0 && i < b->resting_count; i++)
        resting[i] = b->resting[(b->resting_first + i) % b->slot_room];
    if (b->slot_count > 0)
        memcpy(sizes, b->sizes, b->slot_count * sizeof *sizes);
    free(b->resting);
    free(b->sizes);
    b->resting = resting;
    b->sizes = sizes;
    b->resting_first = 0;
    b->slot_room = room;
}

static uint32_t take_slot(struct builder *b)
{
    if (b->resting_count > SLOTS_RESTING) {
        uint32_t slot = b->resting[b->resting_first];
        b->resting_first = (b->resting_first + 1) % b->slot_room;
        b->resting_count--;
        return slot;
    }
    if (b->slot_count == b->slot_room)
        more_slots(b);
    return (uint32_t)b->slot_count++;
}

static void rest_slot(struct builder *b, uint32_t slot)
{
    b->resting[(b->resting_first + b->resting_count++) % b->slot_room] = slot;
}

static void block_comes(struct builder *b, uint64_t address, uint32_t slot, uint64_t size)
{
    *table_put(&b->slots, address) = (uint64_t)slot + 1;
    b->sizes[slot] = size;
    b->live_bytes += size;
    b->live_blocks++;
    if (b->live_bytes > b->sums->peak_bytes)
        b->sums->peak_bytes = b->live_bytes;
    if (b->live_blocks > b->sums->peak_blocks)
        b->sums->peak_blocks = b->live_blocks;
}

/* The slot of the block at `address`, which it leaves; NO_SLOT: there is none. */
static uint32_t block_goes(struct builder *b, uint64_t address)
{
    uint64_t *found = table_find(&b->slots, address);
    if (found == NULL)
        return NO_SLOT;
    uint32_t slot = (uint32_t)(*found - 1);
    (void)table_remove(&b->slots, address);
    b->live_bytes -= b->sizes[slot];
    b->live_blocks--;
    return slot;
}

/* ---- Steps --------------------------------------------------------------------------------------- */

static void push(struct list *list, struct plan_step step)
{
    if (list->count == list->room) {
        list->room = list->room > 0 ? 2 * list->room : 64;
        list->steps = realloc(list->steps, list->room * sizeof *list->steps);
        if (list->steps == NULL) {
            complain("out of memory for the replay's plan");
            exit(STATUS_TROUBLE);
        }
    }
    list->steps[list->count++] = step;
}

static void end_epoch(struct list *list, uint32_t next)
{
    uint32_t done = list->in_epoch > 0 ? list->epoch : PLAN_NO_EPOCH;
    push(list, (struct plan_step){PLAN_EPOCH, 0, (uint16_t)list->in_epoch, next, {.done = done}});
    list->epoch = next;
    list->in_epoch = 0;
}

/* A step of the event numbered `event`. */
static void add(struct builder *b, struct list *list, size_t event, struct plan_step step)
{
    uint32_t epoch = (uint32_t)(event / PLAN_EPOCH_EVENTS);
    if (list->epoch != epoch)
        end_epoch(list, epoch);
    push(list, step);
    list->in_epoch++;
    b->remaining[epoch]++;
    b->sums->operations++;
}

/* A thread begins where the one stood that did the event before its first. */
static void begin_thread(struct builder *b, struct list *list, size_t event)
{
    b->order[b->begun] = (uint32_t)(list - b->lists);
    list->begun = true;
    list->epoch = PLAN_NO_EPOCH;
    if (event > 0)
        push(&b->lists[b->trace->events[event - 1].thread],
             (struct plan_step){PLAN_START, 0, 0, b->begun, {.size = 0}});
    b->begun++;
}

static void add_free(struct builder *b, struct list *list, size_t event, uint32_t slot)
{
    add(b, list, event, (struct plan_step){PLAN_FREE, 0, 0, slot, {.size = 0}});
    rest_slot(b, slot);
}

/* A block is at the address still: its end is missing in the trace. */
static void presume_freed(struct builder *b, struct list *list, size_t event, uint64_t address)
{
    uint32_t slot = block_goes(b, address);
    if (slot == NO_SLOT)
        return;
    b->sums->presumed++;
    add_free(b, list, event, slot);
}

static void add_new(struct builder *b, struct list *list, size_t event, enum plan_kind kind)
{
    const struct trace_event *e = &b->trace->events[event];
    presume_freed(b, list, event, e->address);
    uint32_t slot = take_slot(b);
    block_comes(b, e->address, slot, e->size);
    add(b, list, event, (struct plan_step){(uint8_t)kind, e->alignment, 0, slot, {.size = e->size}});
}

/* Both halves of a realloc: the step stands where the old block was given up. */
static void add_leave(struct builder *b, struct list *list, size_t event)
{
    const struct trace_event *e = &b->trace->events[event];
    uint32_t old = block_goes(b, e->address);
    if (list->moving != NO_SLOT) /* the other half of the last one is missing */
        add_free(b, list, event, list->moving);
    list->moving = take_slot(b);
    if (old == NO_SLOT) {
        b->sums->unknown++;
        add(b, list, event, (struct plan_step){PLAN_MALLOC, 0, 0, list->moving, {.size = e->size}});
    } else {
        add(b, list, event, (struct plan_step){PLAN_REALLOC, 0, 0, old, {.size = e->size}});
        push(list, (struct plan_step){PLAN_INTO, 0, 0, list->moving, {.size = 0}});
        rest_slot(b, old);
    }
}

static void add_arrive(struct builder *b, struct list *list, size_t event)
{
    const struct trace_event *e = &b->trace->events[event];
    if (list->moving == NO_SLOT)
        return; /* cannot be: reading makes both halves, and the thread does nothing in between */
    presume_freed(b, list, event, e->address);
    block_comes(b, e->address, list->moving, e->size);
    list->moving = NO_SLOT;
}

static void add_event(struct builder *b, size_t event)
{
    const struct trace_event *e = &b->trace->events[event];
    struct list *list = &b->lists[e->thread];
    if (!list->begun)
        begin_thread(b, list, event);
    switch (e->kind) {
    case TRACE_MALLOC: add_new(b, list, event, PLAN_MALLOC); break;
    case TRACE_CALLOC: add_new(b, list, event, PLAN_CALLOC); break;
    case TRACE_ALIGNED: add_new(b, list, event, PLAN_ALIGNED); break;
    case TRACE_LEAVE: add_leave(b, list, event); break;
    case TRACE_ARRIVE: add_arrive(b, list, event); break;
    case TRACE_FREE: {
        uint32_t slot = block_goes(b, e->address);
        if (slot == NO_SLOT)
            b->sums->unknown++;
        else
            add_free(b, list, event, slot);
        break;
    }
    default: break; /* failed calls: another allocator may have the memory */
    }
}

/* ---- The file ------------------------------------------------------------------------------------ */

static bool write_all(int fd, const void *data, size_t size)
{
    for (const char *at = data; size > 0;) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static bool write_plan(const struct builder *b, int fd)
{
    struct plan_header header = {.threads = b->begun, .epochs = b->epochs, .slots = b->slot_count};
    struct plan_thread *threads = allocate(b->begun + 1, sizeof *threads);
    for (uint32_t i = 0; i < b->begun; i++) {
        const struct list *list = &b->lists[b->order[i]];
        threads[i] = (struct plan_thread){header.steps, list->count};
        header.steps += list->count;
    }
    header.remaining_at = sizeof header;
    header.threads_at = (header.remaining_at + b->epochs * sizeof *b->remaining + 7) & ~(uint64_t)7;
    header.steps_at = header.threads_at + b->begun * sizeof *threads;
    bool good = write_all(fd, &header, sizeof header) &&
                write_all(fd, b->remaining, b->epochs * sizeof *b->remaining) &&
                lseek(fd, (off_t)header.threads_at, SEEK_SET) >= 0 &&
                write_all(fd, threads, b->begun * sizeof *threads);
    for (uint32_t i = 0; i < b->begun && good; i++)
        good = write_all(fd, b->lists[b->order[i]].steps,
                         b->lists[b->order[i]].count * sizeof(struct plan_step));
    free(threads);
    return good;
}

static void release(struct builder *b)
{
    for (uint32_t i = 0; i < b->trace->threads; i++)
        free(b->lists[i].steps);
    free(b->lists);
    free(b->order);
    free(b->remaining);
    free(b->resting);
    free(b->sizes);
    table_release(&b->slots);
}

bool plan_make(const struct trace *trace, int fd, struct plan_sums *sums)
{
    *sums = (struct plan_sums){0};
    struct builder b = {.trace = trace, .sums = sums};
    b.lists = allocate(trace->threads + 1, sizeof *b.lists);
    b.order = allocate(trace->threads + 1, sizeof *b.order);
    b.epochs = trace->count / PLAN_EPOCH_EVENTS + 1;
    b.remaining = allocate(b.epochs, sizeof *b.remaining);
    more_slots(&b);
    for (uint32_t i = 0; i < trace->threads; i++)
        b.lists[i].moving = NO_SLOT;
    for (size_t i = 0; i < trace->count; i++)
        add_event(&b, i);
    for (uint32_t i = 0; i < b.begun; i++)
        end_epoch(&b.lists[b.order[i]], PLAN_NO_EPOCH);
    sums->left = b.live_blocks;
    sums->threads = b.begun;
    bool good = fd < 0 || write_plan(&b, fd);
    int why = errno;
    release(&b);
    errno = why;
    return good;
}
