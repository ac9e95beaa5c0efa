#!/usr/bin/env bash
# Whole tables as Arrow by finalite, rusqlite with builders, ADBC, DuckDB's scanner, connectorx and polars, in Python.
# Every reader has to have the values of Python's `sqlite3`. Arguments are those of `arrow/benches/peers.py`; without
# `--quick`, about 15 minutes. Installs the others into a virtual environment, about 700 MB that are kept in `target`.
. "$(dirname "$0")/common.sh"
CARGO_TARGET_DIR="$(realpath -m "$(target_dir arrow-peers)")"; export CARGO_TARGET_DIR
say "the others"
python="$CARGO_TARGET_DIR/venv/bin/python"
modules="pyarrow, polars, connectorx, adbc_driver_sqlite, duckdb, duckdb_extension_sqlite_scanner"
if ! "$python" -c "import $modules" 2> /dev/null; then
    mkdir -p "$CARGO_TARGET_DIR"
    python3 -m venv "$CARGO_TARGET_DIR/venv"
    # An extension is for one version of DuckDB: the newest that has the scanner as a package.
    "$python" -m pip install --quiet pyarrow polars connectorx adbc-driver-manager adbc-driver-sqlite \
        duckdb==1.5.5 duckdb-extension-sqlite-scanner==1.5.5
fi
say "finalite and rusqlite"
cargo fmt --manifest-path arrow/benches/Cargo.toml --check
cargo build --release --locked --lib --manifest-path arrow/benches/Cargo.toml
"$python" arrow/benches/peers.py "$CARGO_TARGET_DIR/release/libfinalite_arrow_benches.so" \
    --csv "$CARGO_TARGET_DIR/samples.csv" "$@"
