//! Which filters SQLite evaluates, and that rows are the right ones.

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::Float64Type;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::TableProviderFilterPushDown::{self, Exact, Inexact, Unsupported};
use datafusion::prelude::*;
use datafusion::scalar::ScalarValue;

use finalite::OpenOptions;
use finalite_datafusion::{Options, SqliteTable};

use super::{File, batches, rows};

const TYPES: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, n TEXT COLLATE NOCASE,
        b BLOB, f BOOLEAN, d DATE, at TIMESTAMP, p DECIMAL(6, 2), q DECIMAL(20, 2), j JSON, u);
    CREATE VIEW v AS SELECT * FROM t;
    INSERT INTO t(i, r, t, n, b, f, d, at, p, u) VALUES
        (1, 0.5, 'one', 'One', x'01', 1, '2024-05-01', '2024-05-01 12:00:00', 1.25, 1),
        (2, -0.5, 'Two', 'TWO', x'02', 'false', '2024-05-02 00:00', '2024-05-02T00:00:00+02:00', 2, 2),
        (3, 1e300, 'two', 'two', x'0203', 'TRUE', 1714694400, 1714694400.5, '3.50', 3),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);";

fn support(table: &SqliteTable, filter: &Expr) -> TableProviderFilterPushDown {
    table.supports_filters_pushdown(&[filter]).unwrap().remove(0)
}

fn day(days: i32) -> Expr {
    lit(ScalarValue::Date32(Some(days)))
}

fn micros(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), None))
}

fn decimal(units: i128) -> Expr {
    lit(ScalarValue::Decimal128(Some(units), 6, 2))
}

#[tokio::test]
async fn filters_are_exact_where_the_rules_are_the_same() {
    let file = File::new(TYPES);
    let table = file.table("t");
    for (filter, expected) in [
        (col("i").eq(lit(1_i64)), Exact),
        (col("i").not_eq(lit(1_i64)), Exact),
        (lit(1_i64).lt(col("i")), Exact),
        (col("i").between(lit(1_i64), lit(2_i64)), Exact),
        (col("i").not_between(lit(1_i64), lit(2_i64)), Exact),
        (col("i").in_list(vec![lit(1_i64), lit(3_i64)], false), Exact),
        (col("i").in_list(vec![lit(1_i64), lit(3_i64)], true), Exact),
        (col("i").in_list(vec![lit(1_i64), lit(ScalarValue::Int64(None))], false), Exact),
        (col("i").in_list(vec![lit(1_i64), lit(ScalarValue::Int64(None))], true), Unsupported),
        (col("i").is_null(), Exact),
        (col("i").is_not_null(), Exact),
        (col("i").eq(lit(ScalarValue::Int64(None))), Unsupported),
        (col("i").eq(lit(1.0)), Unsupported),
        (col("i").eq(col("id")), Unsupported),
        (col("r").lt(lit(1.5)), Exact),
        (col("r").gt(lit(0.0)), Exact),
        (col("r").lt(lit(0.0)), Exact),
        (col("r").gt(lit(-0.0)), Unsupported),
        (col("r").lt(lit(f64::NAN)), Unsupported),
        (col("t").gt_eq(lit("one")), Exact),
        (col("t").in_list(vec![lit("one"), lit("two")], false), Exact),
        (col("t").like(lit("on%")), Exact),
        (col("t").like(lit("o_e%")), Unsupported),
        (col("t").like(lit("%ne")), Unsupported),
        (col("t").ilike(lit("on%")), Unsupported),
        (col("n").eq(lit("two")), Exact),
        (col("b").lt(lit(ScalarValue::Binary(Some(vec![2])))), Exact),
        (col("f"), Inexact),
        (not(col("f")), Inexact),
        (col("f").eq(lit(true)), Inexact),
        (col("f").is_null(), Exact),
        (col("d").gt_eq(day(19_844)), Inexact),
        (col("d").not_eq(day(19_844)), Unsupported),
        (col("d").gt_eq(day(i32::MAX)), Unsupported),
        (col("at").lt(micros(1_714_521_600_000_000)), Inexact),
        (col("p").gt(decimal(125)), Inexact),
        (col("q").gt(lit(ScalarValue::Decimal128(Some(125), 20, 2))), Unsupported),
        (col("j").eq(lit("1")), Unsupported),
        (col("u").eq(lit(1_i64)), Unsupported),
        (col("u").is_null(), Unsupported),
        (col("i").eq(lit(1_i64)).and(col("t").eq(lit("one"))), Exact),
        (col("i").eq(lit(1_i64)).and(col("u").eq(lit(1_i64))), Inexact),
        (col("i").eq(lit(1_i64)).or(col("d").eq(day(19_844))), Inexact),
        (col("i").eq(lit(1_i64)).or(col("u").eq(lit(1_i64))), Unsupported),
        (not(col("i").eq(lit(1_i64))), Unsupported),
    ] {
        assert_eq!(support(&table, &filter), expected, "{filter}");
    }
    assert_eq!(support(&file.table("v"), &col("i").eq(lit(1_i64))), Unsupported);
    let types = |types| SqliteTable::with_types(OpenOptions::new(), types, file.path(), "t").unwrap();
    // Values that do not fit are NULL, or text.
    let lenient = types(Options::new().mismatch(finalite_arrow::Mismatch::Null));
    assert_eq!(support(&lenient, &col("i").eq(lit(1_i64))), Inexact);
    assert_eq!(support(&lenient, &col("i").is_null()), Unsupported);
    assert_eq!(support(&lenient, &col("i").is_not_null()), Inexact);
    let mixed = types(Options::new().mismatch(finalite_arrow::Mismatch::Text));
    assert_eq!(support(&mixed, &col("i").eq(lit(1_i64))), Unsupported);
    let set = types(Options::new().column("i", arrow_schema::DataType::Int64));
    assert_eq!(support(&set, &col("i").eq(lit(1_i64))), Unsupported);
}

