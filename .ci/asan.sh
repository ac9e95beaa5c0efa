#!/usr/bin/env bash
# All tests under AddressSanitizer and LeakSanitizer, C included, SQLite without its own pools.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="$NO_POOLS $EXTENDED" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address"
# What is freed stays for a while: the resident size tells nothing.
export FINALITE_NO_RSS=1
CARGO_TARGET_DIR="$(target_dir asan)"; export CARGO_TARGET_DIR
cargo test --features "$EXTENDED_FEATURES" --target "$TARGET" "${@:-${TESTS[@]}}"
