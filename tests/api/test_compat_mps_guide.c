// compat: mps
// define: CAIRN_MPS_GUIDE
/* The guide's chapter on implementing malloc and free, as it is printed, and a program that uses it: the names
 * malloc and free of this program are the chapter's. */

#include "mps.h"

static mps_pool_t malloc_pool;

typedef union {
    size_t size;
    char alignment[MPS_PF_ALIGN]; /* see note below */
} header_u;

void *malloc(size_t size)
{
    mps_res_t res;
    mps_addr_t p;
    header_u *header;
    size += sizeof *header;
    res = mps_alloc(&p, malloc_pool, size);
    if (res != MPS_RES_OK)
        return NULL;
    header = p;
    header->size = size;
    return header + 1;
}

void free(void *p)
{
    if (p) {
        header_u *header = ((header_u *)p) - 1;
        mps_free(malloc_pool, header, header->size);
    }
}

#include "mpscmvff.h"

void malloc_pool_init(mps_arena_t arena);
void malloc_pool_init(mps_arena_t arena)
{
    mps_res_t res;
    res = mps_pool_create_k(&malloc_pool, arena, mps_class_mvff(), mps_args_none);
    if (res != RES_OK)
        abort();
}

/* ---- What the chapter leaves to the reader -------------------------------------------------------- */

#include "mpsavm.h"

#include "check.h"

int main(void)
{
    mps_arena_t arena;
    CHECK(mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none) == MPS_RES_OK);
    malloc_pool_init(arena);
    enum { COUNT = 1000 };
    static char *blocks[COUNT];
    size_t used = 0;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = malloc(1 + i % 300);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % MPS_PF_ALIGN == 0);
        check_fill(blocks[i], 1 + i % 300, i);
        used += sizeof(header_u) + (1 + i % 300 + 7) / 8 * 8;
    }
    CHECK_EQ(mps_pool_total_size(malloc_pool) - mps_pool_free_size(malloc_pool), used);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_FILLED(blocks[i], 1 + i % 300, i);
    mps_pool_t owner = NULL;
    CHECK(mps_addr_pool(&owner, arena, blocks[7]) && owner == malloc_pool);
    for (size_t i = 0; i < COUNT; i++)
        free(blocks[i]);
    free(NULL);
    CHECK_EQ(mps_pool_total_size(malloc_pool), 0);
    mps_pool_destroy(malloc_pool);
    mps_arena_destroy(arena);
    return 0;
}
