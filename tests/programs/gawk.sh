#!/bin/bash
# Gawk: arrays, arrays of arrays, sorting, substitution, long strings, big numbers.
source "$(dirname "$0")/common.bash"

need gawk gawk
cat >"$tmp/work.awk" <<'END'
function random(n) { state = (state * 69069 + 12345) % 2147483648; return int(state / 256) % n }
function checksum(text,    i, h) {
    for (i = 1; i <= length(text); i += 7) h = (h * 31 + index(letters, substr(text, i, 1))) % 1000003
    return h
}

BEGIN {
    letters = " 0123456789abcdefghijklmnopqrstuvwxyz"
    for (i = 0; i < 300000; i++) {
        key = substr(letters, 2 + random(30), 1 + random(6)) random(3000)
        if (key in count && random(3) == 0) delete count[key]
        else count[key]++
        table[random(200)][key] = i
    }
    n = asorti(count, order)
    for (i = 1; i <= n; i++) text = text " " order[i] "=" count[order[i]]
    print n, length(text), checksum(text)

    for (i in table) if (i % 3 == 0) delete table[i]
    PROCINFO["sorted_in"] = "@ind_num_asc"
    for (i in table) for (key in table[i]) total = (total * 7 + table[i][key]) % 1000003
    print length(table), total

    changed = gensub(/([a-z]+)([0-9]+)=/, "<\\2:\\1>", "g", text)
    gsub(/[aeiou]/, "&&", changed)
    parts = split(changed, part, /[<>]/)
    print length(changed), parts, checksum(toupper(changed) changed)

    for (i = 0; i < 20000; i++) line = line sprintf("%*d|", 5 + i % 40, i)
    for (rounds = 0; rounds < 2000 && match(line, /[1-9]+0*7\|/); rounds++) {
        found += RSTART
        line = substr(line, RSTART + RLENGTH)
    }
    print found, length(line)
}
END
both gawk gawk -f "$tmp/work.awk"
# shellcheck disable=SC2016
both gawk gawk -M 'BEGIN { f = 1; for (i = 2; i <= 2000; i++) f *= i; print f; PREC = 5000; print 2 ^ 0.5 }'