/// Comparisons with 0.0 rely on it.
#[tokio::test]
async fn a_column_of_reals_has_no_negative_zero() {
    let file = File::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, r REAL, g REAL AS (r * -1.0)); INSERT INTO t(r) VALUES (0.0), (-0.0);
         ALTER TABLE t ADD COLUMN d DOUBLE DEFAULT -0.0; UPDATE t SET r = r * -1.0",
    );
    let context = file.context("t");
    for column in ["r", "g", "d"] {
        for batch in batches(&context, &format!("SELECT {column} FROM t")).await.unwrap() {
            let values = batch.column(0).as_primitive::<Float64Type>().values().iter();
            assert!(values.copied().all(|value| value == 0.0 && value.is_sign_positive()), "{column}");
        }
        assert_eq!(rows(&context, &format!("SELECT id FROM t WHERE {column} = 0.0")).await, ["1", "2"], "{column}");
    }
}

#[tokio::test]
async fn a_collation_of_the_program_plays_no_part() {
    let file = File::new("");
    let options = OpenOptions::new().init(|conn| conn.create_collation("backwards", |a, b| b.cmp(a)).map(drop));
    let script = "CREATE TABLE t(t TEXT COLLATE backwards); INSERT INTO t VALUES ('a'), ('b'); CREATE INDEX i ON t(t)";
    options.open(file.path()).unwrap().execute_batch(script).unwrap();
    let table = SqliteTable::new(options, file.path(), "t").unwrap();
    assert_eq!(support(&table, &col("t").lt(lit("b"))), Exact);
    let context = SessionContext::new();
    context.register_table("t", std::sync::Arc::new(table)).unwrap();
    assert_eq!(rows(&context, "SELECT t FROM t WHERE t < 'b'").await, ["a"]);
    assert_eq!(rows(&context, "SELECT t FROM t WHERE t = 'b'").await, ["b"]);
}

#[tokio::test]
async fn a_file_in_utf_16_orders_texts_otherwise() {
    let file = File::new(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(t TEXT); INSERT INTO t VALUES ('a'), ('ā'), ('ﬀ'), ('😀')",
    );
    let table = file.table("t");
    assert_eq!(support(&table, &col("t").eq(lit("a"))), Exact);
    assert_eq!(support(&table, &col("t").lt(lit("a"))), Unsupported);
    assert_eq!(support(&table, &col("t").like(lit("a%"))), Unsupported);
    let context = file.context("t");
    assert_eq!(rows(&context, "SELECT t FROM t WHERE t > 'ā' ORDER BY t").await, ["ﬀ", "😀"]);
    // Control: SQLite has them in another order.
    let conn = finalite::Connection::open(file.path()).unwrap();
    assert_ne!(conn.query_all::<String>("SELECT t FROM t WHERE t > 'ā' ORDER BY t", ()).unwrap(), ["ﬀ", "😀"]);
}

