//! Cells: borrowed, of any encoding, and never read as what they are not.

use finalite::{Connection, ErrorKind, OpenOptions, Type, ValueRef};

#[test]
fn cells_are_borrowed_from_the_row() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("VALUES (1, 2.5, 'text', x'00ff', NULL)").unwrap();
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.column_count(), 5);
    let values: Vec<_> = (0..5).map(|column| row.value(column).unwrap()).collect();
    assert_eq!(
        values,
        [ValueRef::Integer(1), ValueRef::Real(2.5), ValueRef::Text(b"text"), ValueRef::Blob(&[0, 255]), ValueRef::Null]
    );
    // Both stay while the row does.
    let (text, blob): (&str, &[u8]) = (row.get(2).unwrap(), row.get(3).unwrap());
    assert_eq!((text, blob), ("text", &[0, 255][..]));
    assert!(matches!(row.value(5).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
    assert!(matches!(row.value(usize::MAX).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
}

#[test]
fn a_cell_read_twice_is_the_same_cell() {
    let conn = OpenOptions::new().pragma("encoding", "UTF-16").open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('grüße, 世界')").unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    let bytes: &[u8] = row.get(0).unwrap();
    let text: &str = row.get(0).unwrap();
    let again: &[u8] = row.get(0).unwrap();
    assert_eq!(text, "grüße, 世界");
    assert_eq!(bytes, text.as_bytes());
    // One conversion, one place: the first slice is still what it was.
    assert_eq!(bytes.as_ptr(), again.as_ptr());
}

#[test]
fn utf16_databases_read_and_write_as_any_other() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(a)").unwrap();
        for text in ["", "a", "ä", "🦀 and more", &"long ".repeat(10_000)] {
            conn.execute("DELETE FROM t", ()).unwrap();
            conn.execute("INSERT INTO t VALUES (?)", (text,)).unwrap();
            assert_eq!(conn.query_one::<String>("SELECT a FROM t", ()).unwrap(), text);
            let bytes = conn.query_row("SELECT a FROM t", (), |row| Ok(row.get::<&[u8]>(0)?.to_vec())).unwrap();
            assert_eq!(bytes, text.as_bytes());
        }
    }
}

#[test]
fn invalid_utf8_is_an_error_for_text_and_bytes_for_bytes() {
    let conn = Connection::open_in_memory().unwrap();
    let sql = "SELECT CAST(x'66ff6f' AS TEXT) AS broken";
    let error = conn.query_one::<String>(sql, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 0, found: Type::Text, .. }), "{error:?}");
    assert_eq!(conn.query_one::<Vec<u8>>(sql, ()).unwrap(), b"f\xffo");
    conn.query_row(sql, (), |row| {
        assert_eq!(row.value(0)?, ValueRef::Text(b"f\xffo"));
        assert!(row.get::<&str>("broken").is_err());
        Ok(())
    })
    .unwrap();
}

#[test]
fn zero_length_is_not_null() {
    let conn = Connection::open_in_memory().unwrap();
    conn.query_row("SELECT '', x'', zeroblob(0), NULL", (), |row| {
        assert_eq!(row.value(0)?, ValueRef::Text(b""));
        assert_eq!(row.value(1)?, ValueRef::Blob(b""));
        assert_eq!(row.value(2)?, ValueRef::Blob(b""));
        assert_eq!(row.value(3)?, ValueRef::Null);
        Ok(())
    })
    .unwrap();
    let (text, blob): (String, String) = conn.query_one("SELECT typeof(?), typeof(?)", ("", &[0_u8; 0])).unwrap();
    assert_eq!((&*text, &*blob), ("text", "blob"));
}

#[test]
fn nul_in_text_round_trips() {
    let conn = Connection::open_in_memory().unwrap();
    let text = "a\0b\0";
    assert_eq!(conn.query_one::<String>("SELECT ?", (text,)).unwrap(), text);
    assert_eq!(conn.query_one::<i64>("SELECT length(CAST(? AS BLOB))", (text,)).unwrap(), 4);
}

#[test]
fn a_zeroblob_reads_as_zeros() {
    let conn = Connection::open_in_memory().unwrap();
    let zeros = conn.query_row("SELECT zeroblob(100000)", (), |row| Ok(row.get::<&[u8]>(0)?.to_vec())).unwrap();
    assert_eq!(zeros, vec![0; 100_000]);
}

#[test]
fn names_are_those_of_the_result() {
    let conn = Connection::open_in_memory().unwrap();
    conn.query_row("SELECT 1 AS \"Größe\", 2 AS b", (), |row| {
        assert_eq!(row.column_name(0)?, "Größe");
        assert_eq!(row.get::<i64>("Größe")?, 1);
        assert_eq!(row.get::<i64>("B")?, 2);
        assert!(row.column_name(2).is_err());
        let error = row.get::<i64>("c").unwrap_err();
        assert!(error.to_string().contains("no such column: c (there are Größe, b)"), "{error}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn debug_shows_names_and_no_values() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT 'secret' AS a").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(format!("{rows:?}").contains("SELECT"));
    let shown = format!("{:?}", rows.next().unwrap().unwrap());
    assert!(shown.contains("\"a\"") && !shown.contains("secret"), "{shown}");
}
