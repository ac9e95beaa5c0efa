//! The schema as structs, beside what the pragmas say.

use finalite::extend::{Access, Action};
use finalite::schema::{Affinity, ForeignKeyAction, Generated, IndexOrigin, IndexTerm, Table, TableKind};
use finalite::{Connection, ErrorKind, NameKind, ResultCode};

const SCHEMA: &str = r#"
    CREATE TABLE plain(
        a INTEGER PRIMARY KEY AUTOINCREMENT,
        b TEXT NOT NULL DEFAULT 'it''s',
        c VARCHAR(10) COLLATE NOCASE UNIQUE,
        d DEFAULT (1 + 2),
        e REAL AS (a * 2) STORED,
        f AS (b || c),
        g DECIMAL(10, 5) DEFAULT -1.5 COLLATE RTRIM
    );
    CREATE TABLE exact(a INT, b ANY, c TEXT, d REAL, e BLOB NOT NULL) STRICT;
    CREATE TABLE keyed(a TEXT, b INT, c, PRIMARY KEY (b, a)) WITHOUT ROWID;
    CREATE TABLE "we""ird na'me.x"("sel""ect" INT, "a b" TEXT UNIQUE, "ä漢" BLOB, [q'q] `back``tick`);
    CREATE INDEX "in""dex" ON "we""ird na'me.x"("a b" DESC, "sel""ect" COLLATE RTRIM) WHERE "sel""ect" > 0;
    CREATE TABLE "select"("from" INT, "order" TEXT REFERENCES "we""ird na'me.x"("a b") ON DELETE SET DEFAULT);
    CREATE UNIQUE INDEX expressions ON plain(lower(b), a DESC);
    CREATE TABLE parent(x, y, z, PRIMARY KEY (x, y), UNIQUE (y, z));
    CREATE TABLE child(
        p, q, r REFERENCES keyed,
        FOREIGN KEY (p, q) REFERENCES parent(y, z) ON UPDATE CASCADE ON DELETE SET NULL MATCH FULL
            DEFERRABLE INITIALLY DEFERRED,
        FOREIGN KEY (q, p) REFERENCES parent ON DELETE RESTRICT
    );
    CREATE VIEW v AS SELECT a, b || c AS bc FROM plain;
    CREATE VIEW "a view" AS SELECT 1 AS "x y";
    CREATE VIEW broken AS SELECT * FROM nowhere;
    CREATE TRIGGER "tr""ig" AFTER INSERT ON plain BEGIN SELECT 1; END;
    CREATE TRIGGER on_view INSTEAD OF DELETE ON v BEGIN SELECT 2; END;
    CREATE VIRTUAL TABLE search USING fts5(title, body);
    CREATE TABLE as_select AS SELECT a, b FROM plain;
"#;

fn connection() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(SCHEMA).unwrap();
    conn.execute_batch(
        r#"CREATE TEMP TABLE plain(other, "temp col" INT); CREATE TEMP VIEW tv AS SELECT 2;
           CREATE TEMP TRIGGER tt AFTER INSERT ON main.parent BEGIN SELECT 1; END;
           ATTACH ':memory:' AS "odd ""name""";"#,
    )
    .unwrap();
    conn.execute_batch(
        r#"CREATE TABLE "odd ""name""".plain(third); CREATE TABLE "odd ""name""".only(x PRIMARY KEY, y);
           CREATE INDEX "odd ""name""".only_y ON only(y COLLATE NOCASE);"#,
    )
    .unwrap();
    conn
}

fn table(conn: &Connection, name: &str) -> Table {
    conn.schema_of("main").table(name).unwrap().unwrap()
}

fn names<'a>(names: impl IntoIterator<Item = &'a Box<str>>) -> Vec<&'a str> {
    names.into_iter().map(|name| &**name).collect()
}

