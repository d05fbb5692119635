/* leaks.c - see leaks.h. */
#include "leaks.h"

#include "cli.h"
#include "numbers.h"
#include "profile_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITES_SHOWN 50

/* The name of a process's profile (to be freed), or NULL after a message: it was killed, or left by _exit. */
static char *profile_of(const char *folder, int process)
{
    char *name = text_of("%s/%d", folder, process);
    if (access(name, R_OK) == 0)
        return name;
    complain("the program left no profile: it did not come to its end by exit, or Cairn was not in it");
    free(name);
    return NULL;
}

/* Those of further processes; false after a message. */
static bool keep_others(const char *folder, int process, const char *file)
{
    DIR *entries = opendir(folder);
    bool good = entries != NULL;
    char *first = text_of("%d", process);
    for (struct dirent *entry; good && (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, first) == 0)
            continue;
        char *from = text_of("%s/%s", folder, entry->d_name), *to = text_of("%s.%s", file, entry->d_name);
        good = profile_compress(from, to);
        free(from);
        free(to);
    }
    free(first);
    if (entries != NULL)
        (void)closedir(entries);
    else
        complain("%s: %s", folder, strerror(errno));
    return good;
}

bool profiles_keep(const char *folder, int process, const char *file)
{
    char *name = profile_of(folder, process);
    bool good = name != NULL && profile_compress(name, file);
    free(name);
    return keep_others(folder, process, file) && good;
}

static size_t count_live(const struct profile *profile)
{
    size_t count = 0;
    for (size_t i = 0; i < profile->site_count; i++)
        count += profile->sites[i].values[LIVE_BLOCKS] > 0;
    return count;
}

bool profiles_print_leaks(const char *folder, int process)
{
    struct profile profile;
    char bytes[NUMBER_MAX], blocks[NUMBER_MAX];
    char *name = profile_of(folder, process);
    bool good = name != NULL && profile_read(name, &profile);
    free(name);
    if (!good)
        return false;
    size_t sites = count_live(&profile);
    number_of_bytes(bytes, profile.totals[LIVE_BYTES]);
    number_of_count(blocks, profile.totals[LIVE_BLOCKS]);
    fprintf(stderr, "\nlive at exit: %s in %s blocks, from %zu stack%s\n", bytes, blocks, sites,
            sites == 1 ? "" : "s");
    profile_sort(&profile, LIVE_BYTES);
    profile_print_sites(&profile, LIVE_BYTES, SITES_SHOWN, stderr);
    if (sites > SITES_SHOWN)
        fprintf(stderr, "  and %zu more; --profile FILE keeps all of them\n", sites - SITES_SHOWN);
    profile_release(&profile);
    return true;
}
