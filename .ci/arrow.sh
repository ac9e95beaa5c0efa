#!/usr/bin/env bash
# Arrow streams of finalite in pyarrow, polars and DuckDB, cell by cell beside Python's sqlite3. The argument is the number
# of rows. Installs the three into a virtual environment, about 160 MB that are kept in `target`.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir arrow)")"; export CARGO_TARGET_DIR
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
say "pyarrow, polars, DuckDB"
python="$CARGO_TARGET_DIR/venv/bin/python"
if ! "$python" -c 'import pyarrow, polars, duckdb' 2> /dev/null; then
    mkdir -p "$CARGO_TARGET_DIR"
    python3 -m venv "$CARGO_TARGET_DIR/venv"
    "$python" -m pip install --quiet pyarrow polars duckdb
fi
"$python" -c 'import pyarrow, polars, duckdb; print(pyarrow.__version__, polars.__version__, duckdb.__version__)'
say "the streams"
# The versions that the workspace has.
cp Cargo.lock .ci/arrow/Cargo.lock
cargo build --manifest-path .ci/arrow/Cargo.toml
"$python" .ci/arrow/consumers.py "$CARGO_TARGET_DIR/debug/libfinalite_arrow_streams.so" "$scratch" "${1:-20000}"
