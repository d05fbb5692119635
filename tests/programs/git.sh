#!/bin/bash
# Git on a repository with 1,500 commits: history, packing with threads, checking, blame, merges, clones.
source "$(dirname "$0")/common.bash"

need git git
export GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='1700000000 +0000'

# A history for fast-import: forty files of which each commit changes two, and a branch that is merged now and then.
awk 'BEGIN {
    for (c = 1; c <= 1500; c++) {
        branch = c % 10 == 7 ? "side" : "main"
        print "commit refs/heads/" branch "\nmark :" c
        print "committer C <c@example.org> " 1600000000 + c * 600 " +0000"
        message = "change " c "\n\n" (c % 3 ? "Small." : "Larger, with a reason.")
        printf "data %d\n%s\n", length(message), message
        if (c > 1) print "from :" (branch == "side" && c > 10 ? c - 1 : (c % 10 == 8 ? c - 2 : c - 1))
        if (c % 10 == 8) print "merge :" c - 1
        for (f = c % 40; f <= c % 40 + 1; f++) {
            text = ""
            for (i = 1; i <= 40 + c % 60; i++) {
                changed = i % 9 == c % 9 ? c : f
                text = text "line " i " of file " f ", " (i * 7919 + changed) % 10007 "\n"
            }
            printf "M 100644 inline dir%d/file%d.txt\ndata %d\n%s\n", f % 5, f, length(text), text
        }
    }
    print "done"
}' >"$tmp/history"

cat >"$tmp/work" <<'END'
set -euo pipefail
git init -q -b main repository
cd repository
git config pack.threads 2
git fast-import --quiet --done <"$1"
git reset -q --hard main

git log --all --format='%h %p %s' | cksum
git log --stat --graph -n 200 | cksum
git log -p -M -S'line 7 of' -- dir2 | cksum
git shortlog -sn --all
git blame -C -s dir1/file11.txt | cksum
git grep -n -E 'line [0-9]*9 of file 1[0-9]' main~300 | cksum
git diff --stat main~500 main | cksum

for i in 1 2 3 4 5; do
    git switch -q -c "topic$i" "main~$((i * 20))"
    printf 'topic %s\n' "$i" >>"dir$((i % 5))/topic.txt"
    git add -A
    git commit -q -m "topic $i"
    git switch -q main
    git merge -q --no-edit "topic$i"
done
git rebase -q main~10 topic3
git switch -q main
git rev-parse HEAD topic3 'HEAD^{tree}'

git fsck --full --strict
git repack -q -a -d -f --depth=30 --window=20
git gc -q --aggressive --prune=now
git fsck --full --strict
git cat-file --batch-check --batch-all-objects | cksum
git archive --format=tar HEAD | cksum
git clone -q --no-local . ../clone
git -C ../clone log --oneline | cksum
git bundle create -q ../all.bundle --all
git clone -q ../all.bundle ../from-bundle
git -C ../from-bundle status --short --branch
cd ..
rm -rf repository clone from-bundle all.bundle
END
both git bash "$tmp/work" "$tmp/history"
