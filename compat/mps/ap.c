/* ap.c - allocation points: a buffer in which one thread reserves and commits blocks without a call.
 *
 *     base        init      alloc        limit
 *     | committed | reserved | not used yet |
 *
 * Without frames a buffer that is full is forgotten, its end given back.  From the first frame on, buffers are kept as
 * they are, newest first, so that popping can go back to where the frame was pushed. */
#include "impl.h"

#define MPS_FILE "ap.c"

struct buffer {
    struct buffer *older;
    char *base, *init, *limit; /* init, limit: as when the next buffer came */
};

struct mps_frame_s {
    struct mps_frame_s *outer;
    struct buffer *buffer; /* that was in use; NULL: none */
    char *init;
};

struct point {
    mps_ap_s face; /* first: what the program has */
    uint32_t magic;
    mps_pool_t pool;
    struct buffer *buffers; /* with frames: kept ones, the first of them in use; without: none */
    mps_frame_t frames;     /* innermost first */
    char *base;             /* of the buffer in use */
};

static struct point *point_of(mps_ap_t ap)
{
    struct point *point = (struct point *)(void *)ap;
    return MUST(ap != NULL && point->magic == AP_MAGIC, "allocation point is valid") ? point : NULL;
}

static void set_face(struct point *point, char *base, char *init, char *limit)
{
    point->base = base;
    point->face.init = point->face.alloc = init;
    point->face.limit = limit;
}

static void give(struct point *point, char *from, char *to)
{
    if (from < to)
        point->pool->pool_class->empty(point->pool, from, (size_t)(to - from));
}

/* ---- Making ------------------------------------------------------------------------------------------------ */

mps_res_t mps_ap_create_k(mps_ap_t *ap_o, mps_pool_t pool, mps_arg_s args[])
{
    if (!MUST(ap_o != NULL, "mps_ap_o != NULL") || !MUST(pool_is_valid(pool), "pool is valid") ||
        !MUST(args != NULL, "args != NULL"))
        return MPS_RES_PARAM;
    if (pool->pool_class->fill == NULL)
        return MPS_RES_UNIMPL;
    struct point *point = control_alloc(pool->arena, sizeof *point);
    if (point == NULL)
        return mps_impl_refusal;
    point->magic = AP_MAGIC;
    point->pool = pool;
    __atomic_add_fetch(&pool->users, 1, __ATOMIC_RELAXED);
    *ap_o = &point->face;
    return MPS_RES_OK;
}

mps_res_t mps_ap_create_v(mps_ap_t *ap_o, mps_pool_t pool, va_list list)
{
    mps_arg_s args[] = {{.key = MPS_KEY_ARGS_END}};
    (void)list; /* no class of manual pools takes any */
    return mps_ap_create_k(ap_o, pool, args);
}

mps_res_t mps_ap_create(mps_ap_t *ap_o, mps_pool_t pool, ...)
{
    mps_arg_s args[] = {{.key = MPS_KEY_ARGS_END}};
    return mps_ap_create_k(ap_o, pool, args);
}

static void drop_frames(struct point *point, const struct mps_frame_s *until)
{
    while (point->frames != NULL && point->frames != until) {
        mps_frame_t outer = point->frames->outer;
        control_free(point->pool->arena, point->frames);
        point->frames = outer;
    }
}

/* Keeps what is committed, and gives the rest of every buffer back. */
static void drop_buffers(struct point *point)
{
    struct buffer *older;
    for (struct buffer *b = point->buffers; b != NULL; b = older) {
        older = b->older;
        if (b != point->buffers) /* the first is the one in use: its fields are the face's */
            give(point, b->init, b->limit);
        control_free(point->pool->arena, b);
    }
    point->buffers = NULL;
}

void mps_ap_destroy(mps_ap_t ap)
{
    struct point *point = point_of(ap);
    if (point == NULL || !MUST(ap->init == ap->alloc, "nothing is reserved and not committed"))
        return;
    mps_pool_t pool = point->pool;
    give(point, ap->init, ap->limit);
    drop_buffers(point);
    drop_frames(point, NULL);
    point->magic = 0;
    control_free(pool->arena, point);
    __atomic_sub_fetch(&pool->users, 1, __ATOMIC_RELAXED);
}

/* ---- Reserving and committing -------------------------------------------------------------------------------- */

/* With frames: a record of the new buffer, made first, so that nothing has to be undone. */
static mps_res_t prepare(struct point *point, struct buffer **record)
{
    *record = NULL;
    if (point->frames == NULL)
        return MPS_RES_OK;
    *record = control_alloc(point->pool->arena, sizeof **record);
    return *record != NULL ? MPS_RES_OK : mps_impl_refusal;
}

/* Puts the buffer in use away. */
static void leave(struct point *point)
{
    if (point->frames == NULL) {
        give(point, point->face.init, point->face.limit);
        set_face(point, NULL, NULL, NULL);
    } else if (point->buffers != NULL) {
        point->buffers->init = point->face.init;
    }
}

