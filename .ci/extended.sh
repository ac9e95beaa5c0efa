#!/usr/bin/env bash
# The features that other builds of SQLite need: `session`, `snapshot`, `scan-status`, `sqlcipher`. The build stops where SQLite lacks
# what they need, and all works where it has that. Installs OpenSSL's headers where they are missing.
. "$(dirname "$0")/common.sh"
[ -e /usr/include/openssl/crypto.h ] || { apt-get update -qq && apt-get install -y -qq libssl-dev; }
CARGO_TARGET_DIR="$(target_dir extended)"; export CARGO_TARGET_DIR
if output="$(LIBSQLITE3_FLAGS='' cargo check -p finalite --features session,snapshot,scan-status 2>&1)"; then
    echo "a SQLite without sessions was taken" >&2
    exit 1
fi
grep -qF "LIBSQLITE3_FLAGS = \"$EXTENDED\"" <<<"$output" || { echo "$output" >&2; exit 1; }
export LIBSQLITE3_FLAGS="$EXTENDED"
cargo clippy -p finalite --all-targets --features session,snapshot,scan-status,sqlcipher -- -D warnings
# The sanitizers run all tests with all but `sqlcipher`. `alone` compares memory of the process, of which SQLCipher
# keeps some from the first connection on.
cargo test -p finalite --features session,snapshot,scan-status,sqlcipher --test cipher
cargo test -p finalite --features session,snapshot,scan-status,sqlcipher --test alone -- initialize
cargo test -p finalite --features session,snapshot,scan-status,sqlcipher --doc -- cipher data extend scan_status
output="$(cargo run --quiet -p finalite --features session,snapshot,scan-status,sqlcipher --example sync 2>&1)"
grep -q "both are equal: true" <<<"$output" && ! grep -q "WARN\|ERROR" <<<"$output" || { echo "$output" >&2; exit 1; }