#[test]
fn every_part_is_as_the_pragmas_say() {
    let conn = connection();
    let tables = conn.schema().tables().unwrap();
    let mut listed: Vec<(String, String, i64, i64, i64)> = conn
        .query_all("SELECT schema, name, ncol, wr, strict FROM pragma_table_list WHERE type <> 'view'", ())
        .unwrap();
    let mut found: Vec<_> = tables
        .iter()
        .map(|it| {
            let columns = i64::try_from(it.columns.len()).unwrap();
            (it.database.to_string(), it.name.to_string(), columns, it.is_without_rowid.into(), it.is_strict.into())
        })
        .collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
    assert!(found.len() > 15, "{found:?}");
    for table in &tables {
        let key = (&*table.name, &*table.database);
        type Row = (String, String, bool, Option<String>, usize, i64);
        let sql = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?) ORDER BY cid";
        let columns: Vec<Row> = conn.query_all(sql, key).unwrap();
        let found: Vec<Row> = table
            .columns
            .iter()
            .map(|it| {
                let hidden = match it.generated {
                    Some(Generated::Virtual) => 2,
                    Some(Generated::Stored) => 3,
                    _ => it.is_hidden.into(),
                };
                let declared = it.declared_type.clone().unwrap_or_default();
                let default = it.default_sql.as_ref().map(ToString::to_string);
                (it.name.to_string(), declared.into(), it.is_not_null, default, it.primary_key.unwrap_or(0), hidden)
            })
            .collect();
        assert_eq!(found, columns, "{key:?}");
        let sql = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?, ?) ORDER BY seq DESC";
        let indexes: Vec<(String, bool, String, bool)> = conn.query_all(sql, key).unwrap();
        let origin = |origin| match origin {
            IndexOrigin::Created => "c",
            IndexOrigin::Unique => "u",
            _ => "pk",
        };
        let found: Vec<_> = table
            .indexes
            .iter()
            .map(|it| (it.name.to_string(), it.is_unique, origin(it.origin).to_owned(), it.is_partial))
            .collect();
        assert_eq!(found, indexes, "{key:?}");
        for index in &table.indexes {
            let sql = "SELECT cid, name, \"desc\", coll FROM pragma_index_xinfo(?, ?) WHERE key ORDER BY seqno";
            let columns: Vec<(i64, Option<String>, bool, String)> =
                conn.query_all(sql, (&*index.name, &*index.database)).unwrap();
            assert_eq!(index.columns.len(), columns.len());
            for (found, (cid, name, is_descending, collation)) in index.columns.iter().zip(columns) {
                assert_eq!(found.term.column(), name.as_deref());
                assert_eq!(matches!(found.term, IndexTerm::Expression), cid == -2);
                assert_eq!((found.is_descending, &*found.collation), (is_descending, &*collation));
            }
        }
        let sql = "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?, ?) ORDER BY id DESC, seq";
        let keys: Vec<(i64, String, String, Option<String>)> = conn.query_all(sql, key).unwrap();
        let found: Vec<_> = table
            .foreign_keys
            .iter()
            .flat_map(|it| it.from.iter().enumerate().map(move |(n, from)| (it, n, from)))
            .map(|(it, n, from)| (it.id, it.table.to_string(), from.to_string(), it.to.get(n).map(ToString::to_string)))
            .collect();
        assert_eq!(found, keys, "{key:?}");
        let sql: Option<String> = conn
            .query_optional(
                &format!(
                    "SELECT sql FROM \"{}\".sqlite_schema WHERE type = 'table' AND name = ?",
                    table.database.replace('"', "\"\"")
                ),
                (&*table.name,),
            )
            .unwrap();
        assert_eq!(table.sql.as_deref(), sql.as_deref(), "{key:?}");
    }
    // Tables of a database come in the order in which they were made.
    let own: Vec<&str> = tables
        .iter()
        .filter(|it| &*it.database == "main" && it.kind == TableKind::Ordinary)
        .map(|it| &*it.name)
        .collect();
    let expected = ["plain", "exact", "keyed", "we\"ird na'me.x", "select", "parent", "child", "as_select"];
    assert_eq!(own, expected);
}

