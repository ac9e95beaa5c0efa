//! The types and bytes of columns, and how a batch prints.

use super::*;

#[test]
fn types_stay_from_batch_to_batch() {
    let types = |sql: &str, mixed: Option<OnTypeMismatch>| {
        let conn = Connection::open_in_memory().unwrap();
        let mut types = Vec::new();
        let mut scan = conn.scan(sql, ());
        if let Some(mixed) = mixed {
            scan = scan.on_type_mismatch(mixed);
        }
        let result = scan.batches(2, |batch| {
            types.push(batch.column(0)?.data_type());
            Ok::<_, Error>(())
        });
        (types, result.map_err(|error| error.to_string()))
    };
    use ColumnType::{Dynamic, Integer, Null, Real};
    let sql = "VALUES (NULL), (NULL), (1), (NULL), (NULL), (NULL), (2), (0.5), (3), (4)";
    assert_eq!(types(sql, None), (vec![Null, Integer, Integer, Dynamic, Dynamic], Ok(10)));
    assert_eq!(types(sql, Some(OnTypeMismatch::Widen)), (vec![Null, Integer, Integer, Real, Real], Ok(10)));
    let (seen, error) = types(sql, Some(OnTypeMismatch::Error));
    assert_eq!(seen, [Null, Integer, Integer]);
    assert!(error.unwrap_err().starts_with("row 7, column 0 (column1): REAL in a column of INTEGER"));
    // Where a later real is not to be had without loss, the row is that of the value that comes then.
    let (_, error) = types("VALUES (9007199254740993), (0.5)", Some(OnTypeMismatch::Widen));
    assert!(error.unwrap_err().starts_with("row 1, column 0 (column1): REAL in a column of INTEGER"));
}

#[test]
fn widening_refuses_nothing_that_error_accepts() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE r(x REAL)", ()).unwrap();
    let sql = "SELECT x FROM r WHERE x > 0 UNION ALL SELECT 9007199254740993";
    let types = [OnTypeMismatch::Error, OnTypeMismatch::Widen].map(|mixed| {
        let batch = conn.scan(sql, ()).on_type_mismatch(mixed).columns().unwrap();
        batch.columns()[0].data_type()
    });
    assert_eq!(types, [ColumnType::Integer; 2]);
}

#[test]
fn halves_of_a_character_are_no_text() {
    let conn = Connection::open_in_memory().unwrap();
    // Together they are one.
    let sql = "SELECT CAST(x'c3' AS TEXT) AS half UNION ALL SELECT CAST(x'a4' AS TEXT)";
    let error = conn.scan(sql, ()).columns().unwrap().column("half").unwrap().as_str().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ColumnConversion { row: Some(0), column: 0, found: Type::Text, .. }),
        "{error:?}"
    );
    let mut batches = 0;
    conn.scan("VALUES ('a'), ('ä'), (CAST(x'ff' AS TEXT))", ())
        .batches(2, |batch| {
            let column = batch.column(0)?;
            match batches {
                0 => assert_eq!(column.as_str()?.text(), "aä"),
                _ => {
                    let error = column.as_str().unwrap_err();
                    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { row: Some(2), .. }), "{error:?}");
                    assert!(error.to_string().starts_with("row 2, column 0 (column1), TEXT: "), "{error}");
                    assert_eq!(column.as_bytes()?.get(0), Some(&[0xff][..]));
                }
            }
            batches += 1;
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(batches, 2);
}

#[test]
fn a_batch_outlives_its_connection_and_its_thread() {
    fn is_send_and_sync<T: Send + Sync + Clone + 'static>(_: &T) {}
    let batch = {
        let conn = database();
        conn.scan("SELECT b FROM t ORDER BY a", ()).columns().unwrap()
    };
    is_send_and_sync(&batch);
    let copy = batch.clone();
    let text = std::thread::spawn(move || batch.column(0).unwrap().as_str().unwrap().text().to_owned()).join().unwrap();
    assert_eq!(text, copy.column(0).unwrap().as_str().unwrap().text());
    assert_eq!(text, "onetwothreefourfive");
}

