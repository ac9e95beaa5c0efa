"""Whole tables of a SQLite file as Arrow, in Python: finalite beside other readers, and rusqlite with builders.

usage: peers.py LIBRARY [--quick] [--csv FILE] [--processes N] [--rounds N] [--rows N]

LIBRARY is that of src/lib.rs, whose functions have mangled names. All take turns in one process, in another order each
round; METHOD.md of benches/peers describes the rest. Prints tables, and fails if a reader has other values than
Python's sqlite3, or cannot take part.
"""

import argparse
import ctypes
import gc
import importlib.metadata
import math
import os
import pathlib
import platform
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import adbc_driver_sqlite.dbapi as adbc
import connectorx
import duckdb
import duckdb_extension_sqlite_scanner
import polars
import pyarrow

WORKLOADS = {"wide": "*", "num": "i1, i2, r1, r2", "text": "s1, s2"}
BATCH = 8192
# Setting: pragmas, for those who can set them on a connection, which they keep. Without, each run opens one.
SETTINGS = {"1 GB mapped": {"mmap_size": 1 << 30, "cache_size": -400_000}, "as opened by default": {}}
FINALITE = {"finalite statement": 1, "finalite pages": 2, "finalite pages 2 threads": 3}
# One thread, and what each is to take of the other's time at most, in the workload `wide` of the first setting.
TARGETS = {
    ("finalite pages", "rusqlite builders"): 0.30,
    ("finalite statement", "rusqlite builders"): 0.60,
    ("finalite pages", "ADBC"): 0.15,
    ("finalite pages", "DuckDB 1 thread"): 0.12,
    ("finalite pages", "connectorx"): 0.10,
}


def fill(database, rows):
    """Creates the table of METHOD.md."""
    numbers = random.Random(1)
    bits = numbers.getrandbits
    real = lambda: bits(53) / 2**40 + 0.5
    conn = sqlite3.connect(database)
    conn.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB)"
    )
    texts = lambda: (f"{bits(52):013x}", f"{bits(64):016x}-{bits(64):016x}--")
    values = ((i + 1, bits(15), bits(31), real(), real(), *texts(), numbers.randbytes(16)) for i in range(rows))
    conn.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    conn.commit()
    conn.close()


def canonical(table):
    """The same values, of one type for each kind of value: readers differ in the width of offsets."""
    table = table.to_arrow() if isinstance(table, polars.DataFrame) else table
    kinds = {"i": pyarrow.int64(), "r": pyarrow.float64(), "s": pyarrow.large_string(), "b": pyarrow.large_binary()}
    return table.cast(pyarrow.schema([(name, kinds[name[0]]) for name in table.column_names]))


def by_sqlite3(database, sql):
    conn = sqlite3.connect(database)
    cursor = conn.execute(sql)
    names, pieces = [column[0] for column in cursor.description], []
    while rows := cursor.fetchmany(10_000):
        pieces.append(canonical(pyarrow.table([pyarrow.array(cells) for cells in zip(*rows)], names)))
    conn.close()
    return pyarrow.concat_tables(pieces)


def is_same(table, expected):
    # Empty chunks and other lengths of chunks make no difference.
    return canonical(table).equals(expected)


def functions(path):
    names = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    library = ctypes.CDLL(path)

    def find(name, *arguments):
        # `14stream_address`: the length of the name is a part of the mangled one.
        found = [line.split()[2] for line in names.splitlines() if f"benches{len(name)}{name}" in line]
        assert len(found) == 1, (name, found)
        function = getattr(library, found[0])
        function.argtypes, function.restype = arguments, ctypes.c_size_t
        return function

    return find("stream_address", ctypes.c_size_t), find("close_connections")


def duckdb_with(threads):
    conn = duckdb.connect(config={"threads": threads} if threads else {})
    folder = pathlib.Path(duckdb_extension_sqlite_scanner.__file__).parent
    [extension] = folder.rglob("sqlite_scanner.duckdb_extension")
    conn.load_extension(str(extension))
    return conn