#[tokio::test]
async fn each_kind_of_filter_finds_its_rows() {
    let file = File::new(TYPES);
    let context = file.context("t");
    for (filter, expected) in [
        ("i > 1", "2 3"),
        ("i = 1", "1"),
        ("i <> 1", "2 3"),
        ("i BETWEEN 2 AND 3", "2 3"),
        ("i NOT BETWEEN 2 AND 3", "1"),
        ("i IN (1, 3)", "1 3"),
        ("i IN (1, 3, 5, 7, 9)", "1 3"),
        ("i NOT IN (1, 3, 5, 7, 9)", "2"),
        ("i IS NULL", "4"),
        ("i IS NOT NULL", "1 2 3"),
        ("i = 1 OR i = 3 AND t = 'two'", "1 3"),
        ("r < 0", "2"),
        ("r >= 0.5", "1 3"),
        ("t = 'two'", "3"),
        ("t < 'a'", "2"),
        ("t LIKE 't%'", "3"),
        ("t LIKE 'T%'", "2"),
        ("t NOT LIKE 't%'", "1 2"),
        ("t LIKE '%o'", "2 3"),
        ("n = 'two'", "3"),
        ("n < 'a'", "1 2"),
        ("n IN ('One', 'tWO', 'two', 'TWo', 'x')", "1 3"),
        ("b >= X'02'", "2 3"),
        ("f", "1 3"),
        ("NOT f", "2"),
        ("f IS NULL", "4"),
        ("f IS NOT TRUE", "2 4"),
        ("d = DATE '2024-05-02'", "2"),
        ("d >= DATE '2024-05-02'", "2 3"),
        ("d > DATE '2024-05-02'", "3"),
        ("d < DATE '2024-05-02'", "1"),
        ("d <= DATE '2024-05-02'", "1 2"),
        ("d <> DATE '2024-05-02'", "1 3"),
        ("d IN (DATE '2024-05-01', DATE '2024-05-03')", "1 3"),
        ("at > TIMESTAMP '2024-05-01 22:00:00'", "3"),
        ("at >= TIMESTAMP '2024-05-01 22:00:00'", "2 3"),
        ("at < TIMESTAMP '2024-05-03 00:00:00.5'", "1 2"),
        ("at <= TIMESTAMP '2024-05-03 00:00:00.5'", "1 2 3"),
        ("p > 1.25", "2 3"),
        ("p = 3.5", "3"),
        ("p <= 2", "1 2"),
        ("p <> 2", "1 3"),
        ("u > 1", "2 3"),
        ("length(t) = 3 AND i > 2", "3"),
    ] {
        let found = rows(&context, &format!("SELECT id FROM t WHERE {filter} ORDER BY id")).await.join(" ");
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_filter_can_use_an_index_of_the_table() {
    let file = File::new(TYPES);
    file.run("CREATE INDEX by_date ON t(d); CREATE INDEX by_number ON t(i); CREATE INDEX by_name ON t(n)");
    let conn = finalite::Connection::open(file.path()).unwrap();
    for (condition, index) in [
        ("t.i IN (?,?)", "by_number"),
        ("(t.n = ? AND t.n COLLATE BINARY = ?)", "by_name"),
        ("(t.d >= ? AND t.d < ? OR t.d >= ? AND t.d <= ?)", "by_date"),
        ("(t.d >= ? OR t.d >= ? AND t.d < '')", "by_date"),
        ("(t.d >= '' AND t.d < ? OR t.d <= ?)", "by_date"),
    ] {
        let plan = conn.query_plan(&format!("SELECT t FROM t WHERE {condition}")).unwrap();
        assert!(plan.uses_index(index), "{condition}: {plan}");
    }
}

#[tokio::test]
async fn many_values_and_deep_filters_stay_within_the_limits_of_sqlite() {
    let file = File::new("CREATE TABLE t(i INTEGER); INSERT INTO t VALUES (1), (2), (70000)");
    let context = file.context("t");
    for count in [150, 50_000] {
        let list: Vec<String> = (2..count).map(|i| i.to_string()).collect();
        let sql = format!("SELECT i FROM t WHERE i IN ({})", list.join(","));
        assert_eq!(rows(&context, &sql).await, ["2"], "{count}");
    }
    let mut filter = col("i").eq(lit(2_i64));
    for i in 0..2_000 {
        filter = filter.or(col("i").eq(lit(i64::from(i + 100))).and(col("i").gt(lit(-1_i64))));
    }
    assert_eq!(support(&file.table("t"), &filter), Unsupported);
    let many: Vec<Expr> = (0..500).map(|i| col("i").gt(lit(-1_i64 - i))).collect();
    let many: Vec<&Expr> = many.iter().collect();
    let supported = file.table("t").supports_filters_pushdown(&many).unwrap();
    assert_eq!(supported.iter().filter(|it| **it == Exact).count(), 50);
}
