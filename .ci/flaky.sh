#!/usr/bin/env bash
# Every test binary many times, every other time with all cores busy: tests that pass now and then are found.
# Arguments: how often (200), for cargo test which (all but those about the compiler, the shell and the source), and after
# `--` those of the binaries.
. "$(dirname "$0")/common.sh"
times="${1:-200}"
shift || true
select=()
while [ "$#" -gt 0 ]; do
    if [ "$1" = -- ]; then
        shift
        break
    fi
    select+=("$1")
    shift
done
[ "${#select[@]}" -gt 0 ] || select=("${TESTS[@]}")
cargo test --no-run "${select[@]}"
binaries="$(cargo test --no-run --message-format=json "${select[@]}" 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u)"
log="$(mktemp)"
busy=()
trap 'kill "${busy[@]}" 2>/dev/null || true; rm -f "$log"' EXIT
failed=0
for binary in $binaries; do
    runs=0
    for n in $(seq "$times"); do
        if [ $((n % 2)) = 0 ]; then
            for _ in $(seq "$(nproc)"); do (while :; do :; done) & busy+=($!); done
        fi
        "$binary" "$@" > "$log" 2>&1 || { runs=$((runs + 1)); grep -E 'FAILED|panicked' "$log" | head -5; }
        kill "${busy[@]}" 2>/dev/null || true
        wait "${busy[@]}" 2>/dev/null || true
        busy=()
    done
    echo "$(basename "$binary"): $runs of $times runs failed"
    failed=$((failed + runs))
done
[ "$failed" = 0 ]
