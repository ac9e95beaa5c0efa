//! Types of columns.

use std::sync::Arc;

use arrow_array::RecordBatchReader;
use arrow_schema::{DataType, Field, TimeUnit};
use finalite::Value;
use finalite_arrow::{Error, Mismatch, Options, record_batches};

use crate::{all, cells, database};

fn field(script: &str, options: &Options) -> Arc<Field> {
    let conn = database(script);
    let reader = options.record_batches(conn.scan("SELECT * FROM t", ())).unwrap();
    Arc::clone(&reader.schema().fields()[0])
}

/// Reads column `a` of a new table of this type, with these values.
fn read(declared: &str, values: &str, options: &Options) -> Result<Vec<Value>, Error> {
    let conn = database(&format!("CREATE TABLE t(a {declared}); INSERT INTO t VALUES {values};"));
    let batches = all(options.record_batches(conn.scan("SELECT a FROM t", ()))?);
    Ok(cells(&batches).into_iter().map(|mut row| row.remove(0)).collect())
}

fn reason(declared: &str, value: &str, options: &Options) -> &'static str {
    match read(declared, &format!("(NULL), ({value})"), options) {
        Err(Error::Value { row: 1, column: 0, reason, .. }) => reason,
        other => panic!("{declared}, {value}: {other:?}"),
    }
}

#[test]
fn the_declared_type_decides() {
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    for (declared, expected) in [
        ("INTEGER", DataType::Int64),
        ("BIGINT UNSIGNED", DataType::Int64),
        ("VARCHAR(20)", DataType::Utf8),
        ("BLOB", DataType::Binary),
        ("DOUBLE", DataType::Float64),
        ("BOOLEAN", DataType::Boolean),
        ("DATE", DataType::Date32),
        ("DATETIME", micros(None)),
        ("TIMESTAMP", micros(None)),
        ("DECIMAL(12, 3)", DataType::Decimal128(12, 3)),
        ("JSON", DataType::Utf8),
        ("", DataType::Null),
        ("NUMERIC", DataType::Float64),
        ("decimal", DataType::Float64),
        ("NUMBER(10)", DataType::Float64),
    ] {
        let script = format!("CREATE TABLE t(a {declared}); INSERT INTO t VALUES (NULL);");
        let it = field(&script, &Options::new());
        assert_eq!((it.data_type(), it.is_nullable()), (&expected, true), "{declared}");
        assert_eq!(it.extension_type_name(), (declared == "JSON").then_some("arrow.json"));
        assert_eq!(it.extension_type_metadata(), (declared == "JSON").then_some(""));
    }
    let it = field("CREATE TABLE t(a TIMESTAMP)", &Options::new().utc(true));
    assert_eq!(it.data_type(), &micros(Some("UTC")));
    let plain = Options::new().declared_types(false);
    assert_eq!(
        field("CREATE TABLE t(a DATE); INSERT INTO t VALUES ('2024-01-01')", &plain).data_type(),
        &DataType::Utf8
    );
    let large = Options::new().large(true);
    assert_eq!(field("CREATE TABLE t(a JSON)", &large).data_type(), &DataType::LargeUtf8);
    assert_eq!(field("CREATE TABLE t(a BLOB)", &large).data_type(), &DataType::LargeBinary);
}

#[test]
fn without_a_declared_type_the_values_decide() {
    for (values, expected) in [
        ("(NULL), (1)", DataType::Int64),
        ("(1), (0.5), (NULL)", DataType::Float64),
        ("('a')", DataType::Utf8),
        ("(x'00')", DataType::Binary),
        ("(NULL)", DataType::Null),
        ("(9007199254740993)", DataType::Int64),
    ] {
        let it = field(&format!("CREATE TABLE t(a); INSERT INTO t VALUES {values};"), &Options::new());
        assert_eq!(it.data_type(), &expected, "{values}");
    }
}

