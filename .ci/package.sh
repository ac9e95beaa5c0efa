#!/usr/bin/env bash
# The packages as they would be published: they build on their own, without a warning and without pictures, and a new
# crate builds and runs against them.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir package)")"; export CARGO_TARGET_DIR
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# The new crate below builds all, so cargo need not: it would build one against another that it has kept from an earlier
# run.
rm -f "$CARGO_TARGET_DIR"/package/*.crate
cargo package --allow-dirty --no-verify -p finalite-derive -p finalite -p finalite-arrow \
    -p finalite-dqlite -p finalite-endpoint -p finalite-sql -p finalite-tokio 2>&1 | tee "$scratch/log"
# The tests of `sql/` share a file with those of the driver, and stay at home.
if grep '^warning' "$scratch/log" | grep -v '^warning: ignoring test '; then exit 1; fi
for package in "$CARGO_TARGET_DIR"/package/*.crate; do
    tar -xzf "$package" -C "$scratch"
done
if find "$scratch" -name '*.png' -o -name '*.svg' | grep .; then exit 1; fi
mkdir -p "$scratch/app/src"
cat > "$scratch/app/Cargo.toml" <<EOF
[package]
name = "app"
version = "0.0.0"
edition = "2024"
[dependencies]
finalite = { version = "=0.1.0", features = ["derive"] }
finalite-arrow = "=0.1.0"
finalite-dqlite = "=0.1.0"
finalite-endpoint = "=0.1.0"
finalite-sql = "=0.1.0"
finalite-tokio = "=0.1.0"
# Of the READMEs of finalite-arrow and finalite-tokio.
arrow-array = "60"
tokio = { version = "1", features = ["macros", "rt"] }
[patch.crates-io]
finalite = { path = "$(echo "$scratch"/finalite-[0-9]*)" }
finalite-derive = { path = "$(echo "$scratch"/finalite-derive-[0-9]*)" }
finalite-arrow = { path = "$(echo "$scratch"/finalite-arrow-[0-9]*)" }
finalite-dqlite = { path = "$(echo "$scratch"/finalite-dqlite-[0-9]*)" }
finalite-endpoint = { path = "$(echo "$scratch"/finalite-endpoint-[0-9]*)" }
finalite-sql = { path = "$(echo "$scratch"/finalite-sql-[0-9]*)" }
finalite-tokio = { path = "$(echo "$scratch"/finalite-tokio-[0-9]*)" }
[workspace]
EOF
# The README's first program.
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' README.md > "$scratch/app/src/main.rs"
mkdir "$scratch/app/src/bin"
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' arrow/README.md > "$scratch/app/src/bin/arrow.rs"
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' dqlite/README.md > "$scratch/app/src/bin/dqlite.rs"
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' endpoint/README.md > "$scratch/app/src/bin/endpoint.rs"
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' tokio/README.md > "$scratch/app/src/bin/tokio.rs"
{
    echo 'fn main() -> finalite::Result<()> {'
    awk '/^```rust/{on=1;next} /^```/&&on{exit} on' derive/README.md | sed 's/^# //'
    echo '}'
} > "$scratch/app/src/bin/derive.rs"
awk '/^```rust/{on=1;next} /^```/&&on{exit} on' sql/README.md | sed 's/^# //' > "$scratch/app/src/bin/sql.rs"
cp sql/schema.sql "$scratch/app"
(cd "$scratch/app" && cargo run -q --bin app) | tee "$scratch/out"
grep -q 'Grace: 1906' "$scratch/out"
(cd "$scratch/app" && cargo run -q --bin endpoint) | tee "$scratch/out"
grep -q "^SQLite's memory: http://127.0.0.1:" "$scratch/out"
(cd "$scratch/app" && cargo run -q --bin tokio) | tee "$scratch/out"
grep -q '1: Ada' "$scratch/out"
(cd "$scratch/app" && cargo run -q --bin derive)
# It needs nodes to run.
(cd "$scratch/app" && cargo build -q --bin dqlite)
(cd "$scratch/app" && cargo run -q --bin arrow) | tee "$scratch/out"
grep -q 'Decimal128(10, 2)' "$scratch/out"
(cd "$scratch/app" && cargo run -q --bin sql)
