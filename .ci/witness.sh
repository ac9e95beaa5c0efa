#!/usr/bin/env bash
# finalite's bytes and blocks against what a preloaded library sees at malloc. For glibc.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir witness)")"; export CARGO_TARGET_DIR
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cat > "$scratch/Cargo.toml" <<EOC
[package]
name = "witness"
version = "0.0.0"
edition = "2024"
[[bin]]
name = "witness"
path = "$PWD/.ci/witness/main.rs"
[dependencies]
finalite = { path = "$PWD" }
[workspace]
EOC
cp Cargo.lock "$scratch"
rustfmt --check --edition 2024 --config-path . .ci/witness/main.rs
cc -std=gnu11 -O1 -Wall -Wextra -Werror -fno-builtin -fPIC -shared .ci/witness/preload.c -o "$scratch/preload.so"
(cd "$scratch" && cargo clippy --quiet -- -D warnings)
for profile in dev release; do
    say "$profile"
    (cd "$scratch" && cargo build --quiet --profile "$profile")
    directory="${profile/dev/debug}"
    LD_PRELOAD="$scratch/preload.so" "$CARGO_TARGET_DIR/$directory/witness"
done
say "the control: without the witness it does not pass"
status=0
"$CARGO_TARGET_DIR/release/witness" || status=$?
[ "$status" = 2 ]
