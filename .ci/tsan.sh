#!/usr/bin/env bash
# All tests under ThreadSanitizer, C included.
. "$(dirname "$0")/common.sh"
export LIBSQLITE3_FLAGS="$EXTENDED" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export "CFLAGS_${TARGET//-/_}=-fsanitize=thread"
TSAN_OPTIONS="suppressions=$PWD/.ci/tsan.supp"; export TSAN_OPTIONS
# ThreadSanitizer opens pipes to its symbolizer when it finds something, suppressed or not. Tests that compare descriptors
# leave pipes out. LeakCheck and the endpoint count them, so that their tests are not run.
export FINALITE_NO_PIPES=1
for n in "${!TESTS[@]}"; do
    case "${TESTS[n]}" in endpoint) unset "TESTS[n]" "TESTS[n-1]" ;; esac
done
TESTS+=(-- --skip leak_check::)
CARGO_TARGET_DIR="$(target_dir tsan)"; export CARGO_TARGET_DIR
cargo test --features "$EXTENDED_FEATURES" --target "$TARGET" "${@:-${TESTS[@]}}"
