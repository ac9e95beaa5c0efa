"""Extensions that finalite has made, in Python's sqlite3 with another SQLite, and in apsw.

Arguments: the module of the host, the library of the example, that of the probe, the probe again under another name.
"""
import _ctypes
import ctypes
import gc
import importlib
import sys
import threading

host, texts, probe, other_probe = sys.argv[1:]
module = importlib.import_module(host)


def connect(path=":memory:"):
    if host == "apsw":
        connection = module.Connection(path)
        connection.enable_load_extension(True)
        return connection
    connection = module.connect(path, check_same_thread=False, isolation_level=None)
    connection.enable_load_extension(True)
    return connection


def load(connection, library, entry=None):
    if entry is None:
        connection.load_extension(library)
    elif host == "apsw":
        connection.load_extension(library, entry)
    else:
        # Python's method takes no entry point before 3.12.
        rows(connection, "SELECT load_extension(?, ?)", (library, entry))


def rows(connection, sql, parameters=()):
    return [tuple(row) for row in connection.execute(sql, parameters).fetchall()]


def one(connection, sql, parameters=()):
    [(value,)] = rows(connection, sql, parameters)
    return value


def fails(connection, sql, *words):
    try:
        rows(connection, sql)
    except Exception as error:
        text = str(error)
        assert all(word in text for word in words), (sql, text)
        return type(error).__name__
    raise AssertionError(f"no error: {sql}")


def loaded(*libraries):
    connection = connect()
    for library in libraries or (probe,):
        load(connection, library)
    return connection


def answers():
    connection = loaded(texts, probe)
    assert one(connection, "SELECT reverse('abc')") == "cba"
    assert rows(connection, "SELECT part FROM split('ccc a bb', ' ') ORDER BY part COLLATE by_length") == [
        ("a",), ("bb",), ("ccc",)]
    assert one(connection, "SELECT longest(part) FROM split('ccc a bb', ' ')") == "ccc"
    assert one(connection, "SELECT lengths(part) FROM parts('ccc a bb', ' ')") == 6
    sql = "SELECT moving_sum(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2), (3))"
    assert rows(connection, sql) == [(1,), (3,), (5,)]
    sql = "SELECT column1 FROM (VALUES ('a'), ('c'), ('b')) ORDER BY 1 COLLATE reversed"
    assert rows(connection, sql) == [("c",), ("b",), ("a",)]
    assert rows(connection, "SELECT n, n FROM local") == [(1, 1), (2, 2), (3, 3)]
    connection.execute("CREATE VIRTUAL TABLE note USING notes")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO note VALUES ('one'), ('two')")
    connection.execute("DELETE FROM note WHERE text = 'one'")
    assert rows(connection, "SELECT text FROM note") == [("two",)]
    connection.execute("ROLLBACK")
    assert rows(connection, "SELECT text FROM note") == []
    connection.execute("INSERT INTO note VALUES ('kept')")
    assert one(connection, "SELECT reads('SELECT count(*) FROM note')") == 1
    connection.execute("CREATE VIRTUAL TABLE tagged USING fts5(a, tokenize = 'tags')")
    connection.execute("INSERT INTO tagged VALUES ('red,light blue'), ('red')")
    assert one(connection, "SELECT count(*) FROM tagged('\"light blue\"')") == 1
    connection.close()


def errors_are_those_of_the_statement():
    connection = loaded()
    fails(connection, "SELECT fails('luck')", "function fails", "no luck")
    fails(connection, "SELECT boom(2)", "panicked")
    assert one(connection, "SELECT boom(1)") == 1
    fails(connection, "SELECT twice('no number')", "function twice")
    fails(connection, "SELECT lengths(column1) FROM (VALUES ('a'), ('fail'))", "a text is fail")
    connection.execute("CREATE VIRTUAL TABLE note USING notes")
    fails(connection, "INSERT INTO note VALUES ('refused')", "that text is refused")
    fails(connection, "INSERT INTO note VALUES ('panic')", "panicked")
    connection.execute("CREATE VIRTUAL TABLE tagged USING fts5(a, tokenize = 'tags')")
    fails(connection, "INSERT INTO tagged VALUES ('refused')")
    fails(connection, "INSERT INTO tagged VALUES ('panic')")
    # SQLite knows the codes of all errors.
    connection.execute("INSERT INTO tagged VALUES ('red')")
    if host == "apsw":
        try:
            rows(connection, "SELECT failing_rank(tagged) FROM tagged('red')")
        except module.SQLError as error:
            assert error.extendedresult == module.SQLITE_ERROR, error.extendedresult
        else:
            raise AssertionError("no error")
    # The call that reads within a function gets the error of the one that panics there.
    fails(connection, "SELECT reads('SELECT boom(2)')", "panicked")
    fails(connection, "SELECT reads('CREATE TABLE t(a)')", "change nothing")
    # A collation cannot fail: its connection is interrupted.
    kind = fails(connection, "SELECT column1 FROM (VALUES ('b'), ('x'), ('a')) ORDER BY 1 COLLATE brittle")
    assert "Interrupt" in kind or "Operational" in kind, kind
    # Until a call has returned the error.
    fails(connection, "SELECT column1 FROM (VALUES ('b'), ('a')) ORDER BY 1 COLLATE brittle", "nterrupt")
    fails(connection, "SELECT twice(1)", "a collation of the extension has panicked")
    assert one(connection, "SELECT twice(1)") == 2
    assert rows(connection, "SELECT column1 FROM (VALUES ('b'), ('a')) ORDER BY 1 COLLATE brittle") == [("a",), ("b",)]
    # One that no interrupt can stop.
    connection.execute("CREATE TABLE brittle(k TEXT COLLATE brittle UNIQUE)")
    connection.execute("INSERT INTO brittle VALUES ('y')")
    connection.execute("INSERT INTO brittle VALUES ('x')")
    fails(connection, "SELECT n FROM local", "a collation of the extension has panicked")
    assert rows(connection, "SELECT n FROM local") == [(1,), (2,), (3,)]
    # The extension is not loaded again within a function of its own.
    fails(connection, "SELECT reads('SELECT load_extension(''" + probe + "'')')", "is reading this connection")
    load(connection, probe)
    connection.close()


