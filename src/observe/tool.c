/* tool.c - see tool.h. */
#include "observe/tool.h"

#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define STANDARD_ERROR 2

struct tool_settings tool_settings;

static struct lock tools_lock = {.rank = LOCK_RANK_TOOLS};
static struct cairn_tool *tools; /* under tools_lock */

/* ---- Which calls --------------------------------------------------------------------------------- */

/* Whether `text` is `pattern`, in which a star stands for any text.  A mismatch goes back to the last star. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text != 0) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

static bool file_matches(const char *pattern, const char *file)
{
    const char *slash = strrchr(file, '/');
    return matches(pattern, file) || (slash != NULL && matches(pattern, slash + 1));
}

static bool names_match(const struct tool_where *where, const cairn_call *call)
{
    const char *file = call->file, *func = call->func;
    if (file == NULL) {
        const struct place *place = place_of(call);
        file = place->object;
        func = place->func;
    }
    return (where->file[0] == 0 || file_matches(where->file, file != NULL ? file : "")) &&
           (where->func[0] == 0 || matches(where->func, func != NULL ? func : ""));
}

bool tool_chooses(const struct tool_where *where, const cairn_call *call, size_t size)
{
    if (size < where->min_size || (where->max_size != 0 && size > where->max_size))
        return false;
    if (where->line != 0 && where->line != call->line)
        return false;
    return (where->file[0] == 0 && where->func[0] == 0) || names_match(where, call);
}

/* ---- Making -------------------------------------------------------------------------------------- */

static bool copy_text(char *out, size_t size, const char *text)
{
    size_t length = text != NULL ? strnlen(text, size) : 0;
    if (length == size)
        return false;
    if (length > 0)
        memcpy(out, text, length);
    out[length] = 0;
    return true;
}

bool tool_config_read(void *out, size_t size, const void *given)
{
    size_t room = size;
    if (given != NULL)
        memcpy(&room, given, sizeof room);
    if (room == 0) {
        (void)thread_fail(EINVAL, "struct_size is 0");
        return false;
    }
    if (given != NULL)
        memcpy(out, given, size_min(room, size));
    return true;
}

void *tool_make(const struct tool_kind *kind, size_t size, const struct tool_config *config)
{
    size = align_up(size, os_page_size());
    struct cairn_tool *tool = os_map(NULL, size);
    if (tool == NULL)
        return thread_fail(ENOMEM, "the system has no memory for the tool");
    struct tool_where *where = &tool->where;
    if (!copy_text(tool->output, sizeof tool->output, config->output) ||
        !copy_text(where->file, sizeof where->file, config->where.file) ||
        !copy_text(where->func, sizeof where->func, config->where.func)) {
        (void)os_unmap(tool, size);
        return thread_fail(EINVAL, "a text in the config is too long");
    }
    where->line = config->where.line;
    where->min_size = config->where.min_size;
    where->max_size = config->where.max_size;
    tool->kind = kind;
    tool->mapped = size;
    tool->flags = config->flags;
    tool->error_copy = -1;
    if ((config->flags & CAIRN_TOOL_AT_EXIT) != 0 && tool->output[0] == 0)
        tool->error_copy = os_duplicate(STANDARD_ERROR);
    tool->interface =
        (cairn_interface){.struct_size = sizeof tool->interface, .name = kind->name, .context = tool};
    return tool;
}

void tool_release(struct cairn_tool *tool)
{
    if (tool->error_copy >= 0)
        os_close(tool->error_copy);
    (void)os_unmap(tool, tool->mapped);
}

/* ---- The list ------------------------------------------------------------------------------------ */

void tool_enlist(struct cairn_tool *tool)
{
    lock_take(&tools_lock);
    tool->next = tools;
    tools = tool;
    lock_release(&tools_lock);
}

static struct cairn_tool **link_of(const struct cairn_tool *tool)
{
    for (struct cairn_tool **at = &tools; *at != NULL; at = &(*at)->next)
        if (*at == tool)
            return at;
    return NULL;
}

bool tool_delist(struct cairn_tool *tool)
{
    lock_take(&tools_lock);
    struct cairn_tool **at = link_of(tool);
    if (at != NULL)
        *at = tool->next;
    lock_release(&tools_lock);
    return at != NULL;
}

bool tool_is_listed(const struct cairn_tool *tool, const struct tool_kind *kind)
{
    lock_take(&tools_lock);
    bool found = link_of(tool) != NULL && (kind == NULL || tool->kind == kind);
    lock_release(&tools_lock);
    return found;
}

void tool_fork_all(enum tool_fork when)
{
    if (when == TOOL_FORK_BEFORE)
        lock_take_next_for_fork(&tools_lock);
    for (struct cairn_tool *tool = tools; tool != NULL; tool = tool->next)
        if (tool->kind->fork != NULL)
            tool->kind->fork(tool, when);
    if (when == TOOL_FORK_BEFORE) {
        place_before_fork();
    } else {
        place_after_fork();
        lock_release_after_fork(&tools_lock);
    }
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static bool to_file(void *context, const char *text, size_t size)
{
    return os_write(*(int *)context, text, size);
}

bool tool_print(struct cairn_tool *tool, int fd, bool json)
{
    struct printer p;
    printer_init(&p, to_file, &fd);
    tool->kind->print(tool, &p, json);
    return printer_flush(&p);
}

static int standard_error = STANDARD_ERROR;

void tool_say_begin(struct printer *p, const struct cairn_tool *tool)
{
    printer_init(p, to_file, &standard_error);
    print(p, "cairn: %s: ", tool->kind->name);
}

void tool_say_end(struct printer *p)
{
    int saved = os_errno_get();
    print(p, "\n");
    (void)printer_flush(p); /* nobody is left to tell */
    os_errno_set(saved);
}

static void print_at_exit(struct cairn_tool *tool)
{
    char name[TOOL_NAME_MAX + 16];
    int fd = tool->error_copy >= 0 ? tool->error_copy : STANDARD_ERROR;
    bool to_a_file = tool->output[0] != 0;
    if (to_a_file) {
        os_expand_name(name, sizeof name, tool->output);
        fd = os_create_file(name);
        if (fd < 0) {
            report_warning("cannot write the tool's report to", name);
            return;
        }
    }
    (void)tool_print(tool, fd, (tool->flags & CAIRN_TOOL_JSON) != 0); /* standard error may be closed */
    if (to_a_file)
        os_close(fd);
}

/* In the order in which they were started, without the lock: they may take their time, and nobody stops them now. */
void tool_exit_all(void)
{
    struct cairn_tool *last = NULL;
    for (;;) {
        lock_take(&tools_lock);
        struct cairn_tool *tool = tools;
        while (tool != NULL && tool->next != last)
            tool = tool->next;
        lock_release(&tools_lock);
        if (tool == NULL)
            return;
        if (tool->kind->at_exit != NULL)
            tool->kind->at_exit(tool);
        else if ((tool->flags & CAIRN_TOOL_AT_EXIT) != 0)
            print_at_exit(tool);
        last = tool;
    }
}
