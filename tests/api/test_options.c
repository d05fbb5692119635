// timeout: 60
// sanitize: no
/* test_options.c - CAIRN_CONF: what is set is in force, what is not understood is named on standard error and
 * otherwise ignored, or fatal if so wished. */
#include "api.h"

static check_run run;

static void run_with(const char *conf)
{
    static char setting[70000];
    snprintf(setting, sizeof setting, "CAIRN_CONF=%s", conf);
    const char *const env[] = {setting, NULL};
    memset(&run, 0, sizeof run);
    run.env = env;
    check_task_run(&run, "works");
}

static void task_works(void)
{
    void *p = malloc(100), *q = malloc(10 * MIB);
    CHECK(p != NULL && q != NULL);
    memset(q, 1, 10 * MIB);
    free(p);
    free(q);
    cairn_stats s = stats_checked();
    dprintf(1, "limit %llu soft %llu\n", (unsigned long long)s.limit_hard, (unsigned long long)s.limit_soft);
}

/* Without the variable, and with an empty one, nothing is said. */
static void nothing_to_say(void **state)
{
    (void)state;
    static const char *const quiet[] = {"", "source:os", "limit:1G,soft_limit:500M,purge_delay:0", ","};
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) {
        run_with(quiet[i]);
        check_run_must(&run, quiet[i]);
        CHECKF(run.err[0] == '\0', "\"%s\": %.200s", quiet[i], run.err);
    }
}

/* "a bad key named on standard error, never ignored silently"; the process goes on */
static void bad_keys_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"bogus:1", "Limit:1G", "limitt:1G", "limit :1G", "sourc:os", "x:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[100];
        run_with(bad[i]);
        check_run_must(&run, bad[i]);
        snprintf(expected, sizeof expected, "^cairn: .*CAIRN_CONF.*%s", bad[i]);
        CHECKF(check_match(run.err, expected), "\"%s\": %.200s", bad[i], run.err);
        CHECK(strcmp(run.out, "limit 18446744073709551615 soft 18446744073709551615\n") == 0);
    }
}

/* "a bad value, too": named with its key, and the default stays in force */
static void bad_values_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "limit:",
        "limit:abc",
        "limit:12Q",
        "limit:1.5G",
        "limit:-1",
        "limit:0x10",
        "limit:1GG",
        "limit:G",
        "limit: 1G",
        "limit:99999999999G",
        "source:",
        "source:disk",
        "source:OS",
        "purge_delay:abc",
        "purge_delay:-5",
        "purge_delay:1M1",
        "stats:always",
        "stats",
        "limit",
        "abort_conf:maybe",
        "stats_signal:x",
        "stats_signal:1000",
        "stats_format:xml",
        "confirm_conf:2",
        "limit:18446744073709551616",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_with(bad[i]);
        check_run_must(&run, bad[i]);
        CHECKF(check_match(run.err, "^cairn: .*CAIRN_CONF") && strstr(run.err, bad[i]) != NULL,
               "\"%s\": %.200s", bad[i], run.err);
        CHECKF(strcmp(run.out, "limit 18446744073709551615 soft 18446744073709551615\n") == 0, "\"%s\": %s",
               bad[i], run.out);
    }
}

/* Good options among bad ones are in force; every bad one is named. */
static void good_options_among_bad_ones(void **state)
{
    (void)state;
    run_with("bogus:1,limit:64M,soft_limit:oops,purge_delay:20,worse");
    check_run_must(&run, "good among bad");
    CHECK(strstr(run.err, "bogus:1") != NULL && strstr(run.err, "soft_limit:oops") != NULL);
    CHECK(strstr(run.err, "worse") != NULL && strstr(run.err, "purge_delay") == NULL);
    assert_string_equal(run.out, "limit 67108864 soft 18446744073709551615\n");
}

