#!/usr/bin/env bash
# All tests on a SQLite with its assertions on (SQLITE_DEBUG), mutexes and memory checked by itself.
#
# Such a SQLite treats every cache as one that may be shared, so that no scan reads pages, and no other connection reads a
# partition. Tests of both therefore run once more on one that cannot share caches: all of them without an argument, some
# with the argument `pages`.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="-DSQLITE_DEBUG -DSQLITE_MEMDEBUG $NO_POOLS $EXTENDED"
PAGES_TARGET="$(target_dir debug-pages)"
CARGO_TARGET_DIR="$(target_dir debug)"; export CARGO_TARGET_DIR
if [ "${1:-}" != pages ]; then
    arguments=("${@:-${TESTS[@]}}")
    [[ " ${arguments[*]} " = *" -- "* ]] || arguments+=(--)
    cargo test --features "$EXTENDED_FEATURES" "${arguments[@]}" --skip partitions
fi
if [ $# = 0 ] || [ "$1" = pages ]; then
    export LIBSQLITE3_FLAGS="$LIBSQLITE3_FLAGS -DSQLITE_OMIT_SHARED_CACHE"
    export CARGO_TARGET_DIR="$PAGES_TARGET"
    export RUSTFLAGS="${RUSTFLAGS:-} --cfg sqlite_without_shared_cache"
    cargo test --test scan --test pages -- ${1:+fallbacks writers}
    [ $# != 0 ] || cargo test --lib --test it --test alone -- partitions
fi
