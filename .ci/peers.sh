#!/usr/bin/env bash
# The comparison with other drivers: it compiles, every competitor reads the same bytes, and docs/errors.md is what both
# drivers really say.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir peers)")"; export CARGO_TARGET_DIR
# Nothing is measured here.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cd benches/peers
cargo fmt --check
cargo clippy --quiet --all-targets -- -D warnings
cargo test --quiet
cargo run --quiet --release --bin core -- --quick
cargo run --quiet --release --bin memory -- --quick
cargo run --quiet --release --bin scan -- --quick
cargo run --quiet --release --bin pages -- --quick
cargo run --quiet --release --bin inserts -- --quick
cargo run --quiet --release --bin growth -- --quick
cargo run --quiet --release --bin pool -- --quick
cargo run --quiet --release --bin scrapes -- --quick