mps_res_t mps_ap_fill(mps_addr_t *p_o, mps_ap_t ap, size_t size)
{
    struct point *point = point_of(ap);
    if (point == NULL || !MUST(p_o != NULL, "p_o != NULL") || !MUST(size > 0, "size > 0") ||
        !MUST(size % point->pool->align == 0, "size is aligned") ||
        !MUST(ap->init == ap->alloc, "nothing is reserved and not committed"))
        return MPS_RES_PARAM;
    mps_pool_t pool = point->pool;
    struct buffer *record;
    mps_addr_t base = NULL;
    size_t got = size;
    if (size > PTRDIFF_MAX / 2)
        return MPS_RES_RESOURCE;
    mps_impl_refusal = MPS_RES_OK;
    mps_res_t res = prepare(point, &record);
    if (res != MPS_RES_OK)
        return res;
    leave(point);
    res = pool->pool_class->fill(&base, &got, pool);
    if (res != MPS_RES_OK) {
        if (record != NULL)
            control_free(pool->arena, record);
        return res;
    }
    if (record != NULL) {
        *record = (struct buffer){point->buffers, base, base, (char *)base + got};
        point->buffers = record;
    }
    set_face(point, base, base, (char *)base + got);
    ap->alloc = (char *)base + size;
    *p_o = base;
    return MPS_RES_OK;
}

mps_res_t(mps_reserve)(mps_addr_t *p_o, mps_ap_t ap, size_t size)
{
    if (point_of(ap) == NULL || !MUST(p_o != NULL, "p_o != NULL"))
        return MPS_RES_PARAM;
    return mps_reserve(p_o, ap, size);
}

/* Nobody moves blocks of manual pools: what is reserved can be committed. */
mps_bool_t mps_ap_trip(mps_ap_t ap, mps_addr_t p, size_t size)
{
    (void)p, (void)size;
    return point_of(ap) != NULL;
}

mps_bool_t(mps_commit)(mps_ap_t ap, mps_addr_t p, size_t size)
{
    if (point_of(ap) == NULL || !MUST(p == ap->init, "p is what was reserved") ||
        !MUST((char *)p + size == (char *)ap->alloc, "size is what was reserved"))
        return false;
    return mps_commit(ap, p, size);
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

mps_res_t mps_ap_frame_push(mps_frame_t *frame_o, mps_ap_t ap)
{
    struct point *point = point_of(ap);
    if (point == NULL || !MUST(frame_o != NULL, "frame_o != NULL"))
        return MPS_RES_PARAM;
    if (ap->init != ap->alloc)
        return MPS_RES_FAIL;
    mps_arena_t arena = point->pool->arena;
    mps_frame_t frame = control_alloc(arena, sizeof *frame);
    if (frame == NULL)
        return mps_impl_refusal;
    if (point->frames == NULL &&
        ap->limit != NULL) { /* from now on buffers are kept: this one is the first */
        struct buffer *record = control_alloc(arena, sizeof *record);
        if (record == NULL) {
            control_free(arena, frame);
            return mps_impl_refusal;
        }
        *record = (struct buffer){NULL, point->base, ap->init, ap->limit};
        point->buffers = record;
    }
    *frame = (struct mps_frame_s){point->frames, point->buffers, ap->init};
    point->frames = frame;
    *frame_o = frame;
    return MPS_RES_OK;
}

/* Gives back what was allocated since the frame, buffer by buffer. */
static void rewind_to(struct point *point, const struct mps_frame_s *frame)
{
    while (point->buffers != frame->buffer) {
        struct buffer *b = point->buffers;
        give(point, b->base, b->limit);
        point->buffers = b->older;
        control_free(point->pool->arena, b);
    }
    if (frame->buffer != NULL)
        set_face(point, frame->buffer->base, frame->init, frame->buffer->limit);
    else
        set_face(point, NULL, NULL, NULL);
}

/* Buffers that are kept for frames alone are not needed when the last frame is gone, but for the one in use. */
static void forget_buffers(struct point *point)
{
    drop_buffers(point);
}

mps_res_t mps_ap_frame_pop(mps_ap_t ap, mps_frame_t frame)
{
    struct point *point = point_of(ap);
    if (point == NULL)
        return MPS_RES_PARAM;
    if (ap->init != ap->alloc)
        return MPS_RES_FAIL;
    mps_frame_t known = point->frames;
    while (known != NULL && known != frame)
        known = known->outer;
    if (!MUST(known != NULL, "frame is one of the allocation point, and not popped yet"))
        return MPS_RES_PARAM;
    rewind_to(point, frame);
    drop_frames(point, frame->outer);
    if (point->frames == NULL)
        forget_buffers(point);
    return MPS_RES_OK;
}
