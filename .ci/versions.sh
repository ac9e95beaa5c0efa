#!/usr/bin/env bash
# Both ends of the range of libsqlite3-sys: a crate of somebody's own pins the old end, the lock file has the new one.
# Then the system's SQLite, where there is one: a version that is too old must say so at the first open.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir versions)")"; export CARGO_TARGET_DIR
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/src"
cat > "$scratch/Cargo.toml" <<EOF
[package]
name = "somebody"
version = "0.0.0"
edition = "2024"
[dependencies]
finalite = { path = "$PWD", default-features = false }
libsqlite3-sys = { version = "SYS" }
[features]
bundled = ["finalite/bundled"]
[workspace]
EOF
cat > "$scratch/src/main.rs" <<'EOF'
fn main() {
    let version = finalite::sqlite::version();
    match finalite::Connection::open_in_memory() {
        Ok(conn) => {
            let n: i64 = conn.query_one("SELECT 1 + ?", (1,)).unwrap();
            println!("SQLite {version}: {n}, {}", finalite::memory::mode());
        }
        Err(error) => println!("SQLite {version} refused: {error}"),
    }
}
EOF
say "libsqlite3-sys 0.35, bundled"
sed -i 's/SYS/=0.35.0/' "$scratch/Cargo.toml"
(cd "$scratch" && cargo run -q --features bundled) | tee "$scratch/old"
grep -q ': 2, counting$' "$scratch/old"
say "the newest libsqlite3-sys, bundled"
sed -i 's/=0.35.0/>=0.39, <0.40/' "$scratch/Cargo.toml"
rm -f "$scratch/Cargo.lock"
(cd "$scratch" && cargo run -q --features bundled) | tee "$scratch/new"
grep -q ': 2, counting$' "$scratch/new"
say "the system's SQLite"
if [ ! -e /usr/include/sqlite3.h ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq libsqlite3-dev
fi
(cd "$scratch" && cargo run -q) | tee "$scratch/system"
if grep -q refused "$scratch/system"; then
    grep -q 'finalite needs 3.45.3 or newer' "$scratch/system"
else
    grep -q ': 2, memstatus$' "$scratch/system"
fi
