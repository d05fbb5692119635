# The short way into the build.  CMake and Ninja do the work; CMakePresets.json has the builds.
#
#   make              the libraries and the command, in build/
#   make demo         real programs on the allocator, and a pool that is killed and reopened
#   make test         every test, in the shipped build and with sanitizers, clang and fuzzing; under 10 minutes
#   make test-quick   the tests of the shipped build alone
#   make test-long    everything, with the long forms: hours
#   make bench        compares with other allocators
#   make install      to PREFIX (/usr/local); DESTDIR is honoured
#   make format       formats the sources; `make lint` checks format, layers and clang-tidy
#   make clean        removes build/
#
# Each goal first installs the Debian packages that it needs, or names them: scripts/install-deps.

PREFIX ?= /usr/local
# Tests at a time; those that measure run alone whatever this says.
TEST_JOBS ?= 2

VARIANTS = default asan tsan clang fuzz
CTEST = ctest --test-dir build --output-on-failure --no-tests=error --no-label-summary -j $(TEST_JOBS)
CONFIGURE = cmake --log-level=WARNING --preset
BUILD = cmake --build --preset

.PHONY: all demo test test-quick test-long build-tests bench install format lint clean
all: deps-build
	@$(CONFIGURE) default >/dev/null
	@$(BUILD) default

deps-%:
	@scripts/install-deps $(subst +, ,$*)

demo: deps-build+demo
	@$(CONFIGURE) default >/dev/null
	@$(BUILD) default
	@scripts/demo build

build-tests: deps-build+test
	@set -e; for variant in $(VARIANTS); do \
		echo "== build: $$variant"; \
		$(CONFIGURE) $$variant >/dev/null; \
		$(BUILD) $$variant; \
	done
	@$(BUILD) default --target tests

# The last lines are CTest's own summary.
test: build-tests
	@$(CTEST) -LE long

test-quick: deps-build+test
	@$(CONFIGURE) default >/dev/null
	@$(BUILD) default --target all tests
	@$(CTEST) -LE 'long|asan|tsan|clang|fuzz'

test-long: build-tests
	@CAIRN_TEST_LONG=1 $(CTEST)

bench: deps-build+bench
	@$(CONFIGURE) default >/dev/null
	@$(BUILD) default --target all benches
	@bench/run build

install: all
	@cmake --install build --prefix "$(abspath $(PREFIX))"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then /sbin/ldconfig; fi

format: deps-test
	@scripts/check-format --fix

lint: deps-build+test
	@scripts/check-format
	@scripts/check-layers
	@scripts/check-length
	@$(CONFIGURE) clang >/dev/null
	@$(BUILD) clang --target tidy

clean:
	@rm -rf build
