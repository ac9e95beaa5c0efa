#!/usr/bin/env bash
# Every call of C that can fail does, in the scenarios of `tests/alone/out_of_memory`: refused, or done and reported as
# failed. GNU ld puts a wrapper between the driver and SQLite (`--wrap`); calls within SQLite are its own.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="$EXTENDED"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir c-calls)")"; export CARGO_TARGET_DIR
mkdir -p "$CARGO_TARGET_DIR"
wrappers="$CARGO_TARGET_DIR/c_calls"
include="$(cargo metadata --format-version 1 --locked | python3 -c '
import json, os, sys
packages = {package["name"]: package["manifest_path"] for package in json.load(sys.stdin)["packages"]}
print(os.path.join(os.path.dirname(packages["libsqlite3-sys"]), "sqlite3"))')"
wraps="$(python3 .ci/c_calls/wrap.py "$include/sqlite3.h" .ci/c_calls/faults.txt docs/c_api.md "$wrappers.c")"
# Cargo links again where the name of the object changes.
object="$wrappers-$(sha256sum < "$wrappers.c" | cut -c1-16).o"
# shellcheck disable=SC2086 # several flags
cc -std=gnu11 -O1 -Wall -Wextra -Werror $EXTENDED -I"$include" -c "$wrappers.c" -o "$object"
say "$(wc -l <<< "$wraps") functions that can fail"
# rust-lld would wrap SQLite's own calls, too.
# shellcheck disable=SC2086 # several flags
binary="$(cargo rustc -q -p finalite --features "$EXTENDED_FEATURES" --test alone --message-format=json -- \
    --cfg c_calls_wrapped -Clinker-features=-lld $wraps -Clink-arg="$object" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')"
# A binary of its own name: the next `cargo test` replaces it.
cp "$binary" "$wrappers"
export RUST_BACKTRACE=0
say "faults"
status=0
"$wrappers" out_of_memory::calls:: --nocapture "$@" > "$wrappers.log" 2>&1 || status=$?
grep -v '^called: ' "$wrappers.log"
python3 .ci/c_calls/judge.py "$wrappers" "$wrappers.log" .ci/c_calls/untold.txt || status=1
# Functions that can fail and that no scenario calls.
missed="$(comm -23 <(sed 's/.*--wrap=//' <<< "$wraps" | sort) <(sed -n 's/^called: //p' "$wrappers.log" | sort -u))"
echo "not called by any scenario: ${missed:-none}" | tr '\n' ' '
echo
exit "$status"