class Readers:
    """What reads a workload in a setting, by name."""

    def __init__(self, library, database, columns, pragmas):
        self.database, self.columns, self.pragmas = database, columns, pragmas
        self.sql = f"SELECT {columns} FROM t"
        self.stream_address, self.close_connections = functions(library)
        os.environ["BENCH_DATABASE"], os.environ["BENCH_SQL"] = database, self.sql
        os.environ["BENCH_PRAGMAS"] = " ".join(f"{name}={value}" for name, value in pragmas.items())
        self.adbc = self.connect_adbc() if pragmas else None
        self.duckdb = {threads: duckdb_with(threads) for threads in (1, None)}
        self.by_name = {
            **{name: lambda driver=driver: self.stream(driver) for name, driver in FINALITE.items()},
            "rusqlite builders": lambda: self.stream(0),
            "rusqlite builders again": lambda: self.stream(0),
            "ADBC": self.by_adbc,
            "connectorx": self.by_connectorx,
            "DuckDB 1 thread": lambda: self.by_duckdb(1),
            "DuckDB": lambda: self.by_duckdb(None),
            "polars connectorx": lambda: polars.read_database_uri(self.sql, f"sqlite://{database}"),
            # It takes three slashes off.
            "polars ADBC": lambda: polars.read_database_uri(self.sql, f"sqlite:///{database}", engine="adbc"),
        }

    def stream(self, driver):
        address = self.stream_address(driver)
        assert address, driver
        return pyarrow.RecordBatchReader._import_from_c(address).read_all()

    def connect_adbc(self):
        conn = adbc.connect(f"file:{self.database}?mode=ro")
        with conn.cursor() as cursor:
            for name, value in self.pragmas.items():
                cursor.execute(f"PRAGMA {name}={value}")
                cursor.execute(f"PRAGMA {name}")
                assert cursor.fetchall() == [(value,)], name
        return conn

    def by_adbc(self):
        conn = self.adbc or self.connect_adbc()
        with conn.cursor() as cursor:
            if self.adbc:
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH)})
            cursor.execute(self.sql)
            table = cursor.fetch_arrow_table()
        if not self.adbc:
            conn.close()
        return table

    def by_connectorx(self):
        return connectorx.read_sql(f"sqlite://{self.database}", self.sql, return_type="arrow", partition_num=1)

    def by_duckdb(self, threads):
        sql = f"SELECT {self.columns} FROM sqlite_scan(?, 't')"
        return self.duckdb[threads].execute(sql, [self.database]).to_arrow_table()

    def versions(self):
        """The SQLite of each that can be asked."""
        ask = "SELECT sqlite_version() AS version"
        os.environ["BENCH_SQL"] = ask
        with self.connect_adbc() as conn, conn.cursor() as cursor:
            cursor.execute(ask)
            [by_adbc] = cursor.fetchone()
        by_connectorx = connectorx.read_sql(f"sqlite://{self.database}", ask, return_type="arrow")
        self.duckdb[1].execute(f"ATTACH '{self.database}' AS attached (TYPE sqlite, READ_ONLY)")
        by_duckdb = self.duckdb[1].execute("SELECT * FROM sqlite_query('attached', ?)", [ask])
        return {
            "finalite and rusqlite": self.stream(1)[0][0],
            "ADBC": by_adbc,
            "connectorx": by_connectorx[0][0],
            "DuckDB": by_duckdb.fetchone()[0],
        }

    def close(self):
        if self.adbc:
            self.adbc.close()
        for conn in self.duckdb.values():
            conn.close()
        assert self.close_connections() == 0


def measure(arguments):
    """One process: prints its samples, in the order of the rounds."""
    for setting, pragmas in SETTINGS.items():
        for workload, columns in WORKLOADS.items():
            readers = Readers(arguments.library, arguments.database, columns, pragmas)
            expected = by_sqlite3(arguments.database, readers.sql) if arguments.process == 0 else None
            names = list(readers.by_name)
            for turn in range(arguments.rounds + 1):
                random.Random(f"{arguments.process} {turn}").shuffle(names)
                for position, name in enumerate(names):
                    gc.collect()
                    gc.disable()
                    clocks = time.perf_counter_ns, time.process_time_ns
                    start = [clock() for clock in clocks]
                    table = readers.by_name[name]()
                    elapsed = [clock() - begun for clock, begun in zip(clocks, start)]
                    gc.enable()
                    rows = table.height if isinstance(table, polars.DataFrame) else table.num_rows
                    assert rows == arguments.rows, (name, rows)
                    # The first round fills caches and is dropped.
                    if turn == 0 and expected is not None:
                        assert is_same(table, expected), f"{workload}, {setting}: {name} has other values"
                    del table
                    if turn > 0:
                        print(workload, setting, arguments.process, turn, position, name, rows, *elapsed, sep=",")
            if expected is not None:
                check_control(expected)
            readers.close()


def check_control(expected):
    """A changed cell is seen: the last one is NULL."""
    index = expected.num_columns - 1
    column = expected.column(index)
    chunks = [*column.slice(0, len(column) - 1).chunks, pyarrow.nulls(1, column.type)]
    changed = expected.set_column(index, expected.column_names[index], pyarrow.chunked_array(chunks))
    assert is_same(expected, expected) and not is_same(changed, expected)


