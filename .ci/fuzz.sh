#!/usr/bin/env bash
# Fuzzes the page reader with damaged files, then the reader of dqlite's protocol, for this many seconds each (60 unless
# given). It runs alone: it takes a fuzzer.
. "$(dirname "$0")/common.sh"
export RUSTC_BOOTSTRAP=1
command -v cargo-fuzz >/dev/null || cargo install --quiet cargo-fuzz
CARGO_TARGET_DIR="$(realpath -m "$(target_dir fuzz)")"; export CARGO_TARGET_DIR
corpus="$CARGO_TARGET_DIR/corpus"
cargo run --quiet --release --manifest-path fuzz/Cargo.toml --bin seeds -- "$corpus"
cargo fuzz run --fuzz-dir fuzz pages "$corpus" -- -max_total_time="${1:-60}" -max_len=65536 -timeout=20 -rss_limit_mb=2048
mkdir -p "$corpus-dqlite"
cargo fuzz run --fuzz-dir fuzz dqlite "$corpus-dqlite" -- -max_total_time="${1:-60}" -max_len=65536 -timeout=20 -rss_limit_mb=512
