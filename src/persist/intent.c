/* intent.c - see intent.h. */
#include "persist/intent.h"

#include "os/os.h"
#include "persist/protocol.h"

/* ---- Taking and leaving ----------------------------------------------------------------------------- */

void intent_take(struct pool_file *file, struct intent *intent)
{
    uint64_t thread = os_thread_id() >> 12; /* threads are some pages apart */
    unsigned index = (unsigned)((thread * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % FORMAT_INTENTS;
    for (unsigned tries = 1; exchange_acquire(&file->intents_used[index], 1) != 0;
         tries++) { /* intent_leave */
        index = (index + 1) % FORMAT_INTENTS;
        if (tries % FORMAT_INTENTS == 0)
            os_yield();
    }
    intent->file = file;
    intent->index = index;
    intent->is_open = false;
}

void intent_leave(struct intent *intent)
{
    intent_clear(intent);
    store_release(&intent->file->intents_used[intent->index], 0); /* pairs with intent_take */
}

/* ---- In the file ------------------------------------------------------------------------------------ */

static uint64_t salt_of(const struct file_intent *written)
{
    return format_hash(&written->old, 3 * sizeof(uint64_t));
}

bool intent_read(const struct file_intent *written, enum intent_call *call, enum intent_slot *kind)
{
    uint64_t value;
    if (!format_unseal(written->call, salt_of(written), &value))
        return false;
    *call = (enum intent_call)(value & 0xff);
    *kind = (enum intent_slot)(value >> 8);
    return value >> 8 <= SLOT_RELATIVE && *call >= INTENT_MALLOC && *call <= INTENT_FREE;
}

static uint64_t offset_or_0(const struct pool_file *file, const void *address)
{
    return address != NULL ? file_offset(file, address) : 0;
}

void intent_write(struct intent *intent)
{
    struct pool_file *file = intent->file;
    struct file_intent *written = &file->intents[intent->index];
    file_store(&written->old, offset_or_0(file, intent->old));
    file_store(&written->fresh, offset_or_0(file, intent->fresh));
    file_store(&written->slot, offset_or_0(file, intent->slot));
    file_store(&written->call,
               format_seal((uint64_t)intent->call | (uint64_t)intent->kind << 8, salt_of(written)));
    intent->is_open = true;
}

void intent_clear(struct intent *intent)
{
    if (intent->is_open)
        file_store(&intent->file->intents[intent->index].call, 0);
    intent->is_open = false;
}

/* ---- Large blocks ----------------------------------------------------------------------------------- */

void intent_expect(struct intent *intent)
{
    struct pool_file *file = intent->file;
    intent->thread = os_thread_id();
    lock_take(&file->heap->lock);
    intent->next = file->expecting;
    file->expecting = intent;
    lock_release(&file->heap->lock);
}

void intent_expect_no_more(struct intent *intent)
{
    struct pool_file *file = intent->file;
    lock_take(&file->heap->lock);
    struct intent **at = &file->expecting;
    while (*at != intent)
        at = &(*at)->next;
    *at = intent->next;
    lock_release(&file->heap->lock);
}

/* The calling thread's intent that expects a large block. */
static struct intent *expecting(const struct pool_file *file)
{
    struct intent *intent = file->expecting;
    while (intent != NULL && intent->thread != os_thread_id())
        intent = intent->next;
    return intent;
}

void intent_before_large(struct pool_file *file, void *block)
{
    struct intent *intent = file->expecting != NULL ? expecting(file) : NULL;
    if (intent == NULL || intent->call == INTENT_FREE || intent->fresh != NULL)
        return;
    intent->fresh = block;
    intent_write(intent);
}

void intent_behind_large(struct pool_file *file, void *block)
{
    struct intent *intent = file->expecting != NULL ? expecting(file) : NULL;
    if (intent != NULL && intent->old == block)
        intent_clear(intent);
}

/* ---- Slots ------------------------------------------------------------------------------------------ */

void *intent_load_slot(const struct pool_file *file, enum intent_slot kind, const void *slot)
{
    if (kind == SLOT_POINTER)
        return (void *)load_relaxed((const uintptr_t *)slot);
    if (kind == SLOT_RELATIVE)
        return cairn_ptr_get(slot);
    uint64_t root = file_word(file, WORD_ROOT);
    return root != 0 ? file_address(file, root) : NULL;
}

void intent_store_slot(struct pool_file *file, enum intent_slot kind, void *slot, void *block)
{
    cairn_ptr relative;
    switch (kind) {
    case SLOT_POINTER: file_store((uintptr_t *)slot, (uintptr_t)block); break;
    case SLOT_RELATIVE:
        relative.delta =
            block != NULL ? (int64_t)((uint64_t)((intptr_t)block - (intptr_t)slot) * 2u + 1u) : 0;
        file_store(&((cairn_ptr *)slot)->delta, relative.delta);
        break;
    case SLOT_ROOT: file_set_word(file, WORD_ROOT, offset_or_0(file, block)); break;
    }
}
