// link: -Wl,--wrap=os_is_privileged
/* test_options.c - CAIRN_CONF: every kind of value, good and bad, what is said about it, and the two tables. */
#include "unit.h"

#include "front/options.h"
#include "observe/tool.h"
#include "os/os.h"

bool __wrap_os_is_privileged(void);

static bool privileged;

bool __wrap_os_is_privileged(void)
{
    return privileged;
}

static struct heap_config config;
static struct observe_settings settings;
static struct profile_settings profile;
static char said[8192];

static void load(const char *conf)
{
    memset(&config, 0, sizeof config);
    memset(&settings, 0, sizeof settings);
    if (conf != NULL)
        CHECK(setenv("CAIRN_CONF", conf, 1) == 0);
    else
        CHECK(unsetenv("CAIRN_CONF") == 0);
    struct capture capture = capture_begin(2);
    options_load(&config, &settings, &profile);
    capture_end(&capture, said, sizeof said);
}

static void is_default(void)
{
    CHECK(config.source == &source_os && config.limit_hard == SIZE_MAX && config.limit_soft == SIZE_MAX);
    CHECK(config.purge_delay == 500 && config.keep_least == MiB);
    CHECK(!settings.stats_at_exit && !settings.stats_json && settings.stats_signal == 0);
    CHECK(!profile.at_start && !profile.text && profile.signal == 0 && profile.interval == 512 * KiB);
    assert_string_equal(profile.file, "cairn-profile.%p");
    CHECK(settings.stats_file[0] == '\0');
}

static void defaults(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL, "", ",", ",,,"};
    for (size_t i = 0; i < COUNT_OF(nothing); i++) {
        load(nothing[i]);
        is_default();
        assert_string_equal(said, "");
    }
}

static void every_hook_key(void **state)
{
    (void)state;
    load(
        "hook_leaks:exit,hook_format:json,hook_output:o,hook_trace:t,hook_limit:2K,hook_guard:g*,hook_guard_every:3,"
        "hook_fault_nth:4,hook_fault_every:5,hook_fault_ppm:6,hook_fault_seed:7,hook_fault_file:f.c,"
        "hook_fault_function:fn,hook_fault_line:8,hook_fault_size:9K");
    assert_string_equal(said, "");
    const struct tool_settings *t = &tool_settings;
    CHECK(t->leaks && t->leaks_flags == (CAIRN_TOOL_AT_EXIT | CAIRN_TOOL_JSON) &&
          t->hook_limits.bytes == 2 * KiB);
    CHECK(t->hook_guard.every == 3 && t->hook_faults.nth == 4 && t->hook_faults.every == 5 &&
          t->hook_faults.ppm == 6 && t->hook_faults.seed == 7);
    CHECK(t->hook_faults.line == 8 && t->hook_faults.size == 9 * KiB);
    assert_string_equal(t->output, "o");
    assert_string_equal(t->trace, "t");
    assert_string_equal(t->hook_guard.function, "g*");
    assert_string_equal(t->hook_faults.file, "f.c");
    assert_string_equal(t->hook_faults.function, "fn");
    load("hook_leaks:on");
    CHECK(t->leaks && t->leaks_flags == 0 && t->hook_limits.bytes == SIZE_MAX &&
          t->hook_guard.function[0] == 0 && t->hook_faults.nth == 0);
}

static void every_tool_key(void **state)
{
    (void)state;
    const struct tool_settings *t = &tool_settings;
    load(
        "faults:1,faults_every:2,faults_ppm:3,faults_seed:4,faults_most:5,faults_function:f*,faults_library:l*,"
        "faults_size:6K,faults_report:exit,limits:7M,limits_blocks:8,limits_function:g*,limits_library:m*,"
        "guard:h*,guard_library:n*,guard_every:9,guard_size:10");
    assert_string_equal(said, "");
    CHECK(t->faults.nth == 1 && t->faults.every == 2 && t->faults.ppm == 3 && t->faults.seed == 4);
    CHECK(t->faults.most == 5 && t->faults.size == 6 * KiB && t->faults.line == 0 && t->faults.report);
    assert_string_equal(t->faults.function, "f*");
    assert_string_equal(t->faults.file, "l*");
    CHECK(t->limits.bytes == 7 * MiB && t->limits.blocks == 8);
    assert_string_equal(t->limits.function, "g*");
    assert_string_equal(t->limits.library, "m*");
    CHECK(t->guard.every == 9 && t->guard.size == 10);
    assert_string_equal(t->guard.function, "h*");
    assert_string_equal(t->guard.library, "n*");
    CHECK(t->hook_faults.nth == 0 && t->hook_limits.bytes == SIZE_MAX && t->hook_guard.function[0] == 0);
    load("");
    CHECK(t->faults.nth == 0 && t->faults.every == 0 && t->faults.ppm == 0 && !t->faults.report);
    CHECK(t->limits.bytes == SIZE_MAX && t->limits.blocks == 0 && t->guard.every == 1);
    CHECK(t->guard.function[0] == 0 && t->guard.library[0] == 0);
}

