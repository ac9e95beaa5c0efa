#!/usr/bin/env bash
# The test binaries under memcheck, SQLite without its own pools. Installs valgrind where it is missing.
. "$(dirname "$0")/common.sh"
command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -y -qq valgrind; }
export LIBSQLITE3_FLAGS="$NO_POOLS $EXTENDED"
CARGO_TARGET_DIR="$(target_dir valgrind)"; export CARGO_TARGET_DIR
cargo test --features "$EXTENDED_FEATURES" --no-run "${TESTS[@]}"
cargo test --features "$EXTENDED_FEATURES" --no-run --message-format=json "${TESTS[@]}" 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u |
    while read -r binary; do
        say "$binary"
        # Children are followed: each case of `alone` is one. In a forked child memcheck takes for lost what the stacks of
        # its parent's other threads hold.
        valgrind -q --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
            --error-exitcode=9 --trace-children=yes "$binary" --test-threads=1 \
            --skip a_child_lists_whatever_locks_its_parents_threads_held "$@"
    done
