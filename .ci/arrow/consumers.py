"""Arrow streams of finalite in pyarrow, polars and DuckDB, cell by cell beside Python's sqlite3.

usage: consumers.py LIBRARY DIRECTORY [ROWS]

LIBRARY is the library of streams.rs, whose functions have mangled names. Prints a line for each comparison, and fails at
the first difference.
"""

import ctypes
import datetime
import decimal
import os
import random
import sqlite3
import subprocess
import sys

import duckdb
import polars
import pyarrow

LIBRARY, DIRECTORY = sys.argv[1:3]
ROWS = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
DATABASE = os.path.join(DIRECTORY, "t.db")
COLUMNS = (
    "id INTEGER PRIMARY KEY, i INTEGER, r REAL, s TEXT, b BLOB, flag BOOLEAN, day DATE, at TIMESTAMP, "
    "price DECIMAL(12, 2), doc JSON, v"
)
EPOCH = datetime.datetime(1970, 1, 1)


def functions():
    names = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], check=True, capture_output=True, text=True).stdout
    library = ctypes.CDLL(LIBRARY)

    def find(name, *arguments):
        # `14stream_address`: the length of the name is a part of the mangled one.
        found = [line.split()[2] for line in names.splitlines() if f"{len(name)}{name}" in line]
        assert len(found) == 1, (name, found)
        function = getattr(library, found[0])
        function.argtypes, function.restype = arguments, ctypes.c_size_t
        return function

    return find("stream_address", ctypes.c_size_t, ctypes.c_size_t), find("open_handles"), find("native_bytes")


def fill():
    """Creates the table by Python's own SQLite, and returns its rows as Python has them."""
    generator = random.Random(17)
    null = lambda value: None if generator.random() < 0.2 else value
    letters = "aé漢🦀 \0'\""
    conn = sqlite3.connect(DATABASE)
    conn.execute(f"CREATE TABLE t({COLUMNS})")
    conn.execute(f"CREATE TABLE empty({COLUMNS})")
    for number in range(ROWS):
        length = 5_000 if number % 997 == 0 else generator.randrange(20)
        at = EPOCH + datetime.timedelta(microseconds=generator.randrange(-(10**16), 10**16))
        cents = generator.randrange(-(10**11), 10**11)
        conn.execute(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number + 1,
                null(generator.randrange(-(2**63), 2**63)),
                null(generator.uniform(-1e9, 1e9)),
                null("".join(generator.choice(letters) for _ in range(length))),
                null(generator.randbytes(length)),
                null(generator.randrange(2)),
                null(at.date().isoformat()),
                null(at.isoformat(sep=generator.choice(" T"))),
                null(str(decimal.Decimal(cents).scaleb(-2))),
                null('{"n": %d}' % number),
                null(generator.randrange(1000)),
            ),
        )
    conn.commit()
    rows = conn.execute("SELECT * FROM t").fetchall()
    conn.close()
    return [as_arrow(row) for row in rows]


def as_arrow(row):
    """What a row of sqlite3 is as the types of its declarations."""
    row = list(row)
    convert = {
        5: bool,
        6: datetime.date.fromisoformat,
        7: datetime.datetime.fromisoformat,
        # The shortest number that reads back as the REAL.
        8: lambda value: decimal.Decimal(repr(value)).quantize(decimal.Decimal("0.01")),
    }
    for column, function in convert.items():
        if row[column] is not None:
            row[column] = function(row[column])
    return tuple(row)


class Stream:
    """An object with Arrow's PyCapsule interface."""

    def __init__(self, address):
        self.address = address

    def __arrow_c_stream__(self, requested_schema=None):
        new = ctypes.pythonapi.PyCapsule_New
        new.argtypes, new.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), ctypes.py_object
        return new(self.address, b"arrow_array_stream", None)


def tuples_of_table(table):
    return list(zip(*(column.to_pylist() for column in table.columns))) if table.num_columns else []


def by_pyarrow(address):
    return tuples_of_table(pyarrow.RecordBatchReader._import_from_c(address).read_all())


def by_polars(address):
    return polars.DataFrame(Stream(address)).rows()


def by_duckdb(address):
    reader = pyarrow.RecordBatchReader._import_from_c(address)
    return duckdb.sql("SELECT * FROM reader").fetchall()


CONSUMERS = {"pyarrow": by_pyarrow, "polars": by_polars, "duckdb": by_duckdb}


def naive(row):
    """Points in time without their zone, which is UTC in one form."""
    return tuple(
        cell.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        if isinstance(cell, datetime.datetime) and cell.tzinfo
        else cell
        for cell in row
    )


