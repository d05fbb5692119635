/* guide_malloc.c - malloc and free on a pool of one's own: the Memory Pool System's guide, with the check for overflow
 * that it leaves out, under names that leave the program's own malloc alone.
 *
 * A pool's free wants the size back; malloc's interface has none, so a header in front of each block keeps it.
 *
 *     cc -Icompat/mps/include guide_malloc.c -lcairn-mps */
#include <mps.h>
#include <mpsavm.h>
#include <mpscmvff.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mps_arena_t arena;
static mps_pool_t malloc_pool;

typedef union {
    size_t size;
    char alignment[MPS_PF_ALIGN]; /* what follows is aligned for any type, as the header is */
} header_u;

static void *my_malloc(size_t size)
{
    mps_addr_t p;
    if (size > SIZE_MAX - sizeof(header_u)) /* or the sum would wrap, and a small block come back */
        return NULL;
    size += sizeof(header_u);
    if (mps_alloc(&p, malloc_pool, size) != MPS_RES_OK)
        return NULL;
    header_u *header = p;
    header->size = size;
    return header + 1;
}

static void my_free(void *p)
{
    if (p != NULL) {
        header_u *header = (header_u *)p - 1;
        mps_free(malloc_pool, header, header->size);
    }
}

static void malloc_pool_init(void)
{
    if (mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none) != MPS_RES_OK ||
        mps_pool_create_k(&malloc_pool, arena, mps_class_mvff(), mps_args_none) != MPS_RES_OK) {
        fputs("no memory for the pool\n", stderr);
        exit(1);
    }
}

int main(void)
{
    malloc_pool_init();
    char *greeting = my_malloc(100);
    if (greeting == NULL)
        return 1;
    strcpy(greeting, "a block of one's own");
    printf("%s: %zu bytes in use\n", greeting,
           mps_pool_total_size(malloc_pool) - mps_pool_free_size(malloc_pool));
    my_free(greeting);
    volatile size_t hopeless = SIZE_MAX - 4;
    printf("%zu bytes: %s\n", hopeless, my_malloc(hopeless) == NULL ? "refused" : "granted?");
    mps_pool_destroy(malloc_pool);
    mps_arena_destroy(arena);
    return 0;
}
