#!/usr/bin/env bash
# The features `session` and `snapshot`: the build stops where SQLite lacks them, and all works where SQLite has them.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(target_dir extended)"; export CARGO_TARGET_DIR
if output="$(LIBSQLITE3_FLAGS='' cargo check -p finalite --features session,snapshot 2>&1)"; then
    echo "a SQLite without sessions was taken" >&2
    exit 1
fi
grep -qF "LIBSQLITE3_FLAGS = \"$EXTENDED\"" <<<"$output" || { echo "$output" >&2; exit 1; }
export LIBSQLITE3_FLAGS="$EXTENDED"
cargo clippy -p finalite --all-targets --features session,snapshot -- -D warnings
# The sanitizers run all tests with these features.
cargo test -p finalite --features session,snapshot --test it -- preupdate session snapshot
cargo test -p finalite --features session,snapshot --test alone -- fork:: forget:: hooks:: out_of_memory::
cargo test -p finalite --features session,snapshot --doc -- data extend
cargo run -p finalite --features session,snapshot --example sync | grep -q "both are equal: true"