#[test]
fn columns_have_their_properties() {
    let conn = connection();
    let plain = table(&conn, "plain");
    let of = |name: &str| plain.column(name).unwrap().clone();
    let affinities: Vec<_> = plain.columns.iter().map(|column| column.affinity).collect();
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    assert_eq!(affinities, [Integer, Text, Text, Blob, Real, Blob, Numeric]);
    assert_eq!((of("a").primary_key, of("a").is_autoincrement), (Some(1), true));
    assert_eq!((of("b").default_sql.as_deref(), of("b").is_not_null), (Some("'it''s'"), true));
    assert_eq!(of("C").collation.as_deref(), Some("NOCASE"));
    assert_eq!((of("d").default_sql.as_deref(), of("d").declared_type), (Some("1 + 2"), None));
    assert_eq!((of("e").generated, of("f").generated), (Some(Generated::Stored), Some(Generated::Virtual)));
    assert_eq!((of("g").collation.as_deref(), of("g").default_sql.as_deref()), (Some("RTRIM"), Some("-1.5")));
    assert!(plain.columns.iter().skip(1).all(|column| !column.is_autoincrement && column.primary_key.is_none()));
    let exact = table(&conn, "exact");
    assert_eq!(
        exact.columns.iter().map(|column| column.affinity).collect::<Vec<_>>(),
        [Integer, Blob, Text, Real, Blob]
    );
    assert!(exact.is_strict && !exact.is_without_rowid && exact.primary_key().is_empty());
    let keyed = table(&conn, "KEYED");
    assert!(keyed.is_without_rowid && !keyed.is_strict);
    assert_eq!(keyed.primary_key().iter().map(|column| &*column.name).collect::<Vec<_>>(), ["b", "a"]);
    let search = table(&conn, "search");
    assert_eq!(search.kind, TableKind::Virtual);
    let hidden: Vec<bool> = search.columns.iter().map(|column| column.is_hidden).collect();
    assert_eq!(hidden, [false, false, true, true]);
    assert_eq!(table(&conn, "search_data").kind, TableKind::Shadow);
    assert_eq!(table(&conn, "sqlite_schema").kind, TableKind::Internal);
    assert_eq!(table(&conn, "sqlite_sequence").kind, TableKind::Internal);
    let strange = table(&conn, "we\"ird na'me.x");
    assert_eq!(names(strange.columns.iter().map(|column| &column.name)), ["sel\"ect", "a b", "ä漢", "q'q"]);
    assert!(strange.columns.iter().all(|column| column.collation.as_deref() == Some("BINARY")));
}

/// By what a column of that type does to values.
#[test]
fn an_affinity_is_what_the_column_does() {
    let conn = Connection::open_in_memory().unwrap();
    for declared in [
        "INTEGER",
        "int",
        "BIGINT UNSIGNED",
        "CHARINT",
        "FLOATING POINT",
        "VARCHAR(10)",
        "clob",
        "nText",
        "BLOB",
        "",
        "REAL",
        "DOUBLE PRECISION",
        "FLOAT",
        "NUMERIC",
        "DECIMAL(10, 5)",
        "DATE",
        "BOOLEAN",
        "ANY",
        "\"x y\"",
        "STRING",
        "XBLOBX",
        "realtext",
    ] {
        conn.execute_batch(&format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t(c {declared}); INSERT INTO t VALUES (12), ('12')"
        ))
        .unwrap();
        let stored: Vec<String> = conn.query_all("SELECT typeof(c) FROM t", ()).unwrap();
        let affinity = match (&*stored[0], &*stored[1]) {
            ("text", "text") => Affinity::Text,
            ("integer", "text") => Affinity::Blob,
            ("real", "real") => Affinity::Real,
            // Only a cast tells them apart.
            ("integer", "integer") => {
                match &*conn.query_one::<String>(&format!("SELECT typeof(CAST(1.5 AS {declared}))"), ()).unwrap() {
                    "integer" => Affinity::Integer,
                    _ => Affinity::Numeric,
                }
            }
            other => panic!("{declared}: {other:?}"),
        };
        assert_eq!(conn.schema().table("t").unwrap().unwrap().columns[0].affinity, affinity, "{declared}");
    }
}

