#!/usr/bin/env bash
# Tables of SQLite in DataFusion: `datafusion/`, a workspace of its own, which takes minutes to build. The argument is
# the number of seeds of the comparison of filters.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir datafusion)")"; export CARGO_TARGET_DIR
export FINALITE_DATAFUSION_SEEDS="${1:-15}"
cd datafusion
say "formatting"
cargo fmt --check
say "tests"
cargo test --locked
say "clippy"
cargo clippy --locked --all-targets -- -D warnings
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
say "done"