#[test]
fn values_are_those_of_the_declared_type() {
    let ints = |values: &[i64]| values.iter().map(|&value| Value::Integer(value)).collect::<Vec<_>>();
    let texts = |values: &[&str]| values.iter().map(|&value| Value::Text(value.into())).collect::<Vec<_>>();
    let options = Options::new();
    let read = |declared, values| read(declared, values, &options).unwrap();
    assert_eq!(read("BOOLEAN", "(0), (1), ('true'), ('FALSE')"), ints(&[0, 1, 1, 0]));
    assert_eq!(
        read(
            "DATE",
            "('1970-01-02'), ('1969-12-31'), ('0000-01-01'), ('9999-12-31'), ('2024-02-29 00:00:00'), (86400)"
        ),
        ints(&[1, -1, -719_528, 2_932_896, 19_782, 1])
    );
    assert_eq!(
        read(
            "TIMESTAMP",
            "('1970-01-01 00:00:01'), ('1970-01-01T00:00:00.000001Z'), ('1970-01-01 01:00:00+01:00'), ('1970-01-02'), (2), \
             (0.5), (-1)"
        ),
        ints(&[1_000_000, 1, 0, 86_400_000_000, 2_000_000, 500_000, -1_000_000])
    );
    assert_eq!(
        read("DECIMAL(5, 2)", "(1), (-0.5), (999.99), (12.30), ('7')"),
        texts(&["1.00", "-0.50", "999.99", "12.30", "7.00"])
    );
    assert_eq!(read("JSON", "('{\"a\":1}'), ('1'), ('-0.5')"), texts(&["{\"a\":1}", "1", "-0.5"]));
    assert_eq!(read("REAL", "(1), (0.5)"), [Value::Real(1.0), Value::Real(0.5)]);
}

#[test]
fn values_that_do_not_fit_are_named() {
    let options = Options::new();
    for (declared, value, expected) in [
        ("BOOLEAN", "2", "it is none of 0, 1, and"),
        ("BOOLEAN", "0.5", "it is none of 0, 1, and"),
        ("DATE", "'yesterday'", "it is no date or time that SQLite reads"),
        ("DATE", "'2023-02-29'", "it is no date or time that SQLite reads"),
        ("DATE", "'2024-01-01 12:00'", "it has a time of day"),
        ("DATE", "9e15", "it is out of range"),
        ("DATE", "x'00'", "it is of another type"),
        ("TIMESTAMP", "'2024-01-01 00:00:00.0000001'", "it is finer than microseconds"),
        ("TIMESTAMP", "9223372036854775807", "it is out of range"),
        ("DECIMAL(5, 2)", "0.125", "not a decimal number of these digits and places"),
        ("DECIMAL(5, 2)", "1000", "not a decimal number of these digits and places"),
        ("DECIMAL(5, 2)", "'abc'", "not a decimal number of these digits and places"),
        ("INTEGER", "0.5", "it is of another type"),
        ("INTEGER", "'one'", "it is of another type"),
        ("REAL", "'one'", "it is of another type"),
        ("TEXT", "x'00'", "it is of another type"),
        ("BLOB", "'text'", "it is of another type"),
        ("JSON", "x'00'", "it is of another type"),
        ("JSON", "9e999", "it is of another type"),
    ] {
        let found = reason(declared, value, &options);
        assert!(found.starts_with(&expected[..expected.len().min(15)]), "{declared}, {value}: {found}");
        let null = Options::new().mismatch(Mismatch::Null);
        assert_eq!(read(declared, &format!("({value})"), &null).unwrap(), [Value::Null], "{declared}, {value}");
    }
    assert_eq!(reason("", "9007199254740993), (0.5", &options), "it is not exact as a real");
}

#[test]
fn errors_do_not_show_values() {
    let conn = database("CREATE TABLE t(day DATE); INSERT INTO t VALUES ('2024-05-01'), ('secret');");
    let error = record_batches(conn.scan("SELECT day FROM t", ())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 1, column 0 (day): TEXT does not fit Date32: it is no date or time that SQLite reads; `Options` can set \
         another type, or NULL in its place"
    );
    assert!(!format!("{error:?}").contains("secret"));
    let text = arrow_schema::ArrowError::from(error).to_string();
    assert!(text.contains("row 1") && !text.contains("secret"), "{text}");
}

#[test]
fn mixed_columns_become_text_if_asked() {
    let options = Options::new().mismatch(Mismatch::Text);
    let texts = |values: &[&str]| values.iter().map(|&value| Value::Text(value.into())).collect::<Vec<_>>();
    assert_eq!(read("INTEGER", "(1), ('two'), (2.5)", &options).unwrap(), texts(&["1", "two", "2.5"]));
    assert_eq!(read("", "('a'), (1e300), (x'62')", &options).unwrap(), texts(&["a", "1e300", "b"]));
    assert_eq!(read("DATE", "('2024-01-01'), ('soon')", &options).unwrap(), texts(&["2024-01-01", "soon"]));
    assert_eq!(read("INTEGER", "(1), (2)", &options).unwrap(), [Value::Integer(1), Value::Integer(2)]);
    assert_eq!(reason("", "x'ff'), (1", &Options::new().column("a", DataType::Utf8)), "it is not UTF-8");
    // A type does not change from batch to batch.
    let later = options.rows(1);
    assert!(matches!(read("INTEGER", "(1), ('two')", &later), Err(Error::Value { row: 1, .. })));
}

