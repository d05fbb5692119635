#!/bin/bash
# long: builds and steps through a pool file's stores for each of some twenty swapped orders
# The tests that kill a process behind each store notice every order that is not that of src/persist/protocol.h: each of
# these swaps, put into a copy of the sources, makes one of them fail.
#
#   tests/gates/store-order.sh BUILD [NUMBER...]     only these swaps
. "$(dirname "$0")/lib.bash"
shift
only=" $* "

tree=$work/tree
mkdir -p "$tree"
cp -r "$source_dir"/{CMakeLists.txt,CMakePresets.json,cmake,include,scripts,src,tests,bench,compat,examples} "$tree/"
cmake --log-level=WARNING -S "$tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCAIRN_WERROR=OFF '-DCAIRN_TEST_FOLDERS=fault' >/dev/null

# A build that fails, or a run that somebody ends, is no answer.
passes() {
    local program status
    cmake --build "$work/build" --target tests >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    for program in test_kill_steps test_kill_life test_kill_windows test_kill_threads; do
        status=0
        CAIRN_SEEDS=12 timeout 600 "$(find "$work/build" -name $program -type f)" >"$work/log" 2>&1 || status=$?
        case $status in
        0) ;;
        12[3-9] | 130) echo "$program ended with status $status"; exit 1 ;;
        *) return 1 ;;
        esac
    done
    return 0
}

passes || { cat "$work/log"; exit 1; }
count=0
unnoticed=()
outdated=()

# swap FILE WHAT OLD NEW: replaces the first OLD in src/FILE
swap() {
    local file=$tree/src/$1 text
    count=$((count + 1))
    [[ $only == "  " || $only == *" $count "* ]] || return 0
    text=$(<"$file")
    if [[ $text != *"$3"* ]]; then
        outdated+=("$count $1: $2")
        return 0
    fi
    cp "$file" "$work/before"
    printf '%s\n' "${text/"$3"/"$4"}" >"$file"
    if passes; then
        unnoticed+=("$count $1: $2")
        echo "not noticed: $count $1: $2"
    else
        echo "noticed: $count $1: $2: $(grep -aoE 'behind step [0-9]+: .*|behind [a-z ]*[0-9]+: .*|signal [0-9]+.*' "$work/log" | head -1)"
    fi
    cp "$work/before" "$file"
}

# ---- Spans, blocks
swap persist/book.c "1 2: the descriptor before what is touched" "    book_touch(file, page + span->pages);
    if (span->size_class == CLASS_LARGE)
        intent_before_large(file, (void *)span->base);
    file_store(&file->descriptors[page], format_descriptor(page, span->size_class, span->pages));" \
    "    if (span->size_class == CLASS_LARGE)
        intent_before_large(file, (void *)span->base);
    file_store(&file->descriptors[page], format_descriptor(page, span->size_class, span->pages));
    book_touch(file, page + span->pages);"
swap pool/api.c "4 5: the link before the mark, quick" "    store_relaxed(mark, 0);
    order_here(); /* the mark goes before the block's bytes do */
    span_link(span, block, frees);" "    span_link(span, block, frees);
    order_here();
    store_relaxed(mark, 0);"
swap pool/slab.c "4 5: the link before the mark, slow" "        store_relaxed(span_mark(span, block), 0);
        order_here(); /* the mark goes before the block's bytes do */
    }
    heap_free(uses_one_cache(pool) ? NULL : thread_pool_cache_if_any(pool), call, block);" "    }
    uint8_t *mark = span->marks != 0 ? span_mark(span, block) : NULL;
    heap_free(uses_one_cache(pool) ? NULL : thread_pool_cache_if_any(pool), call, block);
    order_here();
    if (mark != NULL)
        store_relaxed(mark, 0);"

# ---- malloc_to and calloc_to
swap persist/intent.c "9 10: the call before the offsets" "    file_store(&written->old, offset_or_0(file, intent->old));
    file_store(&written->fresh, offset_or_0(file, intent->fresh));
    file_store(&written->slot, offset_or_0(file, intent->slot));
    file_store(&written->call,
               format_seal((uint64_t)intent->call | (uint64_t)intent->kind << 8, salt_of(written)));" \
    "    struct file_intent all = {.old = offset_or_0(file, intent->old), .fresh = offset_or_0(file, intent->fresh),
                              .slot = offset_or_0(file, intent->slot)};
    file_store(&written->call, format_seal((uint64_t)intent->call | (uint64_t)intent->kind << 8, salt_of(&all)));
    file_store(&written->old, all.old);
    file_store(&written->fresh, all.fresh);
    file_store(&written->slot, all.slot);"
swap persist/transfer.c "10 11: the mark before the intent" "        intent_write(intent);
        set_mark(pagemap_find(block), block, MARK_LIVE);" "        set_mark(pagemap_find(block), block, MARK_LIVE);
        intent_write(intent);"
swap persist/book.c "10 11: the descriptor of a large block before the intent" "    if (span->size_class == CLASS_LARGE)
        intent_before_large(file, (void *)span->base);
    file_store(&file->descriptors[page], format_descriptor(page, span->size_class, span->pages));" \
    "    file_store(&file->descriptors[page], format_descriptor(page, span->size_class, span->pages));
    if (span->size_class == CLASS_LARGE)
        intent_before_large(file, (void *)span->base);"
swap persist/transfer.c "11 12: the slot before the mark" "        intent_write(intent);
        set_mark(pagemap_find(block), block, MARK_LIVE);
    }
    return block;" "        intent_write(intent);
        intent_store_slot(intent->file, intent->kind, intent->slot, block);
        set_mark(pagemap_find(block), block, MARK_LIVE);
    }
    return block;"
