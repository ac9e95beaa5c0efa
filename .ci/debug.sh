#!/usr/bin/env bash
# All tests on a SQLite with its assertions on (SQLITE_DEBUG), mutexes and memory checked by itself.
#
# Such a SQLite treats every cache as one that may be shared, so that no scan reads pages. `pages` and `scan` therefore
# run once more on one that cannot share caches; if arguments choose tests, only some of them.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="-DSQLITE_DEBUG -DSQLITE_MEMDEBUG $NO_POOLS"
CARGO_TARGET_DIR="$(target_dir debug)"; export CARGO_TARGET_DIR
cargo test "${@:-${TESTS[@]}}"
LIBSQLITE3_FLAGS="$LIBSQLITE3_FLAGS -DSQLITE_OMIT_SHARED_CACHE" RUSTFLAGS="${RUSTFLAGS:-} --cfg sqlite_without_shared_cache" \
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR-pages" cargo test --test scan --test pages -- ${1:+fallbacks writers}
