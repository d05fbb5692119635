/* list.c - a program that knows nothing of Cairn, and looks at what malloc says: it ends with 0, or with 3 and a message.
 * Its second argument makes it misuse a block. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char *text;
};

static char *copy_text(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

static struct node *new_node(struct node *next, const char *text)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->text = copy_text(text);
    node->next = next;
    if (node->text != NULL)
        return node;
    free(node);
    return NULL;
}

static void misuse(struct node *node, const char *how)
{
    if (strcmp(how, "overrun") == 0)
        node->text[40] = 1;
    if (strcmp(how, "small") == 0) {
        node->text[7] = 1;
        free(node->text);
    }
    if (strcmp(how, "late") == 0) {
        free(node->text);
        node->text[0] = 1;
    }
}

int main(int argc, char **argv)
{
    struct node *list = NULL;
    int count = argc > 1 ? atoi(argv[1]) : 5;
    for (int i = 0; i < count; i++) {
        struct node *node = new_node(list, "hello");
        if (node == NULL) {
            fputs("list: no memory\n", stderr);
            return 3;
        }
        list = node;
    }
    char *grown = malloc(10);
    for (size_t size = 100; grown != NULL && size < 100000; size *= 3) {
        char *larger = realloc(grown, size);
        if (larger == NULL)
            free(grown);
        grown = larger;
    }
    void *aligned = NULL;
    if (grown == NULL || posix_memalign(&aligned, 256, 1000) != 0) {
        fputs("list: no memory\n", stderr);
        return 3;
    }
    if (argc > 2)
        misuse(list, argv[2]);
    free(aligned);
    free(grown);
    while (list != NULL) {
        struct node *next = list->next;
        free(list->text);
        free(list);
        list = next;
    }
    return 0;
}
