/* pool_dump.c - cairn pool dump and export.
 *
 * The form of an export is one JSON object per line.  First the pool:
 *     {"cairn_pool": 1, "layout": ..., "uuid": ..., "address": A, "root": offset or null, "roots": {name: offset, ...}}
 * then each live block:
 *     {"offset": O, "size": N, "data": "..."}
 * with its contents in base64 (RFC 4648).  Offsets count from the start of the pool file; a raw pointer p in the pool
 * leads to offset p - A.  The last line is {"blocks": count, "bytes": sum of sizes}, so that a cut export is noticed. */
#include "pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- dump ----------------------------------------------------------------------------------------- */

struct dump {
    json_t *spans, *blocks; /* NULL: printed */
    uint64_t data;          /* offset of the first page */
    struct progress progress;
};

static int dump_span(const cairn_file_span *span, void *context)
{
    struct dump *dump = context;
    progress_step(&dump->progress, span->offset + span->bytes - dump->data);
    if (dump->spans == NULL) {
        printf("span  %12" PRIu64 "  %8s  blocks of %" PRIu64 ": %" PRIu64 " of %" PRIu64 " live\n",
               span->offset, pool_bytes(span->bytes), span->block_size, span->live, span->blocks);
        return 0;
    }
    (void)json_array_append_new(
        dump->spans, json_pack("{s:I, s:I, s:I, s:I, s:I}", "offset", (json_int_t)span->offset, "bytes",
                               (json_int_t)span->bytes, "block_size", (json_int_t)span->block_size, "blocks",
                               (json_int_t)span->blocks, "live", (json_int_t)span->live));
    return 0;
}

static int dump_block(uint64_t offset, size_t size, void *context)
{
    struct dump *dump = context;
    if (dump->blocks == NULL)
        printf("block %12" PRIu64 "  %zu bytes\n", offset, size);
    else
        (void)json_array_append_new(
            dump->blocks, json_pack("{s:I, s:I}", "offset", (json_int_t)offset, "size", (json_int_t)size));
    return 0;
}

int pool_dump(const struct pool_request *request)
{
    cairn_file_info info;
    struct dump dump = {.spans = request->json ? json_array() : NULL,
                        .blocks = request->json ? json_array() : NULL};
    struct pool_request plain = *request;
    plain.json = false;
    int status = request->json ? 0 : pool_info(&plain);
    if (status == 0 && !pool_read_info(request, &info))
        status = STATUS_TROUBLE;
    if (status == 0) {
        dump.data = info.data;
        progress_begin(&dump.progress, request, "reading", info.pages_touched * 4096);
        int walked =
            cairn_pool_file_walk(request->file, dump_span, request->blocks ? dump_block : NULL, &dump);
        progress_end(&dump.progress);
        if (walked != 0)
            status = pool_failed(request);
    }
    if (!request->json)
        return status != 0 ? status : pool_done(0);
    if (status == 0) {
        json_t *object = json_pack("{s:O}", "spans", dump.spans);
        if (request->blocks)
            (void)json_object_set(object, "blocks", dump.blocks);
        status = pool_print_json(object, 0);
    }
    json_decref(dump.spans);
    json_decref(dump.blocks);
    return status;
}

/* ---- export --------------------------------------------------------------------------------------- */

struct export
{
    FILE *out;
    uintptr_t base; /* where the file's offset 0 is */
    uint64_t blocks, bytes, all;
    json_t *roots;
    struct progress progress;
};

static void write_base64(FILE *out, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned value = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        char four[4] = {digits[value >> 18], digits[value >> 12 & 63],
                        left > 1 ? digits[value >> 6 & 63] : '=', left > 2 ? digits[value & 63] : '='};
        (void)fwrite(four, 1, sizeof four, out);
    }
}

static int export_block(void *block, size_t size, void *context)
{
    struct export *export = context;
    fprintf(export->out, "{\"offset\": %" PRIu64 ", \"size\": %zu, \"data\": \"",
            (uint64_t)((uintptr_t)block - export->base), size);
    write_base64(export->out, block, size);
    fputs("\"}\n", export->out);
    export->blocks++;
    export->bytes += size;
    progress_step(&export->progress, export->bytes);
    return ferror(export->out);
}

static int note_root(const char *name, void *root, void *context)
{
    struct export *export = context;
    (void)json_object_set_new(export->roots, name,
                              json_integer((json_int_t)((uintptr_t)root - export->base)));
    return 0;
}

static void write_first_line(struct export *export, cairn_pool *pool, const cairn_file_info *info)
{
    char uuid[33];
    const void *root = cairn_pool_root(pool);
    for (int i = 0; i < 16; i++)
        (void)snprintf(uuid + 2 * i, 3, "%02x", info->uuid[i]);
    export->roots = json_object();
    (void)cairn_pool_named_roots_walk(pool, note_root, export);
    json_t *line =
        json_pack("{s:i, s:o, s:s, s:I, s:o, s:o}", "cairn_pool", 1, "layout", json_text(info->layout),
                  "uuid", uuid, "address", (json_int_t)info->address, "root",
                  root != NULL ? json_integer((json_int_t)((uintptr_t)root - export->base)) : json_null(),
                  "roots", export->roots);
    (void)json_dumpf(line, export->out, JSON_COMPACT);
    (void)fputc('\n', export->out);
    json_decref(line);
}

static bool write_export(const struct pool_request *request, cairn_pool *pool, const cairn_file_info *info,
                         FILE *out)
{
    cairn_stats stats = {.struct_size = sizeof stats};
    struct export export = {.out = out, .base = (uintptr_t)cairn_pool_file_base(pool)};
    (void)cairn_pool_stats(pool, &stats);
    progress_begin(&export.progress, request, "exporting", stats.live);
    write_first_line(&export, pool, info);
    int walked = cairn_pool_walk(pool, export_block, &export);
    progress_end(&export.progress);
    if (walked < 0) {
        (void)pool_failed(request);
        return false;
    }
    fprintf(out, "{\"blocks\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", export.blocks, export.bytes);
    if (fflush(out) == 0 && !ferror(out))
        return true;
    complain("%s: %s", request->output != NULL ? request->output : "standard output", strerror(errno));
    return false;
}

int pool_export(const struct pool_request *request)
{
    cairn_file_info info;
    if (!pool_read_info(request, &info))
        return STATUS_TROUBLE;
    cairn_pool *pool = pool_open_to_read(request);
    if (pool == NULL)
        return STATUS_TROUBLE;
    FILE *out = request->output != NULL ? fopen(request->output, "we") : stdout;
    bool good = out != NULL;
    if (out == NULL)
        complain("%s: %s", request->output, strerror(errno));
    else
        good = write_export(request, pool, &info, out);
    if (out != NULL && out != stdout && fclose(out) != 0 && good) {
        complain("%s: %s", request->output, strerror(errno));
        good = false;
    }
    if (cairn_pool_close(pool) != 0)
        return pool_failed(request);
    return good ? 0 : STATUS_TROUBLE;
}