#[test]
fn keys_and_indexes_are_whole() {
    let conn = connection();
    let child = table(&conn, "child");
    let [single, composite, to_primary] = &child.foreign_keys[..] else {
        panic!("{:?}", child.foreign_keys);
    };
    assert_eq!((&*single.table, names(&single.from), single.to.len()), ("keyed", vec!["r"], 0));
    assert_eq!((names(&composite.from), names(&composite.to)), (vec!["p", "q"], vec!["y", "z"]));
    use ForeignKeyAction::{Cascade, NoAction, Restrict, SetDefault, SetNull};
    assert_eq!((composite.on_update, composite.on_delete, &*composite.match_clause), (Cascade, SetNull, "NONE"));
    assert_eq!((names(&to_primary.from), to_primary.to.len()), (vec!["q", "p"], 0));
    assert_eq!((to_primary.on_update, to_primary.on_delete), (NoAction, Restrict));
    assert_eq!(table(&conn, "select").foreign_keys[0].on_delete, SetDefault);
    let strange = table(&conn, "we\"ird na'me.x");
    let index = strange.index("IN\"DEX").unwrap();
    assert!(index.is_partial && !index.is_unique && index.origin == IndexOrigin::Created);
    assert!(index.sql.as_deref().unwrap().starts_with("CREATE INDEX"));
    let [first, second] = &index.columns[..] else {
        panic!("{index:?}");
    };
    assert_eq!((first.term.column(), first.is_descending, &*first.collation), (Some("a b"), true, "BINARY"));
    assert_eq!((second.term.column(), second.is_descending, &*second.collation), (Some("sel\"ect"), false, "RTRIM"));
    let automatic = &strange.indexes[0];
    assert_eq!((automatic.origin, automatic.sql.as_deref()), (IndexOrigin::Unique, None));
    let plain = table(&conn, "plain");
    let terms: Vec<_> = plain.index("expressions").unwrap().columns.iter().map(|it| it.term.clone()).collect();
    assert_eq!(terms, [IndexTerm::Expression, IndexTerm::Column("a".into())]);
    let all = conn.schema().indexes().unwrap();
    let by_table: usize = conn.schema().tables().unwrap().iter().map(|it| it.indexes.len()).sum();
    assert_eq!(all.len(), by_table);
    let only_y = conn.schema().index("ONLY_Y").unwrap().unwrap();
    assert_eq!((&*only_y.database, &*only_y.table, &*only_y.columns[0].collation), ("odd \"name\"", "only", "NOCASE"));
    assert!(conn.schema().index("nowhere").unwrap().is_none());
}

#[test]
fn views_and_triggers_are_listed() {
    let conn = connection();
    let views = conn.schema().views().unwrap();
    let listed: Vec<_> = views.iter().map(|view| (&*view.database, &*view.name, view.columns.len())).collect();
    assert_eq!(listed, [("main", "v", 2), ("main", "a view", 1), ("main", "broken", 0), ("temp", "tv", 1)]);
    assert_eq!(names(views[0].columns.iter().map(|column| &column.name)), ["a", "bc"]);
    assert_eq!((views[0].columns[0].affinity, views[0].columns[0].collation.as_deref()), (Affinity::Integer, None));
    assert_eq!(views[1].sql.as_deref(), Some("CREATE VIEW \"a view\" AS SELECT 1 AS \"x y\""));
    assert!(conn.schema().view("V").unwrap().is_some() && conn.schema_of("temp").view("v").unwrap().is_none());
    let triggers = conn.schema().triggers().unwrap();
    let listed: Vec<_> = triggers.iter().map(|it| (&*it.database, &*it.name, &*it.table)).collect();
    assert_eq!(listed, [("main", "tr\"ig", "plain"), ("main", "on_view", "v"), ("temp", "tt", "parent")]);
    let trigger = conn.schema().trigger("ON_VIEW").unwrap().unwrap();
    assert_eq!(trigger.sql.as_deref(), Some("CREATE TRIGGER on_view INSTEAD OF DELETE ON v BEGIN SELECT 2; END"));
    // A view is no table, and a table no view.
    assert!(conn.schema().table("v").unwrap().is_none() && conn.schema().view("plain").unwrap().is_none());
}

#[test]
fn a_name_is_that_of_the_database_that_sql_reads() {
    let conn = connection();
    let found = |database: Option<&str>| match database {
        None => conn.schema().table("Plain").unwrap().unwrap(),
        Some(database) => conn.schema_of(database).table("Plain").unwrap().unwrap(),
    };
    assert_eq!(&*found(None).database, "temp");
    assert_eq!(names(found(None).columns.iter().map(|column| &column.name)), ["other", "temp col"]);
    assert_eq!(&*found(Some("MAIN")).database, "main");
    assert_eq!(&*found(Some("Odd \"NAME\"")).columns[0].name, "third");
    for (database, name, exists) in [
        (None, "plain", true),
        (None, "PLAIN", true),
        (None, "only", true),
        (Some("main"), "only", false),
        (Some("odd \"name\""), "only", true),
        (None, "we\"ird na'me.x", true),
        (None, "select", true),
        (None, "search", true),
        (None, "search_data", true),
        (None, "v", false),
        (None, "nowhere", false),
        (None, "", false),
        (None, "sqlite_schema", true),
        (None, "sqlite_master", true),
        (Some("temp"), "sqlite_temp_schema", true),
        (None, "plain\"", false),
    ] {
        assert_eq!(conn.table_exists(database, name).unwrap(), exists, "{database:?} {name}");
    }
    for (database, table, column, exists) in [
        (None, "plain", "TEMP COL", true),
        (None, "plain", "a", false),
        (Some("main"), "plain", "f", true),
        (Some("main"), "plain", "rowid", false),
        (None, "we\"ird na'me.x", "sel\"ECT", true),
        (None, "we\"ird na'me.x", "Ä漢", false),
        (None, "search", "rank", true),
        (None, "v", "bc", true),
        (None, "nowhere", "a", false),
    ] {
        assert_eq!(conn.column_exists(database, table, column).unwrap(), exists, "{database:?} {table}.{column}");
    }
}

