/* faults.c - the fault injector.  See <cairn/tools.h>.
 *
 * What fails depends on the number of the call alone, among those that the config chooses, and on the seed: so a run with one
 * thread repeats exactly, and with several as far as they come in the same order. */
#include "observe/tool.h"

#include "base/atomic.h"
#include "os/os.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define TOLD_MAX 20
#define COMMAND_MAX 2048
#define PRELOAD_MAX 1024

struct faults {
    struct cairn_tool tool;
    uint64_t nth, every, most, seed;
    uint64_t chance; /* of 2^64; UINT64_MAX: certain */
    double probability;
    int error;
    uint64_t calls, failed; /* atomic, several threads write */
    char
        preload[PRELOAD_MAX]; /* LD_PRELOAD, as it was at the start: the program may change its environment */
};

/* ---- The decision -------------------------------------------------------------------------------- */

/* The n-th number of a sequence that any n can be asked of: the finalizer of splitmix64 (S. Vigna, public domain). */
static uint64_t random_of(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + n * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool is_to_fail(const struct faults *faults, uint64_t n)
{
    if (faults->nth != 0 && n == faults->nth)
        return true;
    if (faults->every != 0 && n % faults->every == 0)
        return true;
    return faults->chance != 0 &&
           (faults->chance == UINT64_MAX || random_of(faults->seed, n) < faults->chance);
}

/* Counts one more failure, if there may be. */
static bool take_failure(struct faults *faults, uint64_t *number)
{
    *number = fetch_add_relaxed(&faults->failed, 1) + 1;
    if (faults->most == 0 || *number <= faults->most)
        return true;
    add_relaxed(&faults->failed, UINT64_MAX); /* takes it back */
    return false;
}

/* ---- Telling ------------------------------------------------------------------------------------- */

/* A word as a shell takes it back. */
static void print_word(struct printer *p, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./%@";
    bool control = false;
    for (const char *c = word; *c != 0; c++)
        control |= (unsigned char)*c < 0x20 || *c == 0x7f;
    if (word[0] != 0 && word[strspn(word, plain)] == 0) {
        print(p, "%s", word);
        return;
    }
    print(p, control ? "$'" : "'");
    for (; *word != 0; word++) {
        unsigned char c = (unsigned char)*word;
        if (control && (c < 0x20 || c == 0x7f))
            print(p, "\\x%c%c", "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]);
        else if (control && (c == '\'' || c == '\\'))
            print(p, "\\%c", c);
        else if (c == '\'')
            print(p, "'\\''");
        else
            print(p, "%c", c);
    }
    print(p, "'");
}

/* The end of CAIRN_CONF's value: what makes this tool choose as it does. */
static void filters_of(char *out, size_t size, const struct tool_where *where, bool all)
{
    const char *key = all ? "faults" : "hook_fault";
    size_t used = 0;
    out[0] = 0;
    if (where->file[0] != 0)
        print_to_buffer(out, size, ",%s_%s:%s", key, all ? "library" : "file", where->file);
    if (where->func[0] != 0 && (used = strlen(out)) < size)
        print_to_buffer(out + used, size - used, ",%s_function:%s", key, where->func);
    if (where->line != 0 && (used = strlen(out)) < size)
        print_to_buffer(out + used, size - used, ",%s_line:%d", key, where->line);
    if (where->min_size != 0 && (used = strlen(out)) < size)
        print_to_buffer(out + used, size - used, ",%s_size:%zu", key, where->min_size);
}

/* The program's own arguments; of very many only the first. */
static void print_command(struct printer *p)
{
    char command[COMMAND_MAX + 1];
    size_t size = os_command_line(command, COMMAND_MAX);
    command[size] = 0;
    for (const char *word = command; word < command + size; word += strlen(word) + 1) {
        print(p, " ");
        print_word(p, word);
    }
    if (size == COMMAND_MAX)
        print(p, " ...");
}

/* `setting`: what lets it fail.  Calls through <cairn/hooks.h> are the program's own, which need no more said. */
static void print_repetition(struct printer *p, const struct faults *faults, const char *setting)
{
    char filters[3 * TOOL_TEXT_MAX + 64], conf[sizeof filters + 128];
    bool all = (faults->tool.flags & CAIRN_TOOL_ALL_CALLS) != 0;
    filters_of(filters, sizeof filters, &faults->tool.where, all);
    print_to_buffer(conf, sizeof conf, "%s%s", setting, filters);
    if (!all) {
        print(p, " with CAIRN_CONF=%s", conf);
        return;
    }
    print(p, ": CAIRN_CONF="); /* outside of quotes, or the shell would take it for a command's name */
    print_word(p, conf);
    if (faults->preload[0] != 0) {
        print(p, " LD_PRELOAD=");
        print_word(p, faults->preload);
    }
    print_command(p);
}

static const char *key_of(const struct faults *faults, const char *all, const char *hook)
{
    return (faults->tool.flags & CAIRN_TOOL_ALL_CALLS) != 0 ? all : hook;
}

static void tell(const struct faults *faults, const cairn_call *call, const char *what, size_t size,
                 uint64_t n)
{
    struct printer p;
    char setting[64];
    tool_say_begin(&p, &faults->tool);
    print(&p, "%s of %zu bytes at ", what, size);
    place_print(&p, place_of(call));
    print(&p, " fails, the %ju. allocation; repeat", n);
    print_to_buffer(setting, sizeof setting, "%s:%ju", key_of(faults, "faults", "hook_fault_nth"), n);
    print_repetition(&p, faults, setting);
    tool_say_end(&p);
}

static void tell_seed(const struct faults *faults)
{
    struct printer p;
    char setting[128];
    tool_say_begin(&p, &faults->tool);
    print(&p, "failures by chance; repeat all of them");
    print_to_buffer(setting, sizeof setting, "%s:%ju,%s:%ju", key_of(faults, "faults_ppm", "hook_fault_ppm"),
                    (uint64_t)(faults->probability * 1e6 + 0.5),
                    key_of(faults, "faults_seed", "hook_fault_seed"), faults->seed);
    print_repetition(&p, faults, setting);
    tool_say_end(&p);
}

/* ---- The interface ------------------------------------------------------------------------------- */

NOINLINE static bool failing(struct faults *faults, const cairn_call *call, const char *what, size_t size,
                             uint64_t n)
{
    uint64_t number;
    if (!take_failure(faults, &number))
        return false;
    if ((faults->tool.flags & CAIRN_TOOL_QUIET) == 0) {
        if (number == 1 && faults->chance != 0)
            tell_seed(faults);
        if (number <= TOLD_MAX)
            tell(faults, call, what, size, n);
    }
    (void)thread_fail(faults->error, "the fault injector let the allocation fail");
    return true;
}

static bool fails(void *context, const cairn_call *call, const char *what, size_t size)
{
    struct faults *faults = context;
    if (!tool_chooses(&faults->tool.where, call, size))
        return false;
    uint64_t n = fetch_add_relaxed(&faults->calls, 1) + 1;
    return is_to_fail(faults, n) && failing(faults, call, what, size, n);
}

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    return fails(context, call, "malloc", size) ? NULL : cairn_below_malloc(call, size);
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    return fails(context, call, "calloc", count * size) ? NULL : cairn_below_calloc(call, count, size);
}

static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    return fails(context, call, "realloc", size) ? NULL : cairn_below_realloc(call, block, old_size, size);
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    return fails(context, call, "aligned_alloc", size) ? NULL
                                                       : cairn_below_aligned_alloc(call, alignment, size);
}

