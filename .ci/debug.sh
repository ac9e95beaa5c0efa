#!/usr/bin/env bash
# All tests on a SQLite with its assertions on (SQLITE_DEBUG), mutexes and memory checked by itself.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="-DSQLITE_DEBUG -DSQLITE_MEMDEBUG $NO_POOLS"
CARGO_TARGET_DIR="$(target_dir debug)"; export CARGO_TARGET_DIR
cargo test "${@:-${TESTS[@]}}"
