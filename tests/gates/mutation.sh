#!/bin/bash
# long: builds and runs the unit tests for each of some thirty mistakes
# The unit and fault tests notice mistakes: each of these, put into a copy of the engine, makes one of them fail.
# A mistake that none notices is listed; one whose text is no longer in the source is to be brought up to date.
#
#   tests/gates/mutation.sh BUILD [FILE...]     only the mistakes in these files of src/engine
. "$(dirname "$0")/lib.bash"
shift
only=" $* "

tree=$work/tree
mkdir -p "$tree"
cp -r "$source_dir"/{CMakeLists.txt,CMakePresets.json,cmake,compat,examples,include,scripts,share,src,tests,bench} "$tree/"
cmake --log-level=WARNING -S "$tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCAIRN_WERROR=OFF '-DCAIRN_TEST_FOLDERS=unit;fault' >/dev/null

# Whether all tests pass; a build that fails, or a run that somebody ends, is no answer.
passes() {
    local status=0
    cmake --build "$work/build" --target tests >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    timeout "${limit:-600}" ctest --test-dir "$work/build" -LE long -R '^(unit/|fault/test_system_calls)' -j 2 --stop-on-failure >"$work/log" 2>&1 || status=$?
    case $status in
    0) return 0 ;;
    8 | 124) return 1 ;; # a test failed; time ran out
    esac
    echo "ctest ended with status $status"
    exit 1
}

# The tests that failed in the last run.
failed() {
    sed -nE 's,^.*(unit/test_[a-z_]+|fault/test_[a-z_]+) \.+.*(Failed|Exception|Timeout|aborted).*$,\1,p' "$work/log" |
        sort -u | tr '\n' ' '
}

begin=$SECONDS
if ! passes; then
    cat "$work/log"
    exit 1
fi
limit=$((30 + 4 * (SECONDS - begin)))

count=0
unnoticed=()
outdated=()

# mistake FILE WHAT OLD NEW: replaces the first OLD in src/engine/FILE
mistake() {
    local file=$tree/src/engine/$1 text
    [[ $only == "  " || $only == *" $1 "* ]] || return 0
    text=$(<"$file")
    if [[ $text != *"$3"* ]]; then
        outdated+=("$1: $2")
        return 0
    fi
    cp "$file" "$work/before"
    printf '%s\n' "${text/"$3"/"$4"}" >"$file"
    count=$((count + 1))
    if passes; then
        unnoticed+=("$1: $2")
        echo "not noticed: $1: $2"
    else
        echo "noticed: $1: $2: $(failed)"
    fi
    cp "$work/before" "$file"
}

# ---- Who owns a span
mistake remote.c "no mark when an eighth is free" "list_at)
            next |= REMOTE_LISTED;" "list_at)
            next |= 0;"
mistake remote.c "listed one block late" "size_max(span->capacity / LIST_SHARE, 1);" \
    "size_max(span->capacity / LIST_SHARE, 1) + 1;"
mistake remote.c "lists what has an owner by now" "(remote & REMOTE_LISTED) != 0 && !span->is_shared" "!span->is_shared"
mistake remote.c "lists what is listed" "(remote & REMOTE_LISTED) != 0 && !span->is_shared" "(remote & REMOTE_LISTED) != 0"
mistake remote.c "a span taken over stays listed" "        shared_forget(span);" "        (void)0;"
mistake remote.c "the last free releases nothing" "!= remote >> REMOTE_COUNT_SHIFT)
        return;" "!= UINT64_MAX)
        return;"
mistake remote.c "released by the count alone" "    if (!cas_acq_rel(&span->remote, &remote, 0))" \
    "    store_relaxed(&span->remote, 0);
    if (false)"
mistake remote.c "taken over without looking" "        if (cas_acq_rel(&span->remote, now, 0))" \
    "        if (*now = load_relaxed(&span->remote), store_relaxed(&span->remote, 0), true)"
