#!/usr/bin/env bash
# Mutation testing of src/: a random sample of cargo-mutants' mutants, each run against the tests that reach it. Prints the
# fate of each, those that no test has caught, and the rate with its 95 % interval. Arguments: the number of mutants (400),
# the seed of the sample (1), and a pattern of names, if not all of it is to run. `.cargo/mutants.toml` has what is left
# out. At most five minutes and a half of the driver's tests run against each, and as much of the others'. Survivors are no
# failure. FINALITE_MUTANTS_WORKERS of them run at a time, or one on each processor. Installs cargo-mutants where it is
# missing. For Linux.
. "$(dirname "$0")/common.sh"
command -v cargo-mutants > /dev/null || cargo install --quiet --locked cargo-mutants
home="$(realpath -m "$(target_dir mutants)")"
CARGO_TARGET_DIR="$home/tools" cargo build --quiet --manifest-path .ci/mutants/Cargo.toml
rustfmt --check --edition 2024 --config-path . .ci/mutants/switch.rs .ci/mutants/switch_module.rs
LIBSQLITE3_FLAGS="$EXTENDED" FINALITE_FEATURES="$DOCUMENTED" \
    python3 .ci/mutants/sample.py "$home" "${1:-400}" "${2:-1}" "${@:3}"