/* ---- Output and life ----------------------------------------------------------------------------- */

static void faults_print(struct cairn_tool *tool, struct printer *p, bool json)
{
    uint64_t failed, calls = faults_count(tool, &failed);
    const struct faults *faults = (const struct faults *)tool;
    if (json)
        print(
            p,
            "{\"cairn\": \"%s\", \"tool\": \"faults\", \"allocations\": %ju, \"failed\": %ju, \"seed\": %ju}\n",
            cairn_version(), calls, failed, faults->seed);
    else
        print(p, "cairn: faults: %ju of %ju allocations failed\n", failed, calls);
}

uint64_t faults_count(struct cairn_tool *tool, uint64_t *failed)
{
    struct faults *faults = (struct faults *)tool;
    if (failed != NULL)
        *failed = load_relaxed(&faults->failed);
    return load_relaxed(&faults->calls);
}

const struct tool_kind faults_kind = {.name = "faults", .print = faults_print};

struct cairn_tool *faults_make(const cairn_faults_config *given)
{
    cairn_faults_config config = {.struct_size = sizeof config};
    if (!tool_config_read(&config, sizeof config, given))
        return NULL;
    if (!(config.probability >= 0 && config.probability <= 1))
        return thread_fail(EINVAL, "a probability is between 0 and 1");
    struct tool_config common = {sizeof common, config.flags, config.output, config.where};
    struct faults *faults = tool_make(&faults_kind, sizeof *faults, &common);
    if (faults == NULL)
        return NULL;
    faults->nth = config.nth;
    faults->every = config.every;
    faults->most = config.most;
    faults->seed = config.seed != 0 ? config.seed : (os_now_ns() ^ os_process_id()) % 1000000000 + 1;
    faults->probability = config.probability;
    faults->chance = config.probability >= 1 ? UINT64_MAX : (uint64_t)(config.probability * 0x1p64);
    faults->error = config.error != 0 ? config.error : ENOMEM;
    const char *preload = os_environment("LD_PRELOAD");
    print_to_buffer(faults->preload, sizeof faults->preload, "%s", preload != NULL ? preload : "");
    cairn_interface *interface = &faults->tool.interface;
    interface->on_malloc = on_malloc;
    interface->on_calloc = on_calloc;
    interface->on_realloc = on_realloc;
    interface->on_aligned_alloc = on_aligned_alloc;
    return &faults->tool;
}