mistake remote.c "a taken span keeps its mark" "if (cas_acq_rel(&span->remote, now, 0))" \
    "if (cas_acq_rel(&span->remote, now, REMOTE_LISTED))"
mistake remote.c "who takes it over by a free does not count it" "    count_up(&span->frees, 1);" ""
mistake remote.c "anybody takes what a living thread left" \
    "if (last == cache && load_relaxed(&span->last_life) == load_relaxed(&cache->life))" "if (last != NULL)"
mistake remote.c "a span left with free blocks is not listed" "if (has_free || now != 0)" "if (now != 0)"
mistake remote.c "a span left with blocks that others freed is not listed" "if (has_free || now != 0)" "if (has_free)"
mistake remote.c "blocks not yet cut are forgotten" "span->free != NULL || span->carved < span->capacity" "span->free != NULL"
mistake remote.c "an empty span is left to nobody" "    release_if_empty(span, next);
}" "}"
mistake remote.c "taken from the list, but not marked so" "    span->next = span->previous = NULL;
    span->is_shared = 0;" "    span->next = span->previous = NULL;"
mistake cache.c "the owner is taken out after the span is left" "    store_relaxed(&span->owner, NULL);
    if (cas_acq_rel(&span->remote, &expected, REMOTE_UNOWNED))" \
    "    if (cas_acq_rel(&span->remote, &expected, REMOTE_UNOWNED) && (store_relaxed(&span->owner, NULL), true))"
mistake cache.c "left full whatever others freed meanwhile" "    if (cas_acq_rel(&span->remote, &expected, REMOTE_UNOWNED))" \
    "    (void)expected;
    store_relaxed(&span->remote, REMOTE_UNOWNED);
    if (true)"
mistake cache.c "a thread that ends keeps its claims" "count_up(&cache->life, 1);" ""
mistake cache.c "an empty span stays in its bin" "    cache_remove(cache, span);
    cache->last_released" "    cache->last_released"
mistake cache.c "kept spans are not counted" "        cache->retained_pages += (uint32_t)span->pages;" ""
mistake cache.c "of two empty spans the smaller stays" "kept->pages < span->pages" "kept->pages > span->pages"
mistake cache.c "a span in use goes for a larger one" "if (kept == NULL || kept->allocs != kept->frees)" "if (kept == NULL)"
mistake cache.c "a larger span stays without going into the count" "    retain(cache, bin, span);
        if" "    bin->retained = span, span->empty_at = SPAN_RETAINED;
        if"
mistake span.c "pages given back long ago first" "given_at(cache, back);
        if" "given_at(cache, GIVEN_LOOKS + 1 - back);
        if"
mistake span.c "pages are taken again that the system has" "bits_test(run->arena->dirty, run->first) &&" ""
mistake grow.c "pages of an arena that went are taken again" "    span_forget_given(heap);" ""
mistake cache.c "quick misses one size" "    for (size_t i = from; i <= size / 8; i++)" "    for (size_t i = from; i < size / 8; i++)"
mistake span.c "own free blocks are lost when others' are collected" "        last->next = span->free;" ""
mistake span.c "collected blocks are not counted" "    count_up(&span->frees, remote >> REMOTE_COUNT_SHIFT);" ""
mistake span.h "the place of a block not yet cut passes for one" "span->inverse < load_relaxed(&span->cut_limit)" \
    "span->inverse < span->inverse"
mistake span.c "one block too many is cut" "size_min(span->capacity - span->carved," "size_min(span->capacity + 1 - span->carved,"

