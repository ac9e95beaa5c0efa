//! Queries: what is read, and which plan reads it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use finalite::OpenOptions;
use finalite_datafusion::{Options, SqliteDatabase, SqliteTable};

use super::{File, batches, plan, rows};

const NUMBERS: &str = "CREATE TABLE n(id INTEGER PRIMARY KEY, word TEXT, half REAL);
    WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 20000)
    INSERT INTO n SELECT i, 'word ' || (i % 7), i / 2.0 FROM i;";

fn shop() -> File {
    File::new(
        "CREATE TABLE sale(id INTEGER PRIMARY KEY, city INTEGER, price DECIMAL(10, 2), day DATE, is_paid BOOLEAN);
         INSERT INTO sale(city, price, day, is_paid) VALUES
            (1, 9.99, '2024-05-01', 1), (2, 12.5, '2024-05-02', 0), (1, NULL, NULL, NULL), (3, 1, '2024-05-03', 1);",
    )
}

fn world() -> File {
    File::new(
        "CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE);
         INSERT INTO city VALUES (1, 'Ulm'), (2, 'Bonn'), (4, 'Kiel');
         CREATE VIEW short AS SELECT id, name FROM city WHERE length(name) < 4;",
    )
}

/// Both files as schemas of one context.
fn both(shop: &File, world: &File) -> SessionContext {
    let context = SessionContext::new();
    let catalog = context.catalog("datafusion").unwrap();
    catalog.register_schema("shop", Arc::new(SqliteDatabase::open(shop.path()).unwrap())).unwrap();
    catalog.register_schema("world", Arc::new(SqliteDatabase::open(world.path()).unwrap())).unwrap();
    context
}

const JOIN: &str = "SELECT name, count(*), sum(price) FROM shop.sale JOIN world.city ON city.id = sale.city
    GROUP BY name ORDER BY name";

