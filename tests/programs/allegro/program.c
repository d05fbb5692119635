/* program.c - uses Allegro 5 without a display: memory bitmaps, configurations, files, strings, paths, events, a timer.
 * Prints what it finds; the output is the same whatever allocator the library uses.
 *
 * With WITH_CAIRN it installs Cairn first and keeps its own account: the library's blocks are live where they should be,
 * and gone when it is uninstalled. */
#include <allegro5/allegro.h>
#include <allegro5/allegro_memfile.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_CAIRN
#include <cairn/allegro.h>
#include <cairn/tools.h>

static cairn_tool *leaks;
#endif

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static unsigned long sum_of(ALLEGRO_BITMAP *bitmap)
{
    unsigned long sum = 5381;
    for (int y = 0; y < al_get_bitmap_height(bitmap); y++)
        for (int x = 0; x < al_get_bitmap_width(bitmap); x++) {
            unsigned char r, g, b, a;
            al_unmap_rgba(al_get_pixel(bitmap, x, y), &r, &g, &b, &a);
            sum = sum * 33 + r + 3u * g + 7u * b + 11u * a;
        }
    return sum;
}

static void bitmaps(ALLEGRO_BITMAP **keep)
{
    al_set_new_bitmap_flags(ALLEGRO_MEMORY_BITMAP);
    al_set_new_bitmap_format(ALLEGRO_PIXEL_FORMAT_ARGB_8888);
    ALLEGRO_BITMAP *a = al_create_bitmap(320, 200), *b = al_create_bitmap(64, 64);
    MUST(a != NULL && b != NULL);
    al_set_target_bitmap(b);
    al_clear_to_color(al_map_rgba(10, 20, 30, 255));
    for (int i = 0; i < 64; i++)
        al_put_pixel(i, i * 7 % 64, al_map_rgb(i * 4, 255 - i, i * i % 256));
    al_set_target_bitmap(a);
    al_clear_to_color(al_map_rgb(1, 2, 3));
    for (int i = 0; i < 20; i++) {
        al_draw_bitmap(b, i * 13 % 300, i * 29 % 180, i % 4);
        al_draw_tinted_scaled_rotated_bitmap(b, al_map_rgba(200, 100, 255, 255), 32, 32, 160, 100,
                                             0.5f + (float)i / 20, 0.7f, (float)i / 3, 0);
    }
    printf("bitmap %lu\n", sum_of(a));
    ALLEGRO_BITMAP *part = al_create_sub_bitmap(a, 20, 30, 100, 50), *copy = al_clone_bitmap(part);
    MUST(part != NULL && copy != NULL);
    ALLEGRO_LOCKED_REGION *locked =
        al_lock_bitmap(copy, ALLEGRO_PIXEL_FORMAT_RGB_565, ALLEGRO_LOCK_READWRITE);
    MUST(locked != NULL);
    memset(locked->data, 0x5a, 100);
    al_unlock_bitmap(copy);
    printf("part %lu copy %lu\n", sum_of(part), sum_of(copy));
    al_convert_mask_to_alpha(b, al_map_rgba(10, 20, 30, 255));
    printf("mask %lu\n", sum_of(b));
    al_set_target_bitmap(NULL);
    al_destroy_bitmap(part);
    al_destroy_bitmap(copy);
    al_destroy_bitmap(b);
    *keep = a;
}

static void configurations(const char *path)
{
    ALLEGRO_CONFIG *config = al_create_config();
    char key[32], value[64];
    for (int section = 0; section < 10; section++)
        for (int i = 0; i < 50; i++) {
            snprintf(key, sizeof key, "key%d", i * 7 % 50);
            snprintf(value, sizeof value, "value %d of %d", i, section);
            al_set_config_value(config, section == 0 ? "" : key, key, value);
        }
    MUST(al_save_config_file(path, config));
    ALLEGRO_CONFIG *again = al_load_config_file(path);
    MUST(again != NULL);
    al_merge_config_into(again, config);
    ALLEGRO_CONFIG_SECTION *section;
    int sections = 0, entries = 0;
    for (const char *s = al_get_first_config_section(again, &section); s != NULL;
         s = al_get_next_config_section(&section)) {
        ALLEGRO_CONFIG_ENTRY *entry;
        sections++;
        for (const char *e = al_get_first_config_entry(again, s, &entry); e != NULL;
             e = al_get_next_config_entry(&entry))
            entries++;
    }
    printf("config %d sections %d entries, %s\n", sections, entries,
           al_get_config_value(again, "key7", "key7"));
    al_destroy_config(config);
    al_destroy_config(again);
}

