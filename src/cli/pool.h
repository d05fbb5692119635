/* pool.h - what the files of `cairn pool` share.
 *
 *   pool.c        arguments, help, the table of actions, messages, numbers
 *   pool_progress.c  how far long work is
 *   pool_make.c   create, grow, recover
 *   pool_show.c   info, stat
 *   pool_check.c  check, leaks
 *   pool_dump.c   dump, export
 *   pool_map.c    map: the figures, and the picture in the terminal;  pool_svg.c: the picture as SVG and PNG */
#ifndef CLI_POOL_H
#define CLI_POOL_H

#include "arguments.h"
#include "cli.h"

#include <cairn/persist.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum { STATUS_FOUND = 1 }; /* of check and leaks: there is something wrong */

/* What the user asked for; what an action does not know stays zero. */
struct pool_request {
    const char *file;
    const char *argument; /* the second one, NULL: none */
    bool json, relocatable, trust, rollback, free, blocks, progress;
    uint64_t size, max_size;
    unsigned mode, columns;
    const char *layout, *svg, *png, *output;
};

int pool_create(const struct pool_request *request);
int pool_grow(const struct pool_request *request);
int pool_recover(const struct pool_request *request);
int pool_info(const struct pool_request *request);
int pool_stat(const struct pool_request *request);
int pool_check(const struct pool_request *request);
int pool_leaks(const struct pool_request *request);
int pool_dump(const struct pool_request *request);
int pool_export(const struct pool_request *request);
int pool_map(const struct pool_request *request);

/* "FILE: " and why the last call of the library failed; returns STATUS_TROUBLE. */
int pool_failed(const struct pool_request *request);

/* Prints the object and drops it; the exit status. */
int pool_print_json(json_t *object, int status);

/* Flushes standard output; the exit status. */
int pool_done(int status);

bool pool_parse_size(const char *text, uint64_t *out);

/* "12.5 MiB", in one of a few buffers in turn. */
const char *pool_bytes(uint64_t bytes);

/* The file's header; false after a message. */
bool pool_read_info(const struct pool_request *request, cairn_file_info *info);

/* Opens it for reading, recovered in memory if need be; NULL after a message. */
cairn_pool *pool_open_to_read(const struct pool_request *request);

/* How far long work is: "FILE: checking 40 %", see pool_progress.c.  With `all` 0 how long it has taken. */
struct progress {
    const char *file, *doing;
    uint64_t all;
    _Atomic uint64_t done;
    bool is_asked_for, on_terminal, is_ticking;
    bool over, shown; /* under `lock` */
    double begin;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
};
#define PROGRESS_PARTS 10000 /* `all` where the library says what there is */
void progress_begin(struct progress *progress, const struct pool_request *request, const char *doing,
                    uint64_t all);
void progress_step(struct progress *progress, uint64_t done);
void progress_of(uint64_t done, uint64_t all, void *context); /* a cairn_progress, of struct progress */
void progress_end(struct progress *progress);

/* Pages of a pool, from what cairn_pool_file_walk says. */
struct page_map {
    uint64_t pages, touched;
    uint64_t data;       /* offset of the first page in the file */
    unsigned char *used; /* for each page: the share of live bytes in its span, 1 to 255; 0: no span */
    unsigned char *kind; /* for each page: size class as in `classes`, + 1; 0: no span */
    struct page_class {
        uint64_t block_size; /* 0: large blocks */
        uint64_t spans, bytes, blocks, live;
    } * classes;
    size_t class_count;
    struct progress progress; /* while it is made */
};
bool page_map_make(const struct pool_request *request, const cairn_file_info *info, struct page_map *map);
void page_map_drop(struct page_map *map);

/* Live bytes of a class, and the part of its pages that is not in live blocks, 0 to 1. */
uint64_t page_class_live_bytes(const struct page_class *page_class, const struct page_map *map);
double page_class_waste(const struct page_class *page_class);

/* The map as a picture; false after a message. */
bool svg_write(const struct pool_request *request, const struct page_map *map, const char *path);
bool svg_to_png(const char *svg, const char *png);

#endif