def file_systems():
    def open_file(name):
        if host == "apsw":
            return module.Connection(f"file:{name}?vfs=probe", flags=module.SQLITE_OPEN_URI | module.SQLITE_OPEN_READWRITE
                                     | module.SQLITE_OPEN_CREATE)
        return module.connect(f"file:{name}?vfs=probe", uri=True, isolation_level=None)

    connection = loaded()
    other = open_file("one.db")
    other.execute("CREATE TABLE t(a)")
    other.execute("INSERT INTO t VALUES (1), (2)")
    assert one(connection, "SELECT own_connection('one.db')") == "1,2"
    fails(connection, "SELECT own_connection('none.db')", "no such table")
    fails(connection, "SELECT own_connection('panic.db')", "unable to open")
    try:
        open_file("panic.db")
    except Exception as error:
        assert "unable to open" in str(error), error
    else:
        raise AssertionError("opened")
    # The panic is over: nothing resumes it.
    assert one(connection, "SELECT reads('SELECT 7')") == 7
    other.close()
    connection.close()


def settings_are_the_hosts():
    names = ["foreign_keys", "busy_timeout", "recursive_triggers", "trusted_schema", "cache_size", "temp_store"]
    connection = connect()
    connection.execute("PRAGMA busy_timeout = 123")
    before = [rows(connection, f"PRAGMA {name}") for name in names]
    load(connection, probe)
    one(connection, "SELECT reads('SELECT 1')")
    assert [rows(connection, f"PRAGMA {name}") for name in names] == before
    # What Python may load is as before.
    load(connection, texts)
    connection.close()


def rule_28_reading_ends_no_statement():
    """A host that may load extensions: setting that switch would expire what it runs."""
    connection = loaded()
    connection.execute("CREATE TABLE t(a)")
    connection.execute("INSERT INTO t VALUES (1), (2)")
    call = "reads('SELECT ' || a)"
    assert rows(connection, f"SELECT {call} FROM t UNION ALL SELECT a FROM t") == [(1,), (2,), (1,), (2,)]
    inner = "(SELECT count(*) FROM t AS u WHERE u.a <= t.a)"
    assert rows(connection, f"SELECT {call}, {inner} FROM t") == [(1, 1), (2, 2)]
    half = connection.execute("SELECT a FROM t UNION ALL SELECT -a FROM t")
    assert tuple(next(iter(half))) == (1,)
    assert one(connection, "SELECT reads('SELECT 7')") == 7
    assert [tuple(row) for row in half.fetchall()] == [(2,), (-1,), (-2,)]
    if host != "apsw":
        # What is read is prepared once.
        seen = []
        connection.set_authorizer(lambda action, *_: seen.append(action) or 0)
        assert one(connection, "SELECT reads('SELECT 8')") == 8
        connection.set_authorizer(None)
        assert seen.count(module.SQLITE_SELECT) == 2, seen
    # What the host allows is as before.
    load(connection, texts)
    connection.close()


def rule_28_failed_initializations_leave_what_works():
    for entry, words in [("sqlite3_probe_failing_init", "no such function"), ("sqlite3_probe_panicking_init", "the extension panicked")]:
        connection = connect()
        errors = []

        def load_there():
            try:
                load(connection, probe, entry)
            except Exception as error:
                errors.append(str(error))

        # When the thread has ended, its variables keep no library in memory, and the next one to be unloaded would take it
        # along.
        thread = threading.Thread(target=load_there)
        thread.start()
        thread.join()
        assert len(errors) == 1 and words in errors[0], errors
        _ctypes.dlclose(ctypes.CDLL(other_probe)._handle)
        with open("/proc/self/maps") as maps:
            mapped = maps.read()
        assert probe in mapped and other_probe not in mapped
        assert one(connection, "SELECT left_behind(1)") == 2
        load(connection, probe)
        assert one(connection, "SELECT left_behind(1) + twice(1)") == 4
        connection.close()