#[test]
fn what_cannot_be_a_name_is_an_error() {
    let conn = connection();
    for error in [
        conn.table_exists(None, "pl\0ain").unwrap_err(),
        conn.table_exists(Some("ma\0in"), "plain").unwrap_err(),
        conn.column_exists(None, "plain", "a\0").unwrap_err(),
        conn.schema().table("plain\0").unwrap_err(),
        conn.schema().index("\0").unwrap_err(),
        conn.schema_of("main\0").tables().unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }
    for error in [conn.table_exists(Some("other"), "t").unwrap_err(), conn.schema_of("other").views().unwrap_err()] {
        let ErrorKind::NoSuch { what: NameKind::Database, name, known, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!((&**name, names(known.iter())), ("other", vec!["main", "temp", "odd \"name\""]));
    }
    let error = conn.column_exists(None, "broken", "a").unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::ERROR));
    assert!(conn.table_exists(None, "plain").unwrap());
}

#[test]
fn looking_makes_no_temporary_database() {
    let conn = Connection::open_in_memory().unwrap();
    let databases = || conn.query_all::<String>("SELECT name FROM pragma_database_list", ()).unwrap();
    assert_eq!(conn.schema().tables().unwrap().len(), 1);
    assert!(conn.schema_of("temp").tables().unwrap().is_empty());
    assert!(!conn.table_exists(Some("Temp"), "t").unwrap());
    assert_eq!(databases(), ["main"]);
    // The control.
    conn.execute("CREATE TEMP TABLE t(a)", ()).unwrap();
    assert_eq!(databases(), ["main", "temp"]);
    assert!(conn.table_exists(Some("Temp"), "t").unwrap());
}

#[test]
fn another_connections_changes_are_seen() {
    for mode in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let other = Connection::open(&path).unwrap();
        other.set_pragma("journal_mode", mode).unwrap();
        other.execute("CREATE TABLE t(a)", ()).unwrap();
        let mut conn = Connection::open(&path).unwrap();
        assert!(!conn.table_exists(None, "late").unwrap());
        assert_eq!(table(&conn, "t").columns.len(), 1);
        other
            .execute_batch("CREATE TABLE late(a UNIQUE); ALTER TABLE t ADD COLUMN b COLLATE NOCASE REFERENCES late(a)")
            .unwrap();
        assert!(conn.table_exists(None, "late").unwrap() && conn.column_exists(None, "t", "b").unwrap());
        let t = table(&conn, "t");
        assert_eq!((t.columns[1].collation.as_deref(), t.foreign_keys.len()), (Some("NOCASE"), 1));
        other.execute_batch("CREATE INDEX i ON t(b); DROP TABLE late").unwrap();
        assert_eq!(table(&conn, "t").indexes.len(), 1);
        assert!(!conn.table_exists(Some("main"), "late").unwrap());
        // Nothing is left open: it can write.
        other.execute("DROP INDEX i", ()).unwrap();
        // A transaction sees its own state.
        let tx = conn.transaction().unwrap();
        tx.execute("CREATE TABLE mine(a)", ()).unwrap();
        assert!(tx.table_exists(None, "mine").unwrap());
        assert!(!other.table_exists(None, "mine").unwrap());
        tx.rollback().unwrap();
        assert!(!conn.table_exists(None, "mine").unwrap());
        if mode == "wal" {
            let tx = conn.transaction().unwrap();
            assert!(tx.table_exists(None, "t").unwrap());
            other.execute("CREATE TABLE later(a)", ()).unwrap();
            assert!(!tx.table_exists(None, "later").unwrap() && tx.schema().table("later").unwrap().is_none());
            tx.commit().unwrap();
            assert!(conn.table_exists(None, "later").unwrap());
        }
    }
}

