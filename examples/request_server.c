/* request_server.c - a server with a pool for each request, and one call to end it.
 *
 * Each connection to a Unix socket is a request: text, up to its end.  The answer is its words with their counts, sorted.
 * Whatever a request allocates comes from its own pool: there is no free in this program, no leak on any path out of a
 * request, and none of them can take more than its limit.
 *
 *     request_server SOCKET        serves until it is killed
 *     request_server               serves three requests of its own and shows the answers
 */
#include <cairn/pool.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_LIMIT ((size_t)2 << 20) /* bytes of memory for one request */

struct word {
    struct word *next;
    const char *text;
    unsigned count;
};

struct request {
    cairn_pool *pool;
    int client;
    struct word *words;
    size_t count;
};

/* The text up to the end of the connection; NULL: too long for the request's limit. */
static char *read_all(struct request *request)
{
    size_t room = 4096, used = 0;
    char *text = cairn_pool_malloc(request->pool, room);
    ssize_t got;
    while (text != NULL && (got = read(request->client, text + used, room - used - 1)) > 0) {
        used += (size_t)got;
        if (used + 1 == room)
            text = cairn_pool_realloc(request->pool, text, room *= 2);
    }
    if (text != NULL)
        text[used] = '\0';
    return text;
}

static int count_word(struct request *request, const char *text)
{
    struct word **at = &request->words;
    while (*at != NULL && strcmp((*at)->text, text) < 0)
        at = &(*at)->next;
    if (*at == NULL || strcmp((*at)->text, text) != 0) {
        struct word *word = cairn_pool_malloc(request->pool, sizeof *word);
        if (word == NULL)
            return -1;
        *word = (struct word){*at, cairn_pool_strdup(request->pool, text), 0};
        if (word->text == NULL)
            return -1;
        *at = word;
    }
    (*at)->count++;
    return 0;
}

static const char *answer(struct request *request)
{
    char *text = read_all(request), *state;
    if (text == NULL)
        return cairn_errormsg();
    for (char *word = strtok_r(text, " \t\r\n", &state); word != NULL;
         word = strtok_r(NULL, " \t\r\n", &state))
        if (count_word(request, word) != 0)
            return cairn_errormsg();
    for (const struct word *word = request->words; word != NULL; word = word->next)
        dprintf(request->client, "%s %u\n", word->text, word->count);
    return NULL;
}

static void *serve(void *client)
{
    cairn_pool_config config = {.struct_size = sizeof config, .name = "request", .limit = REQUEST_LIMIT};
    struct request request = {.pool = cairn_pool_create(&config), .client = (int)(intptr_t)client};
    const char *trouble = request.pool != NULL ? answer(&request) : cairn_errormsg();
    if (trouble != NULL)
        dprintf(request.client, "refused: %s\n", trouble);
    cairn_pool_destroy(request.pool); /* all of it, wherever the request ended */
    shutdown(request.client, SHUT_WR);
    close(request.client);
    return NULL;
}

static int start_serving(int client)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) != 0)
        return close(client), -1;
    return pthread_detach(thread);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path || fd < 0)
        return -1;
    strcpy(address.sun_path, path);
    (void)unlink(path);
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0 ? fd : -1;
}

/* ---- Without a socket: requests of its own ---------------------------------------------------------- */

static void show(const char *text, size_t times)
{
    int ends[2];
    char reply[200];
    ssize_t got;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || start_serving(ends[1]) != 0)
        exit(1);
    for (size_t i = 0; i < times; i++)
        if (send(ends[0], text, strlen(text), MSG_NOSIGNAL) < 0)
            break; /* refused before the end */
    shutdown(ends[0], SHUT_WR);
    printf("> %.40s%s\n", text, times > 1 ? " ... and so on" : "");
    while ((got = read(ends[0], reply, sizeof reply)) > 0)
        printf("%.*s", (int)got, reply);
    close(ends[0]);
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        show("the stone on the stone on the hill", 1);
        show("a request that will not end ", 1000000);
        show("and the next one is served as ever", 1);
        return 0;
    }
    int server = listen_at(argv[1]), client;
    if (server < 0) {
        perror(argv[1]);
        return 1;
    }
    while ((client = accept(server, NULL, NULL)) >= 0)
        (void)start_serving(client);
    return 1;
}
