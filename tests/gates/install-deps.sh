#!/bin/bash
# install-deps, with dpkg-query, apt-get, id and sudo played by small scripts: nothing is installed.
. "$(dirname "$0")/lib.bash"

# A machine: HAVE (installed packages), USER_ID, SUDO (yes or no), APT (0: works, 100: fails).
cat >"$work/dpkg-query" <<'S'
#!/bin/sh
shift 3
for package in "$@"; do
    case " $HAVE " in *" $package "*) echo "$package installed" ;; esac
done
exit 1
S
cat >"$work/id" <<'S'
#!/bin/sh
echo "$USER_ID"
S
cat >"$work/sudo" <<'S'
#!/bin/sh
[ "$SUDO" = yes ] || exit 1
shift
exec "$@"
S
cat >"$work/apt-get" <<'S'
#!/bin/sh
echo "apt-get $*" >&2
case "$*" in *install*) exit "$APT" ;; esac
S
chmod +x "$work"/*
export PATH=$work:$PATH USER_ID=1000 SUDO=no APT=0 HAVE=
deps() {
    "$scripts/install-deps" "$@"
}

everything="gcc g++ libc6-dev cmake ninja-build libjansson-dev libprotobuf-c-dev protobuf-c-compiler zlib1g-dev"
everything+=" libdw-dev binutils pkg-config"
HAVE=$everything
must_pass "all is there" deps build
[[ -z $(deps build 2>&1) ]]
HAVE=${everything/cmake /}
must_fail "a user without rights" '^missing packages: cmake \(apt-get install cmake\)$' deps build
[[ $(deps build 2>&1 | wc -l) == 1 ]]
HAVE=${HAVE/g++ /}
must_fail "two are missing" '^missing packages: g\+\+ cmake \(' deps build
must_fail "a name in two groups is named once" '^missing packages: g\+\+ cmake sqlite3 python3 \(' deps build demo
USER_ID=0
must_pass "root" deps build
deps build 2>&1 | grep -q 'apt-get .* install -y --no-install-recommends g++ cmake'
APT=100
must_fail "root, but it fails" '^missing packages: g\+\+ cmake' deps build
APT=0 USER_ID=1000 SUDO=yes
must_pass "sudo that asks nothing" deps build
must_fail "an unknown group" "no group 'none'" deps none