def count():
    """The values and the bytes of the library."""
    connection = connect()
    load(connection, probe, "sqlite3_probe_small_init")
    counts = one(connection, "SELECT probe_alive()"), one(connection, "SELECT probe_bytes()")
    connection.close()
    return counts


def rule_28_nothing_stays():
    def use():
        connection = loaded()
        rows(connection, "SELECT kept('constant') FROM (VALUES (1), (2))")
        connection.execute("CREATE VIRTUAL TABLE note USING notes")
        connection.execute("INSERT INTO note VALUES ('a')")
        connection.execute("CREATE VIRTUAL TABLE tagged USING fts5(a, tokenize = 'tags')")
        connection.execute("INSERT INTO tagged VALUES ('red')")
        for _ in range(3):
            fails(connection, "SELECT lengths(column1) FROM (VALUES ('a'), ('fail'))")
            fails(connection, "SELECT lengths(column1), boom(2) FROM (VALUES ('a')) GROUP BY column1")
        rows(connection, "SELECT n FROM local LIMIT 1")
        assert one(connection, "SELECT reads('SELECT 1')") == 1
        cursor = connection.execute("SELECT n FROM local")
        next(iter(cursor))
        del cursor
        connection.close()

    use()
    gc.collect()
    before = count()
    for _ in range(200):
        use()
    gc.collect()
    after = count()
    # Lists of finalite's grow to a power of two, once.
    assert after[0] == before[0] and after[1] - before[1] < 4096, (before, after)
    # The control: connections that are not closed keep what they have.
    held = [loaded() for _ in range(8)]
    assert count()[0] > before[0]
    del held


def aggregates_that_end_early_are_dropped():
    connection = loaded()
    def left():
        return one(connection, "SELECT probe_alive()")
    fails(connection, "SELECT lengths(column1) FROM (VALUES ('a'), ('fail'))")
    before = left()
    for _ in range(100):
        fails(connection, "SELECT lengths(column1) FROM (VALUES ('a'), ('fail'))")
        fails(connection, "SELECT lengths(column1) + fails('x') FROM (VALUES ('a'))")
        cursor = connection.execute("SELECT lengths(column1) FROM (VALUES ('a'), ('b')) GROUP BY column1")
        next(iter(cursor))
        cursor.close()
    assert left() - before < 10, (before, left())
    connection.close()


def rule_28_a_cursor_is_used_by_one_thread():
    connection = loaded()
    cursor = connection.execute("SELECT n FROM local")
    iterator = iter(cursor)
    assert tuple(next(iterator)) == (1,)
    errors = []

    def go_on():
        try:
            next(iterator)
            next(iterator)
        except Exception as error:
            errors.append(str(error))

    thread = threading.Thread(target=go_on)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "another thread" in errors[0], errors
    # The connection goes on, here and there.
    results = []
    thread = threading.Thread(target=lambda: results.append(rows(connection, "SELECT twice(n) FROM local")))
    thread.start()
    thread.join()
    assert results == [rows(connection, "SELECT twice(n) FROM local")] == [[(2,), (4,), (6,)]]
    connection.close()


def connections_of_many_threads():
    def work(errors):
        try:
            for _ in range(50):
                connection = loaded()
                assert one(connection, "SELECT twice(21)") == 42
                fails(connection, "SELECT boom(2)", "panicked")
                connection.close()
        except BaseException as error:
            errors.append(repr(error))

    errors = []
    threads = [threading.Thread(target=work, args=(errors,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def loaded_again():
    connection = loaded(probe, probe, texts, probe)
    assert one(connection, "SELECT twice(2)") == 4
    assert one(connection, "SELECT reverse('ab')") == "ba"
    # Two libraries made with finalite, each with its own state, whose functions call each other.
    load(connection, other_probe)
    assert one(connection, "SELECT reads('SELECT twice(3)')") == 6
    assert one(connection, "SELECT probe_handles()").endswith("memstatus") or host == "apsw"
    connection.close()


def rule_28_another_sqlite_is_refused():
    """One library serves one copy of SQLite in a process."""
    other = "apsw" if host != "apsw" else "pysqlite3"
    second = importlib.import_module(other)
    connection = second.Connection(":memory:") if other == "apsw" else second.connect(":memory:")
    connection.enable_load_extension(True)
    try:
        connection.load_extension(texts)
    except Exception as error:
        assert "another copy of SQLite" in str(error), error
    else:
        raise AssertionError("a library served two copies of SQLite")
    connection.close()
    answers()


for check in [
    # First, so that nothing else keeps the library in memory.
    rule_28_failed_initializations_leave_what_works,
    answers,
    errors_are_those_of_the_statement,
    file_systems,
    settings_are_the_hosts,
    rule_28_reading_ends_no_statement,
    rule_28_nothing_stays,
    aggregates_that_end_early_are_dropped,
    rule_28_a_cursor_is_used_by_one_thread,
    connections_of_many_threads,
    loaded_again,
    rule_28_another_sqlite_is_refused,
]:
    check()
    print(f"{host}: {check.__name__}", flush=True)
