# Shared by the scripts beside it: fail early, work from the repository's root, one target directory per mode.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
TARGET="$(rustc -vV | sed -n 's/^host: //p')"
# Every allocation of SQLite's by itself: its pools hide accesses to freed memory.
NO_POOLS="-DSQLITE_OMIT_LOOKASIDE -DSQLITE_DEFAULT_PCACHE_INITSZ=0"
target_dir() { echo "${CARGO_TARGET_DIR:-target}/ci-$1"; }
say() { printf '\n== %s\n' "$*"; }
# What runs under a sanitizer unless arguments say otherwise: all tests but those about the compiler and the shell
# (ui, tidy, examples, service).
TESTS=(-p finalite -p finalite-endpoint --lib --test it --test scan --test pages --test pages_alone --test system_calls --test lifecycle
    --test forget --test fork --test fork_handlers --test out_of_memory --test memory --test memory_modes
    --test handles --test leak_check --test pool --test incidents_tidb --test incidents_vitess --test incidents_canal
    --test incidents_gosqlite --test incidents_patroni --test incidents_everything
    --test stats --test endpoint --test metrics --test threads --test quiet --test system_errors --test thread_end)
