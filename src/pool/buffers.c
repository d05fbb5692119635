/* buffers.c - the pools inside callers' buffers, by address: a treap, so that no shape of creation makes it deep.
 *
 * The page map knows whole pages only, and a buffer need not have one to itself.  All calls under pools_lock.
 * Source: C. R. Aragon and R. G. Seidel, "Randomized search trees" (1989); the priority is a hash of the address. */
#include "pool/pool.h"

static uint64_t priority(const struct cairn_pool *pool)
{
    uint64_t x = (uint64_t)pool->buffer * UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 32;
}

static struct cairn_pool *root; /* written under the lock; atomic */

bool buffers_any(void)
{
    return load_relaxed(&root) != NULL;
}

/* Splits `tree` at `address`: what begins below goes to *low, the rest to *high. */
static void split(struct cairn_pool *tree, uintptr_t address, struct cairn_pool **low,
                  struct cairn_pool **high)
{
    while (tree != NULL) {
        if (tree->buffer < address) {
            *low = tree;
            low = &tree->right;
            tree = tree->right;
        } else {
            *high = tree;
            high = &tree->left;
            tree = tree->left;
        }
    }
    *low = *high = NULL;
}

void buffers_add(struct cairn_pool *pool)
{
    struct cairn_pool **at = &root;
    pool->around = buffers_find(pool->buffer);
    while (*at != NULL && priority(*at) >= priority(pool))
        at = pool->buffer < (*at)->buffer ? &(*at)->left : &(*at)->right;
    split(*at, pool->buffer, &pool->left, &pool->right);
    store_relaxed(at, pool);
}

void buffers_remove(struct cairn_pool *pool)
{
    struct cairn_pool **at = &root;
    while (*at != pool)
        at = pool->buffer < (*at)->buffer ? &(*at)->left : &(*at)->right;
    struct cairn_pool *low = pool->left, *high = pool->right;
    while (low != NULL && high != NULL) {
        if (priority(low) >= priority(high)) {
            store_relaxed(at, low);
            at = &low->right;
            low = low->right;
        } else {
            store_relaxed(at, high);
            at = &high->left;
            high = high->left;
        }
    }
    store_relaxed(at, low != NULL ? low : high);
    pool->left = pool->right = NULL;
}

struct cairn_pool *buffers_find(uintptr_t address)
{
    struct cairn_pool *pool = root, *best = NULL;
    while (pool != NULL) {
        if (pool->buffer <= address)
            best = pool;
        pool = pool->buffer <= address ? pool->right : pool->left;
    }
    /* Buffers lie apart or inside of each other: what holds the address holds the beginning of `best`, too. */
    while (best != NULL && address >= best->buffer_end)
        best = best->around;
    return best;
}