#[tokio::test]
async fn two_files_are_joined() {
    let (shop, world) = (shop(), world());
    assert_eq!(rows(&both(&shop, &world), JOIN).await, ["Bonn|1|12.50", "Ulm|2|9.99"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_files_are_joined_on_several_threads() {
    let (shop, world) = (shop(), world());
    let context = both(&shop, &world);
    let queries = (0..8).map(|_| {
        let context = context.clone();
        tokio::spawn(async move { rows(&context, JOIN).await })
    });
    for query in queries.collect::<Vec<_>>() {
        assert_eq!(query.await.unwrap(), ["Bonn|1|12.50", "Ulm|2|9.99"]);
    }
}

#[tokio::test]
async fn a_schema_lists_tables_and_views_and_finds_new_ones() {
    let (shop, world) = (shop(), world());
    let context = both(&shop, &world);
    let schema = context.catalog("datafusion").unwrap().schema("world").unwrap();
    assert_eq!(schema.table_names(), ["city", "short"]);
    assert!(schema.table_exist("CITY") && !schema.table_exist("sale"));
    assert_eq!(rows(&context, "SELECT * FROM world.short").await, ["1|Ulm"]);
    assert_eq!(rows(&context, "SELECT id FROM world.short WHERE id > 1").await, [""; 0]);
    assert!(schema.table("river").await.unwrap().is_none());
    world.run("CREATE TABLE river(name TEXT); INSERT INTO river VALUES ('Danube')");
    assert_eq!(rows(&context, "SELECT * FROM world.river").await, ["Danube"]);
}

#[tokio::test]
async fn types_are_those_of_the_declarations() {
    let file = File::new(
        "CREATE TABLE t(i INTEGER, r REAL, t TEXT, b BLOB, f BOOLEAN, d DATE, at TIMESTAMP, p DECIMAL(6, 2), j JSON, u,
            n NUMERIC, e);
         INSERT INTO t VALUES (1, 0.5, 'é', x'00ff', 1, '2024-05-01', '2024-05-01 12:30:00.25', '12.5', '[1]', 7, 1.5,
            NULL);
         INSERT INTO t(u) VALUES (0.5);",
    );
    let context = file.context("t");
    let types: Vec<String> = file.table("t").schema().fields().iter().map(|it| it.data_type().to_string()).collect();
    let expected = [
        "Int64",
        "Float64",
        "Utf8",
        "Binary",
        "Boolean",
        "Date32",
        "Timestamp(µs)",
        "Decimal128(6, 2)",
        "Utf8",
        "Float64",
        "Float64",
        "Utf8",
    ];
    assert_eq!(types, expected);
    let row = "1|0.5|é|00ff|true|2024-05-01|2024-05-01T12:30:00.250|12.50|[1]|7.0|1.5|";
    assert_eq!(rows(&context, "SELECT * FROM t WHERE i = 1").await, [row]);
    assert_eq!(rows(&context, "SELECT * FROM t").await, [row, "|||||||||0.5||"]);
    let utc = SqliteTable::with_types(OpenOptions::new(), Options::new().utc(true), file.path(), "t").unwrap();
    let zone = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(utc.schema().field_with_name("at").unwrap().data_type(), &zone);
}

#[tokio::test]
async fn options_of_a_column_hold_in_each_projection() {
    let file = File::new("CREATE TABLE t(a INTEGER, b TEXT); INSERT INTO t VALUES ('x', 'y'), (1, 'z')");
    let options = || Options::new().column("a", arrow_schema::DataType::Utf8);
    let table = SqliteTable::with_types(OpenOptions::new(), options(), file.path(), "t").unwrap();
    let context = SessionContext::new();
    context.register_table("t", Arc::new(table)).unwrap();
    assert_eq!(rows(&context, "SELECT b FROM t").await, ["y", "z"]);
    assert_eq!(rows(&context, "SELECT a FROM t WHERE a = '1'").await, ["1"]);
    let other = options().column("c", arrow_schema::DataType::Utf8);
    assert!(SqliteTable::with_types(OpenOptions::new(), other, file.path(), "t").is_err());
}

#[tokio::test]
async fn only_the_columns_asked_for_are_read() {
    let file = File::new("CREATE TABLE t(a INTEGER, b INTEGER); INSERT INTO t VALUES (1, 'no number')");
    let context = file.context("t");
    assert_eq!(rows(&context, "SELECT a FROM t").await, ["1"]);
    // Control: reading the other column is an error.
    assert!(batches(&context, "SELECT b FROM t").await.is_err());
    assert_eq!(plan(&context, "SELECT a FROM t").await.trim(), "SqliteScan: table=t, projection=[a]");
    assert_eq!(rows(&context, "SELECT a, a AS b FROM t").await, ["1|1"]);
}

#[tokio::test]
async fn rows_are_counted_without_columns() {
    let file = File::new(NUMBERS);
    let context = file.context("n");
    assert_eq!(rows(&context, "SELECT count(*) FROM n").await, ["20000"]);
    assert_eq!(rows(&context, "SELECT count(*) FROM n WHERE id > 5").await, ["19995"]);
    assert_eq!(rows(&context, "SELECT count(*) FROM (SELECT 1 FROM n LIMIT 9000)").await, ["9000"]);
    assert_eq!(rows(&context, "SELECT count(*) FROM (SELECT 1 FROM n WHERE id > 19000 LIMIT 3000)").await, ["1000"]);
    let ones = batches(&context, "SELECT 1 FROM n").await.unwrap();
    assert!(ones.iter().all(|batch| batch.num_rows() <= 8192));
    assert!(plan(&context, "SELECT count(*) FROM n WHERE id > 5").await.contains("projection=[], filters=[id > "));
}

#[tokio::test]
async fn limits_are_left_to_sqlite_behind_exact_filters_alone() {
    let file = File::new(NUMBERS);
    let context = file.context("n");
    assert_eq!(rows(&context, "SELECT id FROM n LIMIT 3").await, ["1", "2", "3"]);
    assert_eq!(
        plan(&context, "SELECT id FROM n LIMIT 3").await.trim(),
        "SqliteScan: table=n, projection=[id], limit=3"
    );
    let exact = "SELECT id FROM n WHERE word = 'word 3' LIMIT 2";
    assert_eq!(rows(&context, exact).await, ["3", "10"]);
    assert!(plan(&context, exact).await.contains("filters=[word = Utf8(\"word 3\")], limit=2"));
    assert_eq!(rows(&context, "SELECT id FROM n WHERE word = 'word 3' LIMIT 2 OFFSET 2").await, ["17", "24"]);
    let unsupported = "SELECT id FROM n WHERE length(word) = 6 AND id % 100 = 0 LIMIT 2";
    assert_eq!(rows(&context, unsupported).await, ["100", "200"]);
    assert!(!plan(&context, unsupported).await.contains("limit="));
    assert_eq!(rows(&context, "SELECT id FROM n ORDER BY half DESC LIMIT 1").await, ["20000"]);
}

#[tokio::test]
async fn batches_have_the_size_that_datafusion_asks_for() {
    let file = File::new(NUMBERS);
    let context = SessionContext::new_with_config(SessionConfig::new().with_batch_size(512));
    context.register_table("n", Arc::new(file.table("n"))).unwrap();
    let all = batches(&context, "SELECT id FROM n WHERE id <= 1200").await.unwrap();
    assert!(all.iter().all(|batch| batch.num_rows() <= 512));
    assert_eq!(all.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1200);
}

#[tokio::test]
async fn estimates_are_inexact() {
    use datafusion::common::stats::Precision;
    use datafusion::physical_plan::statistics::StatisticsArgs;
    let file = File::new(NUMBERS);
    assert_eq!(file.table("n").estimated_rows(), Some(20_000));
    assert_eq!(file.table("n").statistics().unwrap().num_rows, Precision::Inexact(20_000));
    // Rowids that are far apart: at most what the file has room for.
    file.run("UPDATE n SET id = 9000000000000000000 WHERE id = 20000");
    assert!((20_000..200_000).contains(&file.table("n").estimated_rows().unwrap()));
    file.run("ANALYZE");
    assert_eq!(file.table("n").estimated_rows(), Some(20_000));
    file.run(
        "CREATE INDEX by_word ON n(word); ANALYZE; CREATE VIEW v AS SELECT * FROM n; CREATE TABLE none(a);
        CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID",
    );
    assert_eq!(file.table("n").estimated_rows(), Some(20_000));
    assert_eq!(["v", "none", "w"].map(|name| file.table(name).estimated_rows()), [None, Some(0), None]);
    let context = file.context("n");
    for (sql, expected) in
        [("SELECT id FROM n", 20_000), ("SELECT id FROM n LIMIT 5", 5), ("SELECT id FROM n WHERE id > 5", 4_000)]
    {
        let plan: Arc<dyn ExecutionPlan> = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let statistics = plan.statistics_from_inputs(&[], &StatisticsArgs::new()).unwrap();
        assert_eq!(statistics.num_rows, Precision::Inexact(expected), "{sql}");
    }
}

#[tokio::test]
async fn explain_shows_the_scan() {
    let file = File::new(NUMBERS);
    let context = file.context("n");
    let explained = rows(&context, "EXPLAIN SELECT word FROM n WHERE half < 3.5 AND id > 2 LIMIT 4").await.join("\n");
    assert!(explained.contains("SqliteScan: table=n, projection=[word]"), "{explained}");
    assert!(explained.contains("filters=[half < Float64(3.5), id > Int64(2)], limit=4"), "{explained}");
    let tree = rows(&context, "EXPLAIN FORMAT TREE SELECT word FROM n LIMIT 4").await.join("\n");
    for part in ["SqliteScan", "table", "projection", "limit"] {
        assert!(tree.contains(part), "{tree}");
    }
    let analyzed = rows(&context, "EXPLAIN ANALYZE SELECT word FROM n LIMIT 4").await.join("\n");
    assert!(analyzed.contains("output_rows=4"), "{analyzed}");
}

#[tokio::test]
async fn names_are_quoted() {
    let file = File::new(
        "CREATE TABLE \"a.b \"\"c\"(\"select\" INTEGER, \"x\"\"y\" TEXT);
         INSERT INTO \"a.b \"\"c\" VALUES (1, 'one'), (2, 'two')",
    );
    let context = SessionContext::new();
    context.register_table("t", Arc::new(file.table("a.b \"c"))).unwrap();
    assert_eq!(rows(&context, "SELECT \"x\"\"y\" FROM t WHERE \"select\" = 2").await, ["two"]);
    assert_eq!(rows(&context, "SELECT \"x\"\"y\" FROM t").await, ["one", "two"]);
}
