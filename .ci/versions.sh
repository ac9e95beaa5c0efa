#!/usr/bin/env bash
# The versions that finalite promises to work with: both ends of the range of libsqlite3-sys, the newest rusqlite, sqlx and
# diesel in the same program, the system's SQLite, and the lower bounds in Cargo.toml.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir versions)")"; export CARGO_TARGET_DIR
root="$PWD"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# A crate of somebody's own: its name, then its dependencies. Its program comes from standard input.
somebody() {
    mkdir -p "$scratch/$1/src"
    cat > "$scratch/$1/src/main.rs"
    cat > "$scratch/$1/Cargo.toml" <<END
[package]
name = "$1"
version = "0.0.0"
edition = "2024"
[dependencies]
$2
[features]
bundled = ["finalite/bundled"]
[workspace]
END
    cd "$scratch/$1"
}
# The version of a package that the crate's lock file has.
locked() { cargo tree -q --prefix none --depth 99 -i "$1" | sed -n "1s/^$1 v\([^ ]*\).*/\1/p"; }

program='
fn main() {
    let version = finalite::sqlite::version();
    match finalite::Connection::open_in_memory() {
        Ok(conn) => {
            let n: i64 = conn.query_one("SELECT 1 + ?", (1,)).unwrap();
            println!("SQLite {version}: {n}, {}", finalite::memory::mode());
        }
        Err(error) => println!("SQLite {version} refused: {error}"),
    }
}'
finalite="finalite = { path = \"$root\", default-features = false }"

say "libsqlite3-sys 0.35, bundled"
somebody oldest "$finalite
libsqlite3-sys = \"=0.35.0\"" <<< "$program"
cargo run -q --features bundled | tee "$scratch/out"
grep -q ': 2, counting$' "$scratch/out"

say "the functions of SQLite's C interface there"
header="$(cargo metadata -q --format-version 1 | grep -o '[^"]*libsqlite3-sys-0.35.0/Cargo.toml' | head -1)"
C_API_HEADER="$(dirname "$header")/sqlite3/sqlite3.h" cargo test -q --manifest-path "$root/Cargo.toml" --test tidy c_api

say "the newest libsqlite3-sys, bundled"
somebody newest "$finalite" <<< "$program"
cargo run -q --features bundled | tee "$scratch/out"
grep -q ': 2, counting$' "$scratch/out"
taken="$(locked libsqlite3-sys)"
# Without a requirement of the crate's own, the registry's newest.
somebody registry "" < /dev/null
sed -i '/^bundled/d' Cargo.toml
cargo add -q libsqlite3-sys
published="$(locked libsqlite3-sys)"
echo "libsqlite3-sys: taken $taken, published $published"
if [ "$taken" != "$published" ]; then
    echo "the range in Cargo.toml leaves out the newest libsqlite3-sys"
    exit 1
fi

# Both drivers answer, from one SQLite. Arguments: the driver, its features, what else the program needs.
beside() {
    somebody "beside-$1" "finalite = { path = \"$root\" }"
    cargo add -q "$1" --features "$2"
    if [ -n "${3:-}" ]; then cargo add -q "$3" --features full; fi
    cargo run -q | tee "$scratch/out"
    grep -q '^finalite 2, the other 3, SQLite ' "$scratch/out"
    echo "$1 $(locked "$1"), libsqlite3-sys $(locked libsqlite3-sys)"
}
print='println!("finalite {n}, the other {m}, SQLite {}", finalite::sqlite::version());'
ask='let n: i64 = finalite::Connection::open_in_memory().unwrap().query_one("SELECT 1 + ?", (1,)).unwrap();'
say "beside the newest rusqlite"
beside rusqlite bundled <<< "
fn main() {
    $ask
    let m: i64 = rusqlite::Connection::open_in_memory().unwrap().query_row(\"SELECT 3\", [], |row| row.get(0)).unwrap();
    $print
}"
say "beside the newest sqlx"
beside sqlx sqlite,runtime-tokio tokio <<< "
use sqlx::Connection as _;
fn main() {
    $ask
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let m: i64 = runtime.block_on(async {
        let mut conn = sqlx::SqliteConnection::connect(\"sqlite::memory:\").await.unwrap();
        sqlx::query_scalar(\"SELECT 3\").fetch_one(&mut conn).await.unwrap()
    });
    $print
}"
say "beside the newest diesel"
beside diesel sqlite <<< "
use diesel::Connection as _;
use diesel::RunQueryDsl as _;
fn main() {
    $ask
    let mut conn = diesel::SqliteConnection::establish(\":memory:\").unwrap();
    let m: i32 = diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>(\"3\")).get_result(&mut conn).unwrap();
    $print
}"

say "the system's SQLite: one that is too old says so at the first open"
if [ ! -e /usr/include/sqlite3.h ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq libsqlite3-dev
fi
cd "$scratch/newest"
cargo run -q | tee "$scratch/out"
if grep -q refused "$scratch/out"; then
    grep -q 'finalite needs 3.45.3 or newer' "$scratch/out"
else
    grep -q ': 2, memstatus$' "$scratch/out"
fi

say "the lower bounds in Cargo.toml"
mkdir "$scratch/minimal"
cd "$scratch/minimal"
mkdir arrow derive dqlite endpoint sql tokio
for part in src docs examples build.rs README.md {arrow,derive,dqlite,endpoint,sql,tokio}/{src,README.md}; do ln -s "$root/$part" "$part"; done
# Without what only the tests depend on, whose bounds concern no user.
for manifest in Cargo.toml {arrow,derive,dqlite,endpoint,sql,tokio}/Cargo.toml; do
    awk '/^\[/ { is_ours = /[[.]dev-dependencies\]|^\[workspace|^\[\[(test|bench)/ } !is_ours' "$root/$manifest" > "$manifest"
done
printf '[workspace]\nmembers = ["derive", "dqlite", "endpoint", "sql", "tokio"]\nexclude = ["arrow"]\n' >> Cargo.toml
# Arrow needs a newer chrono than finalite does.
echo '[workspace]' >> arrow/Cargo.toml
RUSTC_BOOTSTRAP=1 cargo generate-lockfile -q -Z direct-minimal-versions
# All features but the one that excludes `bundled`.
features="$(sed -n '/^\[features\]/,/^\[dependencies\]/s/^\([a-z_-]*\) = \[.*/\1/p' Cargo.toml | grep -vx loadable-extension | paste -sd,)"
cargo tree -q -p finalite --depth 1 --features "$features" -e normal,build
cargo build -q -p finalite --features "$features"
cargo build -q --workspace --exclude finalite --all-features
cargo build -q
cd arrow
RUSTC_BOOTSTRAP=1 cargo generate-lockfile -q -Z direct-minimal-versions
cargo tree -q --depth 1 -e normal
cargo build -q