swap persist/transfer.c "12 13: the intent cleared before the slot" "    if (block != NULL)
        intent_store_slot(file, kind, slot, block);
    intent_leave(&intent);" "    intent_clear(&intent);
    if (block != NULL)
        intent_store_slot(file, kind, slot, block);
    intent_leave(&intent);"

# ---- free_from
swap persist/transfer.c "15 16: the slot before the intent" "    intent_write(&intent);
    intent_store_slot(file, kind, slot, NULL);" "    intent_store_slot(file, kind, slot, NULL);
    intent_write(&intent);"
swap persist/transfer.c "17 18: the intent cleared before the mark" "        set_mark(span, old, 0);
        intent_clear(intent);" "        intent_clear(intent);
        set_mark(span, old, 0);"
swap persist/book.c "17 18: the intent cleared before the descriptor" "    file_store(&file->descriptors[page], 0);
    if (span->size_class == CLASS_LARGE)
        intent_behind_large(file, (void *)span->base);" "    if (span->size_class == CLASS_LARGE)
        intent_behind_large(file, (void *)span->base);
    file_store(&file->descriptors[page], 0);"
swap persist/transfer.c "18: the block pushed before the intent is cleared" "        set_mark(span, old, 0);
        intent_clear(intent);" "        set_mark(span, old, 0);"

# ---- realloc_to
swap persist/transfer.c "23 24: the old block goes before the slot" "        intent_store_slot(file, kind, slot, fresh);
        end_old(pool, call, &intent, span);" "        set_mark(span, old, 0);
        intent_store_slot(file, kind, slot, fresh);
        end_old(pool, call, &intent, span);"
swap persist/transfer.c "21 22: the slot before the contents" "    if (from != NULL)
        memcpy(block, from, contents);" "    if (from != NULL)
        intent_store_slot(intent->file, intent->kind, intent->slot, block), memcpy(block, from, contents);"

# ---- Growing, roots
swap persist/file.c "26 27: the capacity before the disk space" "    if (!allocate(file->fd, file->header, from, pages)) {" \
    "    file_set_word(file, WORD_CAPACITY, pages);
    if (!allocate(file->fd, file->header, from, pages)) {"
swap persist/roots.c "29 30: the word before the name" "        if (index < 0)
            write_name(entry, name);
        set_word(entry, format_seal(file_offset(file, root), roots_salt(entry->name)));" \
    "        set_word(entry, format_seal(file_offset(file, root), format_hash(name, strlen(name))));
        if (index < 0)
            write_name(entry, name);"

# ---- Creating, opening, recovery
swap persist/file.c "create: the header before the state" "    write_state(file, capacity, given ? capacity : 0);
    memcpy(file->base + sizeof header.magic, (char *)&header + sizeof header.magic,
           sizeof header - sizeof header.magic);
    uint64_t magic;
    memcpy(&magic, header.magic, sizeof magic);
    file_store((uint64_t *)file->base, magic);" "    memcpy(file->base + sizeof header.magic, (char *)&header + sizeof header.magic,
           sizeof header - sizeof header.magic);
    uint64_t magic;
    memcpy(&magic, header.magic, sizeof magic);
    file_store((uint64_t *)file->base, magic);
    write_state(file, capacity, given ? capacity : 0);"
swap persist/file_pool.c "reset: the blocks before the roots" "    roots_clear(file);
    for (uint64_t page = 0; page < file->touched; page++) {
        uint64_t word = load_relaxed(&file->descriptors[page]);
        if (word == 0 || format_read_descriptor(word, page, file->capacity, &descriptor) != NULL)
            continue;
        if (descriptor.kind == PAGE_BLOCKS)
            memset(file->marks + page * FORMAT_MARKS_PER_PAGE, 0, descriptor.pages * FORMAT_MARKS_PER_PAGE);
        file_store(&file->descriptors[page], 0);
    }
" "    for (uint64_t page = 0; page < file->touched; page++) {
        uint64_t word = load_relaxed(&file->descriptors[page]);
        if (word == 0 || format_read_descriptor(word, page, file->capacity, &descriptor) != NULL)
            continue;
        if (descriptor.kind == PAGE_BLOCKS)
            memset(file->marks + page * FORMAT_MARKS_PER_PAGE, 0, descriptor.pages * FORMAT_MARKS_PER_PAGE);
        file_store(&file->descriptors[page], 0);
    }
    roots_clear(file);
"
swap persist/file.c "31 32: the pool is not marked open" "    write_owner(file);
    file_set_word(file, WORD_STATE, STATE_OPEN);
    if (" "    write_owner(file);
    if ("
swap persist/recover.c "recovery: the call cleared before it is undone" "    if (!forward)
        end_block(file, written->fresh);
    else if (written->old != 0)
        end_block(file, written->old);
    file_store(&written->call, 0);" "    file_store(&written->call, 0);
    if (!forward)
        end_block(file, written->fresh);
    else if (written->old != 0)
        end_block(file, written->old);"
swap persist/recover.c "recovery: the call cleared before the slot" "    if (interrupted->call == INTENT_FREE && target == written->old)" \
    "    file_store(&written->call, 0);
    if (interrupted->call == INTENT_FREE && target == written->old)"

echo "$count swaps"
status=0
if ((${#outdated[@]} > 0)); then
    printf 'no longer in the source: %s\n' "${outdated[@]}"
    status=1
fi
if ((${#unnoticed[@]} > 0)); then
    printf 'not noticed: %s\n' "${unnoticed[@]}"
    status=1
fi
exit $status