#[test]
fn an_authorizer_can_deny_it() {
    let conn = connection();
    for action in ["pragma", "read"] {
        let denied = conn
            .set_authorizer(move |request| match request.action {
                Action::Pragma { .. } if action == "pragma" => Access::Deny,
                Action::Read { table, .. } if action == "read" && table.starts_with("sqlite_") => Access::Deny,
                _ => Access::Allow,
            })
            .unwrap();
        assert_eq!(conn.schema().tables().unwrap_err().code(), Some(ResultCode::AUTH), "{action}");
        assert_eq!(conn.schema_of("main").triggers().unwrap_err().code(), Some(ResultCode::AUTH), "{action}");
        assert_eq!(conn.table_exists(None, "plain").is_err(), action == "pragma");
        drop(denied);
        assert!(conn.table_exists(None, "plain").unwrap() && !conn.schema().tables().unwrap().is_empty());
    }
}

/// Where a table-valued function is asked, a table of its name answers.
#[test]
fn tables_with_names_of_pragmas_answer_nothing() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE pragma_table_list(schema, name, type); INSERT INTO pragma_table_list VALUES ('main', 'forged', 'table');
         CREATE VIEW pragma_database_list AS SELECT 'forged' AS name;
         CREATE TABLE pragma_table_xinfo(name); CREATE TABLE t(a)",
    )
    .unwrap();
    // The control.
    assert_eq!(conn.query_one::<String>("SELECT name FROM pragma_table_list", ()).unwrap(), "forged");
    assert!(!conn.table_exists(None, "forged").unwrap() && conn.column_exists(None, "t", "a").unwrap());
    assert_eq!(conn.schema().tables().unwrap().len(), 4);
}

#[test]
fn a_damaged_schema_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let damage = |sql: &str| {
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("PRAGMA writable_schema = on; {sql}")).unwrap();
    };
    damage("CREATE TABLE t(a); UPDATE sqlite_schema SET sql = 'CREATE nonsense'");
    let conn = Connection::open(&path).unwrap();
    for error in [conn.schema().tables().unwrap_err(), conn.table_exists(None, "t").unwrap_err()] {
        assert_eq!(error.code(), Some(ResultCode::CORRUPT), "{error}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn what_cannot_be_examined_has_no_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE f USING fts5(a); CREATE TABLE named(a); CREATE TABLE t(a, b)").unwrap();
    conn.execute_batch(
        "PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET sql = replace(sql, 'fts5', 'nowhere') WHERE name = 'f';
         UPDATE sqlite_schema SET name = CAST(x'6eff' AS TEXT), tbl_name = CAST(x'6eff' AS TEXT),
             sql = CAST(CAST('CREATE TABLE \"n' AS BLOB) || x'ff' || CAST('\"(a)' AS BLOB) AS TEXT) WHERE name = 'named'",
    )
    .unwrap();
    drop(conn);
    let conn = Connection::open(&path).unwrap();
    let tables = conn.schema().tables().unwrap();
    let columns = |name: &str| tables.iter().find(|it| &*it.name == name).map(|it| it.columns.len());
    assert_eq!((columns("f"), columns("n\u{fffd}"), columns("t")), (Some(0), Some(0), Some(2)));
    let error = conn.column_exists(None, "f", "a").unwrap_err();
    assert!(error.to_string().contains("no such module"), "{error}");
}

#[test]
fn within_a_callback_it_is_refused() {
    thread_local! {
        static CONN: std::cell::OnceCell<Connection> = const { std::cell::OnceCell::new() };
    }
    CONN.with(|cell| {
        let conn = cell.get_or_init(connection);
        let read_in_callback = || {
            CONN.with(|cell| {
                let conn = cell.get().unwrap();
                let errors = [
                    conn.schema().tables().unwrap_err(),
                    conn.column_exists(None, "plain", "a").unwrap_err(),
                    conn.query_plan("SELECT 1").unwrap_err(),
                ];
                errors.iter().all(|error| matches!(error.kind(), ErrorKind::Misuse { .. }))
            })
        };
        conn.create_scalar_function("is_refused", read_in_callback).unwrap();
        assert!(conn.query_one::<bool>("SELECT is_refused()", ()).unwrap());
        assert!(conn.table_exists(None, "plain").unwrap());
    });
}

#[test]
fn in_a_transaction_that_has_ended_it_is_refused() {
    let mut conn = connection();
    let tx = conn.transaction().unwrap();
    tx.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(tx.schema().tables().unwrap_err().kind(), ErrorKind::TransactionEnded));
    assert!(matches!(tx.table_exists(None, "plain").unwrap_err().kind(), ErrorKind::TransactionEnded));
    drop(tx);
    assert!(conn.table_exists(None, "plain").unwrap());
}