def main():
    expected = fill()
    stream_address, open_handles, native_bytes = functions()
    os.environ["STREAM_DATABASE"] = DATABASE

    def address(sql, form=0, rows=1_000):
        os.environ["STREAM_SQL"] = sql
        found = stream_address(form, rows)
        assert found, sql
        return found

    def same(name, found, wanted):
        found = [naive(row) for row in found]
        assert len(found) == len(wanted), (name, len(found), len(wanted))
        for number, (one, other) in enumerate(zip(found, wanted)):
            assert one == other and [*map(type, one)] == [*map(type, other)], (name, number, one, other)
        assert open_handles() == 0, name
        print(f"{name}: {len(found)} rows are the same")

    # What the process keeps.
    by_pyarrow(address("SELECT * FROM t"))
    assert open_handles() == 0
    before = native_bytes()
    for name, consume in CONSUMERS.items():
        for form, what in enumerate(["stream", "in memory", "large, UTC", "pages"]):
            same(f"{name}, {what}", consume(address("SELECT * FROM t", form)), expected)
        # Without `v`, whose type is that of the values in the first batch.
        declared = "SELECT id, i, r, s, b, flag, day, at, price, doc FROM t LIMIT 50"
        same(f"{name}, one row a batch", consume(address(declared, rows=1)), [row[:10] for row in expected[:50]])
        same(f"{name}, no rows", consume(address("SELECT * FROM empty")), [])
        mixed = "SELECT 1 AS a, 'x' AS b, NULL AS c UNION ALL SELECT 2.5, NULL, NULL"
        same(f"{name}, expressions", consume(address(mixed)), [(1.0, "x", None), (2.5, None, None)])
        wide = "SELECT " + ", ".join(f"id + {i} AS c{i}" for i in range(500)) + " FROM t LIMIT 20"
        same(f"{name}, 500 columns", consume(address(wide)), [tuple(n + i for i in range(500)) for n in range(1, 21)])

    # Control: a difference in one cell is seen.
    changed = "SELECT id, i, r, s, b, flag, day, at, price, doc, CASE id WHEN 77 THEN -1 ELSE v END AS v FROM t"
    try:
        same("changed", by_pyarrow(address(changed)), expected)
    except AssertionError:
        open_handles()
    else:
        raise AssertionError("a changed cell was not seen")

    # DuckDB joins it with a table of its own, and polars and pyarrow aggregate it.
    reader = pyarrow.RecordBatchReader._import_from_c(address("SELECT flag, price FROM t"))
    sums = duckdb.sql("SELECT flag, sum(price), count(*) FROM reader GROUP BY flag").fetchall()
    wanted = {flag: [row[8] for row in expected if row[5] is flag] for flag in (True, False, None)}
    for flag, total, count in sums:
        prices = [price for price in wanted[flag] if price is not None]
        assert (total, count) == (sum(prices), len(wanted[flag])), flag
    print("duckdb: sums of decimals are the same")

    schema = pyarrow.RecordBatchReader._import_from_c(address("SELECT * FROM t")).schema
    wanted = "int64 int64 double string binary bool date32[day] timestamp[us] decimal128(12, 2)".split(" ")
    assert [str(field.type) for field in schema][:8] == wanted[:8], schema
    assert str(schema.field("price").type) == "decimal128(12, 2)"
    assert "json" in str(schema.field("doc").type), schema.field("doc")
    print("pyarrow: the schema is that of the declarations")

    # Released half-way, and not at all begun.
    reader = pyarrow.RecordBatchReader._import_from_c(address("SELECT a.* FROM t a CROSS JOIN t b", rows=10))
    kept = reader.read_next_batch()
    del reader
    address("SELECT a.* FROM t a CROSS JOIN t b")
    assert open_handles() == 0
    assert kept.num_rows == 10 and naive([*tuples_of_table(kept)][9]) == expected[0]

    # A value that does not fit arrives as an error of the consumer.
    reader = pyarrow.RecordBatchReader._import_from_c(
        address("SELECT CASE WHEN id = 15 THEN 'x' ELSE id END AS a FROM t", rows=10)
    )
    reader.read_next_batch()
    try:
        reader.read_next_batch()
    except (OSError, pyarrow.ArrowException) as error:
        assert "row 14, column 0 (a): TEXT does not fit Int64" in str(error), error
    else:
        raise AssertionError("no error")
    del reader
    assert open_handles() == 0
    print("pyarrow: the error names row and column")
    left = native_bytes() - before
    assert left == 0, f"{left} bytes of SQLite are left"
    print("all handles and bytes are back")


main()