static void every_key(void **state)
{
    (void)state;
    load("source:brk,limit:10M,soft_limit:9K,purge_delay:77,keep:3,stats:exit,stats_format:json,"
         "stats_file:/tmp/a:b.%p,stats_signal:12,trace:/t/%p,"
         "profile:on,profile_interval:2M,profile_file:x%p,profile_format:text,profile_signal:10");
    CHECK(profile.at_start && profile.text && profile.signal == 10 && profile.interval == 2 * MiB);
    assert_string_equal(profile.file, "x%p");
    assert_string_equal(said, "");
    CHECK(config.source == &source_brk && config.limit_hard == 10 * MiB && config.limit_soft == 9 * KiB);
    CHECK(config.purge_delay == 77 && config.keep_least == 3);
    CHECK(settings.stats_at_exit && settings.stats_json && settings.stats_signal == 12);
    CHECK(strcmp(settings.trace_file, "/t/%p") == 0);
    assert_string_equal(settings.stats_file, "/tmp/a:b.%p");
    load("source:os,stats:off,stats_format:text,stats_signal:0,stats_file:");
    is_default();
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t value;
    } good[] = {{"1", 1},
                {"4096", 4096},
                {"1k", KiB},
                {"1K", KiB},
                {"007m", 7 * MiB},
                {"2G", 2 * GiB},
                {"3t", (size_t)3 << 40},
                {"none", SIZE_MAX},
                {"18446744073709551615", SIZE_MAX},
                {"18014398509481983K", SIZE_MAX - 1023},
                {"16777215T", SIZE_MAX - (((size_t)1 << 40) - 1)}};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char conf[100];
        snprintf(conf, sizeof conf, "limit:%s", good[i].text);
        load(conf);
        CHECKF(config.limit_hard == good[i].value && said[0] == 0, "%s: %zu", conf, config.limit_hard);
    }
    load("keep:0");
    CHECK(config.keep_least == 0);
}

static void bad_values_are_named_and_ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "limit:",
        "limit:0",
        "limit:-1",
        "limit:+1",
        "limit: 1",
        "limit:1 ",
        "limit:K",
        "limit:1KB",
        "limit:1P",
        "limit:0x10",
        "limit:NONE",
        "limit:1.5M",
        "limit:16777216T",
        "limit:18446744073709551616",
        "limit:99999999999999999999999999",
        "purge_delay:3600001",
        "purge_delay:1K",
        "purge_delay:none",
        "purge_delay:",
        "stats:maybe",
        "stats:",
        "stats:exi",
        "stats:exits",
        "stats:off|exit",
        "source:mmap",
        "stats_signal:65",
        "stats_format:xml",
        "abort_conf:1",
        "abort_conf:True",
        "confirm_conf:yes",
        "limit",
        "keep",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char expected[200];
        load(bad[i]);
        is_default();
        snprintf(expected, sizeof expected, "cairn: CAIRN_CONF: bad value: %s (ignored)\n", bad[i]);
        assert_string_equal(said, expected);
    }
}

static void bad_keys_are_named_and_ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {"limitt:1", "lim:1", "Limit:1", " limit:1", ":1", ":", "sourc:os"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char expected[200];
        load(bad[i]);
        is_default();
        snprintf(expected, sizeof expected, "cairn: CAIRN_CONF: unknown key: %s (ignored)\n", bad[i]);
        assert_string_equal(said, expected);
    }
}

/* What is good beside it counts; the last of two counts; each mistake has its line. */
static void good_among_bad(void **state)
{
    (void)state;
    load(",limit:5K,,nonsense:1,keep:2K,purge_delay:x,limit:6K,");
    CHECK(config.limit_hard == 6 * KiB && config.keep_least == 2 * KiB && config.purge_delay == 500);
    assert_string_equal(said, "cairn: CAIRN_CONF: unknown key: nonsense:1 (ignored)\n"
                              "cairn: CAIRN_CONF: bad value: purge_delay:x (ignored)\n");
}

static void long_texts(void **state)
{
    (void)state;
    char conf[3 * STATS_FILE_MAX];
    int head = sprintf(conf, "stats_file:");
    for (size_t length = STATS_FILE_MAX - 2; length <= STATS_FILE_MAX + 1; length++) {
        memset(conf + head, 'f', length);
        conf[(size_t)head + length] = '\0';
        load(conf);
        bool fits = length < STATS_FILE_MAX;
        CHECK_EQ(strlen(settings.stats_file), fits ? length : 0);
        CHECK((said[0] == '\0') == fits);
        CHECK(strlen(said) < 400);
    }
}

static void set_user_id_programs_ignore_it(void **state)
{
    (void)state;
    privileged = true;
    load("limit:1M,nonsense,abort_conf:true");
    privileged = false;
    is_default();
    assert_string_equal(said, "");
}

