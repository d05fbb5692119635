/* tool.h - what the ready interfaces of <cairn/tools.h> have in common: a tool is an interface whose context it is, with a
 * way to print, to fork and to end.  Tools in place are in a list, under a lock, for fork and exit.
 *
 * Each tool's structure begins with struct cairn_tool and lies in memory mapped for it alone.  Neighbours: leaks.c,
 * faults.c, limits.c, guard.c, tracing.c, which make them; front/tools.c, which puts them in place. */
#ifndef OBSERVE_TOOL_H
#define OBSERVE_TOOL_H

#include "base/print.h"
#include "cairn/tools.h"
#include "observe/place.h"

#define TOOL_TEXT_MAX 128
#define TOOL_NAME_MAX 1024

enum tool_fork { TOOL_FORK_BEFORE, TOOL_FORK_PARENT, TOOL_FORK_CHILD };

struct tool_kind {
    const char *name;
    void (*print)(struct cairn_tool *tool, struct printer *p, bool json);
    void (*fork)(struct cairn_tool *tool, enum tool_fork when); /* NULL: nothing to do */
    void (*at_exit)(struct cairn_tool *tool);                   /* NULL: prints, if the flags say so */
    bool (*end)(struct cairn_tool *tool);                       /* NULL: nothing to do; false with errno */
};

/* cairn_where with texts of its own. */
struct tool_where {
    char file[TOOL_TEXT_MAX], func[TOOL_TEXT_MAX]; /* "": any */
    int line;
    size_t min_size, max_size;
};

struct cairn_tool {
    const struct tool_kind *kind;
    cairn_interface interface;
    cairn_hook *hook;        /* set when it is in place */
    struct cairn_tool *next; /* tools lock */
    size_t mapped;
    unsigned flags;
    int error_copy; /* of standard error, which many programs close before they end; -1: none */
    char output[TOOL_NAME_MAX];
    struct tool_where where;
};

/* The first four fields of every config. */
struct tool_config {
    size_t struct_size;
    unsigned flags;
    const char *output;
    cairn_where where;
};

/* Memory for a tool of `size` bytes, all zero, with the fields above filled in; NULL with errno and words.  It becomes the
 * interface's context. */
void *tool_make(const struct tool_kind *kind, size_t size, const struct tool_config *config);
void tool_release(struct cairn_tool *tool); /* no call is inside it */

/* Copies a config into `out` of `size` bytes, as far as it reaches; false with errno if it is of no size. */
bool tool_config_read(void *out, size_t size, const void *given);

bool tool_chooses(const struct tool_where *where, const cairn_call *call, size_t size);

/* The list of those in place. */
void tool_enlist(struct cairn_tool *tool);
bool tool_delist(struct cairn_tool *tool); /* false: it is not there */
bool tool_is_listed(const struct cairn_tool *tool, const struct tool_kind *kind);

/* For all in place. */
void tool_fork_all(enum tool_fork when);
void tool_exit_all(void);

/* One line on standard error, "cairn: NAME: " in front of it. */
void tool_say_begin(struct printer *p, const struct cairn_tool *tool);
void tool_say_end(struct printer *p);

bool tool_print(struct cairn_tool *tool, int fd, bool json);

/* Each makes a tool that can be put in place; NULL with errno and words. */
struct cairn_tool *leaks_make(const cairn_leaks_config *given);
struct cairn_tool *faults_make(const cairn_faults_config *given);
struct cairn_tool *limits_make(const cairn_limits_config *given);
struct cairn_tool *guard_make(const cairn_guard_config *given);
struct cairn_tool *tracing_make(const cairn_tracing_config *given);

int leaks_visit(struct cairn_tool *tool, int (*visit)(const cairn_leak *leak, void *context), void *context);
uint64_t faults_count(struct cairn_tool *tool, uint64_t *failed);

/* What the options ask for; texts stay, "": none.  Once for the calls of <cairn/hooks.h>, once for all calls. */
struct fault_settings {
    uint64_t nth, every, ppm, seed, most;
    int line;
    size_t size;
    bool report; /* at exit */
    const char *file, *function;
};

struct limit_settings {
    uint64_t bytes; /* SIZE_MAX: none */
    uint64_t blocks;
    const char *library, *function;
};

struct guard_settings {
    uint64_t every;
    size_t size;
    const char *library, *function; /* both "": no guard */
};

struct tool_settings {
    bool leaks;
    unsigned leaks_flags;
    const char *output, *trace;
    struct fault_settings hook_faults, faults;
    struct limit_settings hook_limits, limits;
    struct guard_settings hook_guard, guard;
};

extern struct tool_settings tool_settings;

extern const struct tool_kind leaks_kind, faults_kind;

#endif