# ---- Pages
mistake arena.c "a run that just fits is not seen" "if (start + pages <= end)" "if (start + pages < end)"
mistake arena.c "a hint one too low" "chunk->room = (uint32_t)pages - 1;" "chunk->room = (uint32_t)pages / 2;"
mistake arena.c "room is noted one too low" "size_min(room, CHUNK_PAGES)" "size_min(room - 1, CHUNK_PAGES)"
mistake arena.c "the arena's room is not raised" "    arena->room = size_max(arena->room," "    (void)size_max(arena->room,"
mistake arena.c "taken dirty pages stay counted in their chunk" "chunk->dirty = (uint16_t)(chunk->dirty - here);" ""
mistake arena.c "dirty pages pass for zero" "run->zero = dirty == 0 &&" "run->zero ="
mistake arena.c "clean pages stay marked as dirty" "        bits_clear(arena->dirty, first, end);
    }" "    }"
mistake arena.c "the last byte below a limit is refused" "return total <= heap->config.limit_hard" \
    "return total < heap->config.limit_hard"
mistake arena.c "purged pages stay counted as dirty" "    count_down(&heap->counts.dirty_bytes, purged << PAGE_SHIFT);" ""
mistake purge.c "pages on their way to the system stay within reach" "arena->free[word + i] &= ~purging->hidden[i];" "(void)0;"
mistake purge.c "pages that the system kept pass for clean" "        if (purge_stretch(arena, &first, &end)) {" \
    "        if (purge_stretch(arena, &first, &end) || true) {"
mistake purge.c "a child takes its own purge for lost" "if (purging->thread == os_thread_id())" "if (false)"
mistake heap.c "a child of a fork leaves purges undone" "    purge_after_fork_child(heap);" ""
mistake purge.c "regret is for ever" "heap->keep_boost -= heap->keep_boost / 4;" ""
mistake grow.c "pages that went are still counted" "    count_down(&heap->counts.reserved_bytes, count << PAGE_SHIFT);" ""
mistake grow.c "pages that went are still regretted" "chunk->purged = (uint16_t)size_min(chunk->purged, left);" "(void)left;"
mistake arena.c "the limit is looked at once, though growing opens the lock" "        if ((error = grow(heap, pages, align)) != OK)
            break;" "        if ((error = grow(heap, pages, align)) != OK || find(heap, pages, align, run))
            break;"
mistake grow.c "an arena in use is released" "return arena->free_pages == arena->pages &&" "return"
mistake grow.c "bits of a descriptor used again are not cleared" "        bits_clear(arena->free, 0, arena->capacity);" ""
mistake pagemap.c "only the first page of a span is entered" "end = page + pages;" "end = page + size_min(pages, 1);"
mistake meta.c "a descriptor is handed out twice" "    heap->meta.free_spans = span->next;" ""
mistake classes.h "the classes up to 128 bytes begin one byte early" "(size + 15) / 16" "(size + 16) / 16"
mistake classes.c "spans of few blocks" "#define SPAN_BLOCKS_MIN 4" "#define SPAN_BLOCKS_MIN 1"

# ---- Large blocks
mistake grow.c "what was dirty in a range that goes stays counted" "    count_down(&heap->counts.dirty_bytes, arena->dirty_pages << PAGE_SHIFT);" ""
mistake large.c "calloc's pages are not zeroed" "if (zero && !run.zero)" "if (zero && run.zero)"
mistake large.c "moved pages are never renewed" "if (!clean && span->is_moved && source->renew != NULL)" "if (false)"
mistake large.c "a second free is not noticed" "pagemap_find(block) == span && span->base" "span->base"
mistake large.c "a block grown in place is not counted" "            count_up(&heap->counts.large_bytes, (pages - old) << PAGE_SHIFT);" ""

for name in "${outdated[@]+"${outdated[@]}"}"; do
    echo "no longer in the source, so not tried: $name"
done
for name in "${unnoticed[@]+"${unnoticed[@]}"}"; do
    echo "not noticed by any test: $name"
done
echo "$count mistakes tried, ${#unnoticed[@]} not noticed, ${#outdated[@]} out of date"
[[ ${#unnoticed[@]} == 0 && ${#outdated[@]} == 0 ]]
