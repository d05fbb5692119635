/* tools.c - the calls of <cairn/tools.h>: tools are made in observe/, and put in place here. */
#include "cairn/tools.h"

#include "front/plain.h"
#include "front/process.h"
#include "observe/tool.h"
#include "os/os.h"
#include "os/report.h"

#include <errno.h>

static cairn_tool *start(struct cairn_tool *tool)
{
    if (tool == NULL)
        return NULL;
    tool_enlist(tool); /* first, so that no fork finds it in place and not in the list */
    bool all = (tool->flags & CAIRN_TOOL_ALL_CALLS) != 0;
    tool->hook = all ? hook_push_for_all(&tool->interface) : cairn_hook_push(&tool->interface);
    if (tool->hook == NULL) {
        (void)tool_delist(tool);
        if (tool->kind->end != NULL)
            (void)tool->kind->end(tool);
        tool_release(tool);
        return NULL; /* errno and words are the hook's */
    }
    return tool;
}

cairn_tool *cairn_leaks_start(const cairn_leaks_config *config)
{
    return start(leaks_make(config));
}

cairn_tool *cairn_faults_start(const cairn_faults_config *config)
{
    return start(faults_make(config));
}

cairn_tool *cairn_limits_start(const cairn_limits_config *config)
{
    return start(limits_make(config));
}

cairn_tool *cairn_guard_start(const cairn_guard_config *config)
{
    return start(guard_make(config));
}

cairn_tool *cairn_tracing_start(const cairn_tracing_config *config)
{
    return start(tracing_make(config));
}

static int fail_place(void)
{
    (void)thread_fail(EINVAL, "this tool is not in place");
    return -1;
}

int cairn_tool_print(cairn_tool *tool, int fd, cairn_stats_format format)
{
    if (!tool_is_listed(tool, NULL))
        return fail_place();
    return tool_print(tool, fd, format == CAIRN_STATS_JSON) ? 0 : -1;
}

cairn_hook *cairn_tool_hook(cairn_tool *tool)
{
    return tool->hook;
}

/* The grace comes first as a question: whoever is inside an interface may not wait, so nothing is begun. */
int cairn_tool_stop(cairn_tool *tool)
{
    if (cairn_hook_grace() != 0)
        return -1;
    if (!tool_is_listed(tool, NULL))
        return fail_place();
    if (cairn_hook_remove(tool->hook) != 0)
        return -1;
    (void)cairn_hook_grace();
    (void)tool_delist(tool);
    bool whole = tool->kind->end == NULL || tool->kind->end(tool);
    int error = os_errno_get();
    tool_release(tool);
    if (whole)
        return 0;
    (void)thread_fail(error, "part of the trace could not be written");
    return -1;
}

int cairn_leaks_visit(cairn_tool *leaks, int (*visit)(const cairn_leak *leak, void *context), void *context)
{
    return tool_is_listed(leaks, &leaks_kind) ? leaks_visit(leaks, visit, context) : fail_place();
}

uint64_t cairn_faults_count(cairn_tool *faults, uint64_t *failed)
{
    return faults_count(faults, failed);
}

/* ---- By options ---------------------------------------------------------------------------------- */

static void started(const cairn_tool *tool, const char *key)
{
    if (tool == NULL)
        report_warning(key, cairn_errormsg());
}

static void start_faults(const struct fault_settings *s, unsigned flags, const char *key)
{
    cairn_faults_config config = {
        .struct_size = sizeof config,
        .flags = flags | (s->report ? CAIRN_TOOL_AT_EXIT : 0),
        .nth = s->nth,
        .every = s->every,
        .probability = (double)s->ppm / 1e6,
        .seed = s->seed,
        .most = s->most,
        .where = {s->file, s->function, s->line, s->size, 0},
    };
    if (config.nth != 0 || config.every != 0 || s->ppm != 0)
        started(cairn_faults_start(&config), key);
}

static void start_limits(const struct limit_settings *s, unsigned flags, const char *key)
{
    cairn_limits_config config = {
        .struct_size = sizeof config,
        .flags = flags,
        .bytes = s->bytes != SIZE_MAX ? s->bytes : 0,
        .blocks = s->blocks,
        .where = {.file = s->library, .func = s->function},
    };
    if (config.bytes != 0 || config.blocks != 0)
        started(cairn_limits_start(&config), key);
}

static void start_guard(const struct guard_settings *s, unsigned flags, const char *key)
{
    cairn_guard_config config = {
        .struct_size = sizeof config,
        .flags = flags,
        .every = s->every,
        .where = {.file = s->library, .func = s->function, .min_size = s->size},
    };
    if (s->function[0] != 0 || s->library[0] != 0)
        started(cairn_guard_start(&config), key);
}

/* From the bottom: what places blocks, what refuses them, what looks on. */
static void start_as_asked(const struct tool_settings *s)
{
    const unsigned all = CAIRN_TOOL_ALL_CALLS;
    cairn_leaks_config leaks = {.struct_size = sizeof leaks, .flags = s->leaks_flags, .output = s->output};
    cairn_tracing_config trace = {.struct_size = sizeof trace, .output = s->trace};
    start_guard(&s->hook_guard, 0, "CAIRN_CONF: hook_guard");
    start_guard(&s->guard, all, "CAIRN_CONF: guard");
    start_limits(&s->hook_limits, 0, "CAIRN_CONF: hook_limit");
    start_limits(&s->limits, all, "CAIRN_CONF: limits");
    start_faults(&s->hook_faults, 0, "CAIRN_CONF: hook_fault");
    start_faults(&s->faults, all, "CAIRN_CONF: faults");
    if (s->leaks)
        started(cairn_leaks_start(&leaks), "CAIRN_CONF: hook_leaks");
    if (s->trace[0] != 0)
        started(cairn_tracing_start(&trace), "CAIRN_CONF: hook_trace");
}

/* After the constructor of process.c, which reads the options. */
__attribute__((constructor(102))) static void on_load(void)
{
    process_start();
    if (tool_settings.output != NULL) /* they were read */
        start_as_asked(&tool_settings);
}

/* After the program's own destructors, which may free what would look like leaks. */
__attribute__((destructor(102))) static void on_unload(void)
{
    tool_exit_all();
}
