//! Results as text.

use finalite::{Connection, ErrorKind, ResultCode, TextTable};

fn table(sql: &str) -> TextTable {
    Connection::open_in_memory().unwrap().query_table(sql, ()).unwrap()
}

#[test]
fn columns_line_up_and_numbers_are_to_the_right() {
    let table =
        table("SELECT column1 AS n, column2 AS text, column3 AS x FROM (VALUES (1, 'a', 1.5), (-20, 'bcd', NULL))");
    assert_eq!(table.to_string(), "  n  text     x\n  1  a      1.5\n-20  bcd   NULL\n");
    assert_eq!(
        table.markdown().to_string(),
        "| n | text | x |\n|---:|---|---:|\n| 1 | a | 1.5 |\n| -20 | bcd | NULL |\n"
    );
}

#[test]
fn what_would_break_a_line_or_the_markup_is_replaced() {
    let table = table("SELECT char(10) || 'a|b' || char(13, 10) || '*c* <d> \\ [e] `f` ' || char(27) AS \"x|y\"");
    let line = table.to_string();
    assert_eq!(line.lines().count(), 2, "{line:?}");
    assert!(!line.contains('\x1b'));
    let text = table.markdown().to_string();
    assert_eq!(text, "| x\\|y |\n|---|\n| <br>a\\|b\u{fffd}<br>\\*c\\* \\<d\\> \\\\ \\[e\\] \\`f\\` \u{fffd} |\n");
}

#[test]
fn long_results_and_cells_are_cut() {
    let sql = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 25)
               SELECT i, printf('%.30c', 'ä') AS long, randomblob(40) AS bytes FROM n";
    let table = table(sql);
    let lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), &*lines[21]), (22, "and 5 more"));
    assert!(lines[1].contains(&format!("{}…  x'", "ä".repeat(23))), "{}", lines[1]);
    assert!(table.markdown().to_string().contains(&format!("| {} |", "ä".repeat(30))), "Markdown shows everything");
    assert_eq!(table.markdown().to_string().lines().count(), 27);
    let short = table.max_rows(1).max_chars(3);
    assert_eq!(short.to_string().lines().last(), Some("and 24 more"));
    assert!(short.markdown().to_string().contains("| ää… | x'… |\n\nand 24 more\n"), "{}", short.markdown());
}

#[test]
fn an_empty_result_has_names() {
    let empty = table("SELECT 1 AS a, 2 AS b WHERE 0");
    assert_eq!(empty.to_string(), "a  b\n");
    assert_eq!(empty.markdown().to_string(), "| a | b |\n|---|---|\n");
}

#[test]
fn a_result_without_columns_is_empty() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("CREATE TABLE t(a)").unwrap();
    let none = TextTable::from_rows(statement.query(()).unwrap()).unwrap();
    assert_eq!((none.to_string(), none.markdown().to_string()), (String::new(), String::new()));
}

#[test]
fn text_that_is_no_utf_8_is_shown() {
    assert_eq!(table("SELECT CAST(x'61ff62' AS TEXT) AS t").to_string(), "t\na\u{fffd}b\n");
}

#[test]
fn rows_that_are_half_read_are_read_to_the_end() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("VALUES (1), (2), (3)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_eq!(TextTable::from_rows(rows).unwrap().to_string(), "column1\n      2\n      3\n");
}

#[test]
fn the_schema_may_change_before() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    conn.query_table("SELECT * FROM t", ()).unwrap();
    conn.execute("ALTER TABLE t ADD COLUMN b DEFAULT 2", ()).unwrap();
    assert_eq!(conn.query_table("SELECT * FROM t", ()).unwrap().to_string(), "a  b\n1  2\n");
}

#[test]
fn errors_are_those_of_the_query() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(matches!(conn.query_table("CREATE TABLE t(a)", ()).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    let error = conn.query_table("SELECT abs(-9223372036854775808)", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::ERROR));
}