/* "Sizes accept K M G" */
static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *conf, *out;
    } cases[] = {
        {"limit:67108864", "limit 67108864 soft 18446744073709551615\n"},
        {"limit:65536K", "limit 67108864 soft 18446744073709551615\n"},
        {"limit:64M", "limit 67108864 soft 18446744073709551615\n"},
        {"limit:2G,soft_limit:1G", "limit 2147483648 soft 1073741824\n"},
        {"soft_limit:32M,limit:64M", "limit 67108864 soft 33554432\n"},
        {"limit:64M,limit:128M", "limit 134217728 soft 18446744073709551615\n"}, /* the last one counts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_with(cases[i].conf);
        check_run_must(&run, cases[i].conf);
        CHECK(run.err[0] == '\0');
        assert_string_equal(run.out, cases[i].out);
    }
}

/* "abort_conf:true fatal": wherever it stands; without anything bad it does nothing */
static void abort_conf_is_fatal(void **state)
{
    (void)state;
    static const char *const fatal[] = {"abort_conf:true,bogus:1", "bogus:1,abort_conf:true",
                                        "limit:abc,abort_conf:true"};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        run_with(fatal[i]);
        check_run_aborted(&run, "^cairn: .*CAIRN_CONF.*(bogus:1|limit:abc)");
        CHECK(run.out[0] == '\0');
    }
    run_with("abort_conf:true,limit:64M");
    check_run_must(&run, "abort_conf without cause");
    CHECK(run.err[0] == '\0');
    run_with("abort_conf:false,bogus:1");
    check_run_must(&run, "abort_conf:false");
}

/* "confirm_conf:true prints what is in force", defaults as well as what was set */
static void confirm_conf_prints_all(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "source",       "limit",          "soft_limit",     "purge_delay", "stats",
        "stats_format", "stats_file",     "stats_signal",   "profile",     "profile_interval",
        "profile_file", "profile_format", "profile_signal", "abort_conf",  "confirm_conf"};
    run_with("confirm_conf:true,purge_delay:123,limit:64M");
    check_run_must(&run, "confirm_conf");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "(^|[ ,])%s:", keys[i]);
        CHECKF(check_match(run.err, expected), "%s is not in %.400s", keys[i], run.err);
    }
    CHECK(check_match(run.err, "^cairn: .*purge_delay:123(,|$)"));
    CHECK(check_match(run.err, "[ ,]limit:(64M|67108864)(,|$)"));
    CHECK(check_match(run.err, "source:os"));
    run_with("confirm_conf:true,limit:oops");
    CHECK(check_match(run.err, "[ ,]limit:none(,|$)"));
    /* what is printed can be given back as it is */
    run_with("confirm_conf:true,source:brk,limit:512M");
    const char *options = strstr(run.err, "source:");
    CHECK(options != NULL);
    static char first[4096];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(options, "\n"), options);
    run_with(first);
    check_run_must(&run, first);
    CHECKF(strstr(run.err, first) != NULL && strstr(run.err, "ignored") == NULL, "%.400s", run.err);
}

/* Nonsense of any length does no harm. */
static void nonsense_does_no_harm(void **state)
{
    (void)state;
    static char text[60000];
    uint64_t seed = check_seed();
    for (int round = 0; round < 40; round++) {
        size_t length = round < 30 ? check_below(&seed, 300) : check_below(&seed, sizeof text - 1);
        static const char pieces[] = "limit:source,:,:,%s%n%p0123456789KMG\t abort\x80\xff\n:::,,,stats_file";
        for (size_t i = 0; i < length; i++)
            text[i] = round % 2 == 0 ? pieces[check_below(&seed, sizeof pieces - 1)]
                                     : (char)(1 + check_below(&seed, 255));
        text[length] = '\0';
        run_with(text);
        check_run_must(&run, "nonsense");
        CHECK(strstr(run.out, "limit ") != NULL);
    }
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {{"works", task_works}, {NULL, NULL}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_say),          cmocka_unit_test(bad_keys_are_named),
        cmocka_unit_test(bad_values_are_named),    cmocka_unit_test(good_options_among_bad_ones),
        cmocka_unit_test(sizes_have_units),        cmocka_unit_test(abort_conf_is_fatal),
        cmocka_unit_test(confirm_conf_prints_all), cmocka_unit_test(nonsense_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
