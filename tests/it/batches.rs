//! Batches that are given away: the same as those that are lent.

use finalite::scan::{ColumnType, OnTypeMismatch, ScanStrategy};
use finalite::{ColumnBatch, Connection, ErrorKind, Result, Value};

const ROWS: i64 = 3000;

fn table() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(&format!(
        "CREATE TABLE t(a INTEGER, b REAL, c TEXT, d);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT i, i / 2.0, iif(i % 7, 'text ' || i, NULL), iif(i % 1000, i, 'mixed') FROM n;"
    ))
    .unwrap();
    (dir, conn)
}

/// All that a batch tells: where it begins, its types, its values.
fn told(batch: &ColumnBatch) -> (u64, Vec<ColumnType>, Vec<Vec<Value>>) {
    let values = batch.columns().iter().map(|column| column.iter().map(|value| value.to_value().unwrap()).collect());
    (batch.first_row(), batch.columns().iter().map(|column| column.data_type()).collect(), values.collect())
}

#[test]
fn they_are_those_that_are_lent() {
    let (_dir, conn) = table();
    for (path, threads) in [(ScanStrategy::Statement, 1), (ScanStrategy::Pages, 1), (ScanStrategy::Pages, 3)] {
        for rows in [1, 7, 1000, 2999, 3000, 5000] {
            let scan = || {
                conn.scan("SELECT * FROM t", ()).strategy(path).threads(threads).limit(if rows == 1 {
                    20
                } else {
                    5000
                })
            };
            let (mut lent, mut given) = (Vec::new(), Vec::new());
            let lent_rows = scan().batches(rows, |batch| {
                lent.push(told(batch));
                Ok(())
            });
            let mut kept: Vec<ColumnBatch> = Vec::new();
            let given_rows = scan().owned_batches(rows, |batch| {
                kept.push(batch);
                Ok(())
            });
            // What is read later does not touch what was given.
            given.extend(kept.iter().map(told));
            assert_eq!(given, lent, "{path:?}, {threads} threads, {rows} rows");
            assert_eq!(given_rows.unwrap(), lent_rows.unwrap());
        }
    }
}

/// A type that an earlier batch settled holds for the later ones.
#[test]
fn a_policy_holds_across_batches() {
    let (_dir, conn) = table();
    let mut rows = 0;
    let result = conn.scan("SELECT d FROM t", ()).on_type_mismatch(OnTypeMismatch::Error).owned_batches(100, |batch| {
        rows += batch.len();
        Ok(())
    });
    let error = result.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MixedColumn { row: 999, column: 0, .. }), "{error}");
    assert_eq!(rows, 900);
}

#[test]
fn their_memory_is_given_away() -> Result<()> {
    let (_dir, conn) = table();
    let (mut integers, mut bytes) = (Vec::new(), Vec::new());
    conn.scan("SELECT a, c FROM t", ()).owned_batches(1000, |batch| {
        let mut columns = batch.into_columns();
        let (text, integer) = (columns.remove(1), columns.remove(0));
        let address = integer.as_i64()?.as_ptr();
        let values = integer.into_i64()?;
        assert_eq!(values.as_ptr(), address, "no copy");
        integers.push(values);
        bytes.push(text.into_bytes()?);
        Ok(())
    })?;
    assert!(integers.concat().into_iter().eq(1..=ROWS));
    assert_eq!(bytes.len(), 3);
    assert!(bytes.iter().all(|buffers| buffers.validity.is_some()));
    let error = conn.scan("SELECT 1", ()).owned_batches(0, |_| Ok(())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    Ok(())
}

mod tables {
    use super::*;

    fn first(conn: &Connection, table: &str) -> Result<String> {
        let batch = conn.scan_table(table).select(["a"]).columns()?;
        let all = conn.scan_table(table).all_columns().columns()?;
        assert_eq!(told(&batch), told(&all), "{table}");
        Ok(batch.column("a")?.as_str()?.get(0).unwrap_or("none").to_owned())
    }

    #[test]
    fn by_name_and_by_database() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            r#"ATTACH ':memory:' AS other;
               ATTACH ':memory:' AS "a b";
               CREATE TABLE u(a TEXT);          INSERT INTO u VALUES ('main.u');
               CREATE TABLE other.u(a TEXT);    INSERT INTO other.u VALUES ('other.u');
               CREATE TABLE "a b".u(a TEXT);    INSERT INTO "a b".u VALUES ('a b.u');
               CREATE TABLE other."x.y"(a TEXT); INSERT INTO other."x.y" VALUES ('other.x.y');
               CREATE TABLE "dotted.name"(a TEXT); INSERT INTO "dotted.name" VALUES ('dotted.name');
               CREATE TEMP TABLE v(a TEXT);     INSERT INTO v VALUES ('temp.v');"#,
        )
        .unwrap();
        for (table, expected) in [
            ("u", "main.u"),
            ("main.u", "main.u"),
            ("MAIN.U", "main.u"),
            ("other.u", "other.u"),
            ("a b.u", "a b.u"),
            ("other.x.y", "other.x.y"),
            ("dotted.name", "dotted.name"),
            ("main.dotted.name", "dotted.name"),
            ("temp.v", "temp.v"),
            ("v", "temp.v"),
        ] {
            assert_eq!(first(&conn, table).unwrap(), expected, "{table}");
        }
        for nowhere in ["other.v", "nobody.u", "other.", ".u", "other.u; DROP TABLE u", "\0.u"] {
            let error = first(&conn, nowhere).unwrap_err();
            assert!(error.sql().is_some(), "{nowhere}: {error}");
        }
        assert_eq!(first(&conn, "u").unwrap(), "main.u");
    }
}