#[test]
fn a_batch_prints_as_a_table() {
    let conn = Connection::open_in_memory().unwrap();
    let print = |sql: &str| conn.scan(sql, ()).columns().unwrap().to_string();
    assert_eq!(
        print(
            "VALUES (1, 0.5, 'one', x'00ff', 1), (-20, 1e300, 'zwölf', x'', 'mixed'),
             (NULL, -9e999, NULL, NULL, x'0a'), (9223372036854775807, 3.0, 'x', x'1234', NULL)"
        ),
        "            column1  column2  column3  column4  column5\n\
         \u{20}                 1      0.5  one      x'00ff'  1\n\
         \u{20}               -20    1e300  zwölf    x''      mixed\n\
         \u{20}              NULL     -inf  NULL     NULL     x'0a'\n\
         9223372036854775807      3.0  x        x'1234'  NULL\n"
    );
    // Twenty rows are shown, and the others counted.
    let rows = |n: u64| conn.scan(NUMBERS, ()).limit(n).columns().unwrap().to_string();
    assert_eq!(rows(20).lines().count(), 21);
    assert!(rows(20).ends_with("\n20\n"));
    assert_eq!(rows(21).lines().count(), 22);
    assert!(rows(21).ends_with("\n20\nand 1 more\n"), "{}", rows(21));
    assert!(rows(1000).ends_with("\n20\nand 980 more\n"));
    // What is long is cut, and nothing breaks a line or moves the cursor.
    let long = print("SELECT printf('%.30c', 'ä') AS \"a name that is longer than its column\", zeroblob(5000) AS b");
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines[0], "a name that is longer t…  b");
    assert_eq!(lines[1], format!("{}…  x'{}…", "ä".repeat(23), "0".repeat(21)));
    assert_eq!(print("SELECT printf('%.24c', 'ä') AS b"), format!("b\n{}\n", "ä".repeat(24)));
    let control = print("SELECT 'a' || char(10) || 'b' || char(27) || '[31m' || char(9, 13, 0) AS \"c\nd\"");
    assert_eq!(control, "c\u{fffd}d\na\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\n");
    assert_eq!(print("SELECT CAST(x'41ff42' AS TEXT) AS t"), "t\nA\u{fffd}B\n");
    let debug = format!("{:?}", conn.scan("SELECT ?", (42,)));
    assert!(debug.contains("SELECT ?") && !debug.contains("42"), "{debug}");
}

/// Beyond 2³¹ bytes a column's offsets are of 64 bits.
#[test]
#[ignore = "needs 6 GB"]
fn offsets_grow_with_the_bytes() {
    const LEN: usize = 900_000_000;
    let lengths = [None, Some(LEN), Some(2), None, Some(LEN), Some(1), Some(LEN), Some(2), None];
    let ends = lengths.iter().scan(0, |end, len| {
        *end += len.unwrap_or(0);
        Some(i64::try_from(*end).unwrap())
    });
    let ends: Vec<i64> = std::iter::once(0).chain(ends).collect();
    let check = |column: &ColumnBuffer| {
        let view = column.as_bytes().unwrap();
        assert!(view.iter().map(|value| value.map(<[u8]>::len)).eq(lengths));
        assert_eq!(view.offsets(), Offsets::Large(&ends));
        assert_eq!((view.get(2), view.get(5), view.get(7)), (Some(&[1, 2][..]), Some(&[3][..]), Some(&[4, 5][..])));
        assert_eq!((view.get(0), view.get(8), view.get(9)), (None, None, None));
        assert_eq!(column.null_count(), 3);
    };
    let conn = Connection::open_in_memory().unwrap();
    let blobs = "SELECT NULL UNION ALL SELECT zeroblob(900000000) UNION ALL SELECT x'0102' UNION ALL SELECT NULL
                 UNION ALL SELECT zeroblob(900000000) UNION ALL SELECT x'03' UNION ALL SELECT zeroblob(900000000)
                 UNION ALL SELECT x'0405' UNION ALL SELECT NULL UNION ALL SELECT x'0607'";
    let batch = conn.scan(blobs, ()).limit(9).columns().unwrap();
    check(batch.column(0).unwrap());
    assert_eq!(batch.value(7, 0), Some(ValueRef::Blob(&[4, 5])));
    drop(batch);
    let mut batches = 0;
    let texts = format!("SELECT CAST(column1 AS TEXT) FROM ({})", blobs.replacen("NULL", "NULL AS column1", 1));
    conn.scan(&texts, ())
        .batches(9, |batch| {
            let column = batch.column(0)?;
            let texts = column.as_str()?;
            if batches == 0 {
                check(column);
                assert_eq!(
                    (texts.get(6).map(str::len), texts.get(7), texts.get(8)),
                    (Some(LEN), Some("\u{4}\u{5}"), None)
                );
            } else {
                assert_eq!((texts.get(0), texts.get(1), column.len()), (Some("\u{6}\u{7}"), None, 1));
            }
            batches += 1;
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(batches, 2);
}