static void in_force_is_printed(void **state)
{
    (void)state;
    load("confirm_conf:true,limit:3K,stats:exit,stats_file:x y,source:brk");
    assert_string_equal(
        said,
        "cairn: options in force: source:brk,limit:3072,soft_limit:none,purge_delay:500,"
        "keep:1048576,stats:exit,stats_format:text,stats_file:x y,stats_signal:0,trace:,"
        "profile:off,profile_interval:524288,profile_file:cairn-profile.%p,"
        "profile_format:pprof,profile_signal:0,hook_leaks:off,hook_format:text,hook_output:,"
        "hook_trace:,hook_limit:none,hook_guard:,hook_guard_every:1,hook_fault_nth:0,"
        "hook_fault_every:0,hook_fault_ppm:0,hook_fault_seed:0,hook_fault_file:,"
        "hook_fault_function:,hook_fault_line:0,hook_fault_size:0,"
        "faults:0,faults_every:0,faults_ppm:0,faults_seed:0,faults_most:0,faults_function:,faults_library:,"
        "faults_size:0,faults_report:off,limits:none,limits_blocks:0,limits_function:,limits_library:,"
        "guard:,guard_library:,guard_every:1,guard_size:0,abort_conf:false,confirm_conf:true\n");
}

/* ---- abort_conf ---------------------------------------------------------------------------------- */

static void load_from_environment(void)
{
    options_load(&config, &settings, &profile);
}

/* The library has read CAIRN_CONF at start, so this is for what must not abort. */
static const check_task tasks[] = {{"load", load_from_environment}, {NULL, NULL}};

static void abort_conf_makes_mistakes_fatal(void **state)
{
    (void)state;
    static const char *const fatal[] = {"CAIRN_CONF=abort_conf:true,limit:x",
                                        "CAIRN_CONF=nonsense,abort_conf:true",
                                        "CAIRN_CONF=abort_conf:true,a:b,abort_conf:maybe"};
    static check_run run;
    for (size_t i = 0; i < COUNT_OF(fatal); i++) {
        const char *const env[] = {fatal[i], NULL};
        memset(&run, 0, sizeof run);
        run.env = env;
        check_task_run(&run, "load");
        check_run_aborted(&run, "^cairn: CAIRN_CONF: aborting, as abort_conf:true asks$");
    }
    check_task_conf("load", "abort_conf:true,limit:5G");
    check_task_conf("load", "abort_conf:true,limit:x,abort_conf:false");
}

/* ---- The tables ---------------------------------------------------------------------------------- */

static const char *const keys[] = {"source",
                                   "limit",
                                   "soft_limit",
                                   "purge_delay",
                                   "keep",
                                   "stats",
                                   "stats_format",
                                   "stats_file",
                                   "stats_signal",
                                   "trace",
                                   "profile",
                                   "profile_interval",
                                   "profile_file",
                                   "profile_format",
                                   "profile_signal",
                                   "hook_leaks",
                                   "hook_format",
                                   "hook_output",
                                   "hook_trace",
                                   "hook_limit",
                                   "hook_guard",
                                   "hook_guard_every",
                                   "hook_fault_nth",
                                   "hook_fault_every",
                                   "hook_fault_ppm",
                                   "hook_fault_seed",
                                   "hook_fault_file",
                                   "hook_fault_function",
                                   "hook_fault_line",
                                   "hook_fault_size",
                                   "faults",
                                   "faults_every",
                                   "faults_ppm",
                                   "faults_seed",
                                   "faults_most",
                                   "faults_function",
                                   "faults_library",
                                   "faults_size",
                                   "faults_report",
                                   "limits",
                                   "limits_blocks",
                                   "limits_function",
                                   "limits_library",
                                   "guard",
                                   "guard_library",
                                   "guard_every",
                                   "guard_size",
                                   "abort_conf",
                                   "confirm_conf"};

static void tables_name_every_key(void **state)
{
    (void)state;
    static char text[16384];
    for (int markdown = 0; markdown < 2; markdown++) {
        struct capture capture = capture_begin(1);
        CHECK(options_print(1, markdown != 0));
        capture_end(&capture, text, sizeof text);
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
            char row[100];
            snprintf(row, sizeof row, markdown ? "^\\| `%s` \\| " : "^%s +[a-z]", keys[i]);
            CHECKF(check_match(text, row), "%s in %s", keys[i], text);
        }
        size_t lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
            lines++;
        CHECK_EQ(lines, markdown ? 6 + COUNT_OF(keys) + 2 : 2 * COUNT_OF(keys));
    }
    for (const char *line = strstr(text, "| `"); line != NULL; line = strstr(line + 1, "\n| `")) {
        size_t bars = 0;
        for (const char *at = line + 1; *at != '\n'; at++)
            bars += *at == '|';
        CHECKF(bars >= 4 && bars <= 5, "%zu bars in %.60s", bars, line);
    }
    CHECK(!options_print(-1, false));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key),
        cmocka_unit_test(every_hook_key),
        cmocka_unit_test(every_tool_key),
        cmocka_unit_test(sizes),
        cmocka_unit_test(bad_values_are_named_and_ignored),
        cmocka_unit_test(bad_keys_are_named_and_ignored),
        cmocka_unit_test(good_among_bad),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(set_user_id_programs_ignore_it),
        cmocka_unit_test(in_force_is_printed),
        cmocka_unit_test(abort_conf_makes_mistakes_fatal),
        cmocka_unit_test(tables_name_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
