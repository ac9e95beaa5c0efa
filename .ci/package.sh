#!/usr/bin/env bash
# The package as it would be published: it builds on its own, and a new crate builds and runs against it.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir package)")"; export CARGO_TARGET_DIR
cargo package --allow-dirty --quiet
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
tar -xzf "$CARGO_TARGET_DIR"/package/finalite-*.crate -C "$scratch"
mkdir -p "$scratch/app/src"
cat > "$scratch/app/Cargo.toml" <<EOF
[package]
name = "app"
version = "0.0.0"
edition = "2024"
[dependencies]
finalite = { path = "$(echo "$scratch"/finalite-*)" }
[workspace]
EOF
# The README's first program.
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' README.md > "$scratch/app/src/main.rs"
(cd "$scratch/app" && cargo run -q) | tee "$scratch/out"
grep -q 'Grace: 1906' "$scratch/out"
