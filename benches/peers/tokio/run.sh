#!/usr/bin/env bash
# Builds the async drivers, each a program of its own, and has them work in turn: `run.sh [--busy N | --free] [..]`.
#
#   --busy N   N other programs want the processors, to which the drivers are preferred (nice -n -20)
#   --free     the drivers have real-time priority (chrt -f), to which other programs leave the processors
#
# Both need root's rights. Further arguments are those of `turns`: `--quick` for seconds instead of ten minutes.
set -euo pipefail
cd "$(dirname "$0")"
busy=0 priority=()
case "${1:-}" in
    --busy) busy=$2 priority=(nice -n -20); shift 2 ;;
    --free) priority=(chrt -f 1); shift ;;
esac
target="${CARGO_TARGET_DIR:-$PWD/target}"
for other in sqlx tokio-rusqlite deadpool-sqlite async-sqlite; do
    cargo build --release --locked --manifest-path "others/$other/Cargo.toml" --target-dir "$target"
done
cargo build --release --locked --target-dir "$target"
load=()
trap '[ ${#load[@]} = 0 ] || kill "${load[@]}"' EXIT
for _ in $(seq "$busy"); do
    while :; do :; done &
    load+=($!)
done
PEERS_TARGET="$target/release" "${priority[@]}" "$target/release/turns" "$@"