#[test]
fn the_type_of_a_column_can_be_set() {
    let set = |data_type| Options::new().column("A", data_type);
    let texts = |values: &[&str]| values.iter().map(|&value| Value::Text(value.into())).collect::<Vec<_>>();
    assert_eq!(read("", "(1), (0.1), ('x')", &set(DataType::LargeUtf8)).unwrap(), texts(&["1", "0.1", "x"]));
    assert_eq!(read("", "(1), (0.1)", &set(DataType::Decimal128(3, 1))).unwrap(), texts(&["1.0", "0.1"]));
    assert_eq!(read("TEXT", "('é')", &set(DataType::Binary)).unwrap(), [Value::Blob("é".into())]);
    assert_eq!(read("", "(1)", &set(DataType::Boolean)).unwrap(), [Value::Integer(1)]);
    for unsupported in [DataType::Int8, DataType::Decimal128(3, -1), DataType::Timestamp(TimeUnit::Second, None)] {
        assert!(matches!(read("", "(1)", &set(unsupported)), Err(Error::Option { .. })));
    }
    let none = Options::new().column("b", DataType::Utf8);
    assert_eq!(read("", "(1)", &none).unwrap_err().to_string(), "column b: the result has no such column");
}

#[test]
fn columns_may_have_one_name() {
    let conn = database("");
    let batches = all(record_batches(conn.scan("SELECT 1 AS a, 'x' AS a", ())).unwrap());
    assert_eq!(cells(&batches), [[Value::Integer(1), Value::Text("x".into())]]);
}

#[test]
fn numbers_of_no_size_are_reals() {
    let options = Options::new().rows(1);
    assert_eq!(read("NUMERIC", "(1), (0.5)", &options).unwrap(), [Value::Real(1.0), Value::Real(0.5)]);
    assert_eq!(read("NUMERIC", "(NULL), (0.5)", &options).unwrap(), [Value::Null, Value::Real(0.5)]);
    let large = i64::MAX;
    assert_eq!(read("NUMERIC", &format!("({large})"), &options).unwrap(), [Value::Integer(large)]);
    assert_eq!(read("NUMERIC", "('a')", &options).unwrap(), [Value::Text("a".into())]);
    let plain = Options::new().declared_types(false);
    assert_eq!(read("NUMERIC", "(1)", &plain).unwrap(), [Value::Integer(1)]);
}

/// The first eight batches decide.
#[test]
fn a_column_that_begins_with_null_waits_for_its_type() {
    let nulls = |count: usize| format!("{}(1)", "(NULL), ".repeat(count));
    let one = Options::new().rows(1);
    for count in [1, 7] {
        let found = read("", &nulls(count), &one).unwrap();
        assert_eq!((found.len(), &found[count]), (count + 1, &Value::Integer(1)));
    }
    let error = read("", &nulls(8), &one).unwrap_err();
    assert!(error.to_string().starts_with("row 8, column 0 (a): INTEGER does not fit Null: "), "{error}");
    let set = one.clone().column("a", DataType::Int64);
    assert_eq!(read("", &nulls(8), &set).unwrap()[8], Value::Integer(1));
    // Two columns that have their first values in different batches, and the batches in their order.
    let conn = database("");
    let sql = "VALUES (NULL, NULL, 1), (NULL, 'x', 2), (0.5, NULL, 3), (NULL, 'y', 4)";
    let mut order = vec![];
    let rows = one.for_each_record_batch(conn.scan(sql, ()), |batch| {
        let types: Vec<DataType> = batch.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Float64, DataType::Utf8, DataType::Int64]);
        order.push(cells(&[batch]).remove(0).remove(2));
        Ok::<(), Error>(())
    });
    assert_eq!(rows.unwrap(), 4);
    assert_eq!(order, [1, 2, 3, 4].map(Value::Integer));
}
