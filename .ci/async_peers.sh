#!/usr/bin/env bash
# The async drivers in turn (`benches/peers/tokio/`): they compile, and each does the same work. It builds five copies of
# SQLite.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir async-peers)")"; export CARGO_TARGET_DIR
for manifest in benches/peers/tokio/Cargo.toml benches/peers/tokio/others/*/Cargo.toml; do
    cargo fmt --check --manifest-path "$manifest"
done
bash benches/peers/tokio/run.sh --quick
