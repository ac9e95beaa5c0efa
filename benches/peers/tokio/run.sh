#!/usr/bin/env bash
# Builds the async drivers, each a program of its own, and has them work in turn. Arguments are those of `turns`: `--quick`
# for seconds instead of ten minutes.
set -euo pipefail
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-$PWD/target}"
for other in sqlx tokio-rusqlite deadpool-sqlite async-sqlite; do
    cargo build --release --locked --manifest-path "others/$other/Cargo.toml" --target-dir "$target"
done
cargo build --release --locked --target-dir "$target"
PEERS_TARGET="$target/release" "$target/release/turns" "$@"
