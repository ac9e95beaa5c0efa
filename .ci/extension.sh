#!/usr/bin/env bash
# Loadable extensions: the example and a probe, in the `sqlite3` shell, in two hosts in Python that have a SQLite each, and
# in a program with finalite. `--asan`: the last one under AddressSanitizer and LeakSanitizer, SQLite without its own pools.
# Installs apsw and pysqlite3 into a virtual environment, about 20 MB that are kept in `target`.
. "$(dirname "$0")/common.sh"
mode=extension
if [ "${1:-}" = --asan ]; then
    mode=extension-asan
    export LIBSQLITE3_FLAGS="$NO_POOLS" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" LOADS=100
fi
CARGO_TARGET_DIR="$(realpath -m "$(target_dir $mode)")"; export CARGO_TARGET_DIR
built="$CARGO_TARGET_DIR/$TARGET/debug"
export RUST_BACKTRACE=0
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# The versions that the workspace has.
for crate in examples/extension .ci/extension .ci/extension/host; do cp Cargo.lock $crate/Cargo.lock; done
say "the libraries and a host"
for crate in examples/extension .ci/extension; do
    cargo build -q --target "$TARGET" --manifest-path $crate/Cargo.toml
done
# The libraries use the sanitizer of the program.
cargo rustc -q --target "$TARGET" --manifest-path .ci/extension/host/Cargo.toml --bin host -- -Clink-arg=-rdynamic
for library in texts probe; do
    # Each call goes through the host's table, and no function but the entry points is seen.
    if nm -D --undefined-only "$built/lib$library.so" | grep sqlite3; then exit 1; fi
    if nm -D --defined-only "$built/lib$library.so" | grep ' T ' | grep -v ' sqlite3_\(extension\|probe_[a-z]*\)_init$'; then
        exit 1
    fi
done
# The control: a program that links SQLite has such functions.
nm -D --defined-only "$built/host" | grep ' T sqlite3_open_v2$' > /dev/null
say "a program with finalite"
"$built/host" "$built/libtexts.so" "$built/libprobe.so" 2> "$scratch/panics" || { cat "$scratch/panics"; exit 1; }
if grep 'ERROR: .*Sanitizer' "$scratch/panics"; then exit 1; fi
if [ $mode = extension-asan ]; then exit; fi
say "lints"
cargo clippy -q --target "$TARGET" -p finalite --lib --no-default-features --features loadable-extension -- -D warnings
for crate in examples/extension .ci/extension .ci/extension/host; do
    (cd $crate && cargo fmt --check && cargo clippy -q --target "$TARGET" -- -D warnings)
done
if output="$(cargo check -q --target "$TARGET" -p finalite --features loadable-extension 2>&1)"; then
    echo "an extension was built with a SQLite of its own" >&2
    exit 1
fi
grep -q 'excludes `bundled`' <<< "$output"
say "Python"
python="$CARGO_TARGET_DIR/venv/bin/python"
if ! "$python" -c 'import apsw, pysqlite3' 2> /dev/null; then
    python3 -m venv "$CARGO_TARGET_DIR/venv"
    "$python" -m pip install --quiet apsw pysqlite3-binary
fi
"$python" -c 'import apsw, pysqlite3; print(apsw.sqlite_lib_version(), pysqlite3.sqlite_version)'
# The same library in another file is another one.
mkdir "$scratch/other"
cp "$built/libprobe.so" "$scratch/other/libprobe.so"
for host in pysqlite3 apsw; do
    "$python" .ci/extension/hosts.py $host "$built/libtexts.so" "$built/libprobe.so" "$scratch/other/libprobe.so" \
        2> "$scratch/panics" || { cat "$scratch/panics"; exit 1; }
done
say "shells"
sql="SELECT group_concat(reverse(part), '|') FROM split('abc de', ' ')"
[ "$("$python" -m apsw :memory: ".load $built/libtexts" "$sql")" = 'cba|ed' ]
if [ -z "$(command -v sqlite3)" ]; then apt-get update -qq && apt-get install -y -qq sqlite3; fi
sqlite3 --version
if answer="$(sqlite3 :memory: ".load $built/libtexts" "$sql" 2>&1)" && [ "$answer" = 'cba|ed' ]; then
    exit
fi
# One that is too old says so.
grep -q '3\.[0-9]*\.[0-9]*, the extension needs 3\.45\.3 or newer' <<< "$answer" || { echo "$answer" >&2; exit 1; }