def estimate(samples):
    """Median and the interval that order statistics give for it, as those of src/statistics.rs of benches/peers."""
    samples, chance, skipped = sorted(samples), 0, 0
    for heads in range(len(samples) // 2):
        chance += math.comb(len(samples), heads) / 2 ** len(samples)
        if chance > 0.025:
            break
        skipped = heads
    return statistics.median(samples), samples[skipped], samples[-1 - skipped]


def show(samples):
    """Prints tables. `samples` are nanoseconds in the order of the rounds, by process."""
    for (workload, setting, clock), group in samples.items():

        def ratio(one, other):
            processes = zip(group[one].values(), group[other].values())
            return estimate([statistics.median(a / b for a, b in zip(*rounds)) for rounds in processes])

        written = lambda one, other: "{:.3f} ({:.3f}–{:.3f})".format(*ratio(one, other))
        print(f"\n## {workload}, {setting}, {clock}\n")
        print("| | ms | " + " | ".join(f"{name} over it" for name in FINALITE) + " |")
        print("|---|---:|" + "---:|" * len(FINALITE))
        middle = lambda processes: statistics.median(map(statistics.median, processes.values()))
        for name in sorted(group, key=lambda name: middle(group[name])):
            row = [f"{middle(group[name]) / 1e6:.1f}", *(written(ours, name) for ours in FINALITE)]
            print(f"| {name} | " + " | ".join(row) + " |")
        print(f"\nControl, rusqlite over itself: {written('rusqlite builders again', 'rusqlite builders')}.")
        if (workload, setting) == ("wide", next(iter(SETTINGS))):
            for (ours, other), target in TARGETS.items():
                _, low, high = ratio(ours, other)
                verdict = "met" if high <= target else "missed" if low > target else "undecided"
                print(f"{ours} / {other}: {written(ours, other)}, at most {target}: {verdict}.")


def describe(arguments):
    cpu = pathlib.Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    print(f"- machine: {(models or [platform.machine()])[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    packages = ["adbc-driver-sqlite", "connectorx", "duckdb", "duckdb-extension-sqlite-scanner", "polars", "pyarrow"]
    found = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    print(f"- Python {platform.python_version()}, {found}")
    readers = Readers(arguments.library, arguments.database, "*", {})
    print("- SQLite: " + ", ".join(f"{version} in {name}" for name, version in readers.versions().items()))
    readers.close()
    size = os.path.getsize(arguments.database)
    print(f"- {arguments.rows} rows, {size} bytes, {arguments.processes} processes of {arguments.rounds} rounds")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=os.path.abspath)
    parser.add_argument("--quick", action="store_true", help="seconds, to see that all take part and agree")
    parser.add_argument("--csv", help="file for the samples")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    defaults = {"processes": 1, "rounds": 1, "rows": 20_000} if arguments.quick else {}
    for name, value in ({"processes": 10, "rounds": 3, "rows": 1_000_000} | defaults).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    if arguments.process is not None:
        return measure(arguments)

    # The textbook's ranks.
    assert [estimate(range(1, count + 1)) for count in (10, 30)] == [(5.5, 2, 9), (15.5, 10, 21)]
    with tempfile.TemporaryDirectory() as directory:
        # One file for all, though each has a SQLite of its own, which drops the locks of the others when it closes the
        # file: nobody writes.
        arguments.database = os.path.join(directory, "t.db")
        fill(arguments.database, arguments.rows)
        describe(arguments)
        lines = []
        for process in range(arguments.processes):
            command = [sys.executable, __file__, arguments.library, "--database", arguments.database]
            for name in ("rounds", "rows"):
                command += [f"--{name}", str(getattr(arguments, name))]
            worker = subprocess.run([*command, "--process", str(process)], stdout=subprocess.PIPE, text=True)
            if worker.returncode:
                sys.exit(worker.returncode)
            lines += worker.stdout.splitlines()
        print(f"- load {os.getloadavg()[0]:.2f} at the end")
    if arguments.csv:
        header = "workload,setting,process,round,position,competitor,operations,nanoseconds,cpu_nanoseconds"
        pathlib.Path(arguments.csv).write_text("\n".join([header, *lines]) + "\n")
    samples = {}
    for line in lines:
        workload, setting, process, _, _, name, _, *elapsed = line.split(",")
        for clock, nanoseconds in zip(("time", "CPU time"), elapsed):
            processes = samples.setdefault((workload, setting, clock), {}).setdefault(name, {})
            processes.setdefault(process, []).append(int(nanoseconds))
    show(samples)


main()