static void files(const char *path)
{
    ALLEGRO_FILE *out = al_fopen(path, "wb");
    MUST(out != NULL);
    for (int i = 0; i < 1000; i++)
        MUST(al_fwrite32le(out, i * i) == 4);
    MUST(al_fclose(out));
    ALLEGRO_FILE *in = al_fopen(path, "rb");
    long total = 0;
    for (int i = 0; i < 1000; i++)
        total += al_fread32le(in);
    printf("file %ld, %d bytes\n", total, (int)al_fsize(in));
    MUST(al_fseek(in, 0, ALLEGRO_SEEK_SET));
    ALLEGRO_FILE *slice = al_fopen_slice(in, 400, "r");
    MUST(slice != NULL && al_fread32le(slice) == 0);
    al_fclose(slice);
    al_fclose(in);

    static char memory[256];
    ALLEGRO_FILE *mem = al_open_memfile(memory, sizeof memory, "rw");
    MUST(mem != NULL);
    al_fputs(mem, "first line\nsecond line\n");
    al_fseek(mem, 0, ALLEGRO_SEEK_SET);
    ALLEGRO_USTR *line = al_fget_ustr(mem);
    printf("line %s", al_cstr(line));
    al_ustr_free(line);
    al_fclose(mem);

    ALLEGRO_FS_ENTRY *entry = al_create_fs_entry(path);
    printf("entry of %d bytes\n", (int)al_get_fs_entry_size(entry));
    al_destroy_fs_entry(entry);
}

static void texts(void)
{
    ALLEGRO_USTR *text = al_ustr_new("");
    for (int i = 0; i < 500; i++)
        al_ustr_appendf(text, "%d,", i);
    al_ustr_find_replace_cstr(text, 0, "9", "neun");
    printf("text %d\n", (int)al_ustr_size(text));
    char *copy = al_cstr_dup(text);
    printf("copy %d\n", (int)strlen(copy));
    al_free(copy);
    al_ustr_free(text);
    ALLEGRO_PATH *path = al_create_path("/one/two/three.txt");
    al_append_path_component(path, "four");
    al_set_path_extension(path, ".dat");
    printf("path %s\n", al_path_cstr(path, '/'));
    al_destroy_path(path);
}

static void events(void)
{
    ALLEGRO_EVENT_QUEUE *queue = al_create_event_queue();
    ALLEGRO_TIMER *timer = al_create_timer(0.005);
    ALLEGRO_EVENT event;
    MUST(queue != NULL && timer != NULL);
    al_register_event_source(queue, al_get_timer_event_source(timer));
    al_start_timer(timer);
    for (int i = 0; i < 5; i++)
        al_wait_for_event(queue, &event);
    printf("events of type %d\n", (int)event.type);
    al_destroy_timer(timer);
    al_destroy_event_queue(queue);
}

#ifdef WITH_CAIRN
struct account {
    unsigned long long blocks, bytes, bitmap_bytes, own;
    unsigned long long lists; /* of the system drivers, which Allegro fills when it starts and never frees */
};

static int add(const cairn_leak *leak, void *context)
{
    struct account *account = context;
    account->blocks += leak->blocks;
    account->bytes += leak->bytes;
    if (leak->file != NULL && strstr(leak->file, "bitmap") != NULL)
        account->bitmap_bytes += leak->bytes;
    if (leak->func != NULL && strncmp(leak->func, "_al_system_", 11) == 0)
        account->lists += leak->blocks;
    if (leak->file != NULL && strcmp(leak->file, __FILE__) == 0)
        account->own += leak->blocks;
    return 0;
}

static struct account account_now(void)
{
    struct account account = {0};
    MUST(cairn_leaks_visit(leaks, add, &account) == 0);
    return account;
}
#endif

int main(int argc, char **argv)
{
    MUST(argc == 2);
    char config[300], file[300];
    snprintf(config, sizeof config, "%s/config.ini", argv[1]);
    snprintf(file, sizeof file, "%s/numbers.bin", argv[1]);
#ifdef WITH_CAIRN
    cairn_allegro_install();
    leaks = cairn_leaks_start(NULL);
    MUST(leaks != NULL);
#endif
    MUST(al_init());
    ALLEGRO_BITMAP *kept = NULL;
    bitmaps(&kept);
    configurations(config);
    files(file);
    texts();
    events();
    void *mine = al_malloc(1234);
    MUST(mine != NULL);
#ifdef WITH_CAIRN
    struct account live = account_now();
    fprintf(stderr, "live: %llu blocks, %llu bytes, of bitmaps %llu\n", live.blocks, live.bytes,
            live.bitmap_bytes);
    MUST(live.own == 1);                      /* al_malloc above, by line and file */
    MUST(live.blocks > 20);                   /* the library's own */
    MUST(live.bitmap_bytes >= 320 * 200 * 4); /* the bitmap that is kept, at its place in the library */
    MUST(cairn_usable_size(mine) >= 1234);    /* it is Cairn's */
#endif
    al_free(mine);
    printf("kept %lu\n", sum_of(kept));
    al_destroy_bitmap(kept);
    al_uninstall_system();
#ifdef WITH_CAIRN
    struct account left = account_now();
    fprintf(stderr, "left: %llu blocks, %llu bytes\n", left.blocks, left.bytes);
    cairn_tool_print(leaks, 2, CAIRN_STATS_TEXT);
    MUST(left.blocks == left.lists && left.lists <= 1);
#endif
    return 0;
}
