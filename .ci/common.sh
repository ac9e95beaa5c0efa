# Shared by the scripts beside it: fail early, work from the repository's root, one target directory per mode.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
TARGET="$(rustc -vV | sed -n 's/^host: //p')"
# Every allocation of SQLite's by itself: its pools hide accesses to freed memory.
NO_POOLS="-DSQLITE_OMIT_LOOKASIDE -DSQLITE_DEFAULT_PCACHE_INITSZ=0"
# For the features `session`, `snapshot` and `scan-status`.
EXTENDED="-DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_SNAPSHOT -DSQLITE_ENABLE_STMT_SCANSTATUS"
EXTENDED_FEATURES="finalite/session,finalite/snapshot,finalite/scan-status"
# Those that convert types of other crates.
CONVERSIONS="finalite/chrono,finalite/time,finalite/jiff,finalite/uuid,finalite/url,finalite/serde_json,finalite/rust_decimal"
# What docs.rs is told to build.
DOCUMENTED="finalite/count-system-sqlite,finalite/csv,finalite/derive,finalite/fault-injection,$EXTENDED_FEATURES,$CONVERSIONS"
# With FINALITE_SHARED_TARGET, as in `.ci/run`, the modes share one, and compile once what they have in common. Those with
# flags of the compiler have their own in any case.
target_dir() {
    case "${FINALITE_SHARED_TARGET:+shared} $1" in
        "shared asan" | "shared extension-asan" | "shared tsan" | "shared debug-pages" | " "*) echo "${CARGO_TARGET_DIR:-target}/ci-$1" ;;
        *) echo "${CARGO_TARGET_DIR:-target}" ;;
    esac
}
# With the minutes since the script began.
say() { printf '\n== %s (%d min)\n' "$*" $((SECONDS / 60)); }
# What runs under a sanitizer unless arguments say otherwise: all tests but those about the compiler and the shell
# (ui, tidy, examples, service). The crates beside the driver have no `unsafe`, and are left out of `.ci/run`.
DRIVER_TESTS=(-p finalite --lib --test it --test types --test alone --test scan --test pages)
TESTS=("${DRIVER_TESTS[@]}" -p finalite-endpoint --test endpoint --test metrics --test threads -p finalite-tokio
    --test leaks)
# Filters for those tests of `it` that start threads.
of_threads() { (cd tests/it && grep -rlE 'thread::|spawn|threads\(' . | sed 's|^\./||; s|\.rs$|::|; s|/|::|g'); }
