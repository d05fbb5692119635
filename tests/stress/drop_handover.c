// timeout: 60
// sanitize: no
/* drop_handover.c - the standard names and libc's own users of them, in 16 threads that hand over: strdup,
 * asprintf, open_memstream, getdelim, regcomp, qsort of much, and blocks of one name freed by another. */
#include "stress.h"
#include <malloc.h>

enum { THREADS = 16, SLOTS = 2000 };
static _Atomic(char *) slots[SLOTS];

/* A string of `length` times its first letter, made one way or another. */
static char *make_string(uint64_t *seed)
{
    char text[3000], *made = NULL;
    size_t length = 1 + check_below(seed, sizeof text - 1), size = 0;
    memset(text, 'a' + (int)check_below(seed, 26), length);
    text[length - 1] = '\0';
    switch (check_below(seed, 6)) {
    case 0: made = strdup(text); break;
    case 1: made = strndup(text, length); break;
    case 2: CHECK(asprintf(&made, "%s", text) == (int)length - 1); break;
    case 3: {
        FILE *stream = open_memstream(&made, &size);
        CHECK(stream != NULL && fputs(text, stream) >= 0 && fclose(stream) == 0);
        break;
    }
    case 4:
        made = memalign(64, length);
        CHECK(made != NULL);
        memcpy(made, text, length);
        break;
    default:
        made = realloc(calloc(1, length), length * 3);
        CHECK(made != NULL && made[0] == '\0');
        memcpy(made, text, length);
    }
    CHECK(made != NULL && malloc_usable_size(made) >= strlen(text) + 1);
    return made;
}

static void drop_string(char *string, uint64_t *seed)
{
    if (string == NULL)
        return;
    CHECK(strspn(string, (char[]){string[0], '\0'}) == strlen(string));
    switch (check_below(seed, 3)) {
    case 0: free(string); break;
    case 1: cairn_free(string); break;
    default: free(realloc(string, 0));
    }
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        for (int step = 0; step < 100; step++)
            drop_string(atomic_exchange(&slots[check_below(&seed, SLOTS)], make_string(&seed)), &seed);
        CHECK(check_match("some text to be matched", "(some|none) t[a-z]+t.*m[^0-9]*d"));
        if (check_below(&seed, 50) == 0)
            malloc_trim(0);
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks, seed = 1;
    stress_for(2.5);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        drop_string(slots[i], &seed);
    stress_at_rest(before + 8 * THREADS + 200); /* libc's locale tables for regcomp stay */
    return 0;
}
