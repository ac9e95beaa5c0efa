//! SQLite's mathematical functions, where the build lacks them.

use finalite::Value;

use super::{one, open};

#[test]
fn mathematical_functions_are_those_of_sqlite() {
    let conn = open();
    let added = conn.create_math_functions().unwrap();
    assert_eq!(conn.create_math_functions().unwrap(), 0);
    if finalite::sqlite::compile_options().any(|option| option == "ENABLE_MATH_FUNCTIONS") {
        assert_eq!(added, 0);
    } else {
        assert_eq!(added, 30);
    }
    // NULL, no number, outside of the domain.
    for sql in [
        "acos(2)",
        "sqrt(-1)",
        "ln(0)",
        "ln(-1)",
        "log(1, 5)",
        "log(0.5, 2)",
        "log(2, 0)",
        "log10('x')",
        "acosh(0)",
        "sin(NULL)",
        "sin('abc')",
        "sin(x'31')",
        "pow(NULL, 1)",
        "pow(1, 'x')",
        "ceil('x')",
        "ceil(NULL)",
        "mod(1, 0)",
        "log(2, NULL)",
        "atanh(2)",
    ] {
        assert_eq!(one::<Value>(&conn, &format!("SELECT {sql}")), Value::Null, "{sql}");
    }
    for (sql, expected) in [
        ("pi()", Value::Real(std::f64::consts::PI)),
        ("ceil(3)", Value::Integer(3)),
        ("ceil('3')", Value::Integer(3)),
        ("ceiling(2.1)", Value::Real(3.0)),
        ("floor(-2.1)", Value::Real(-3.0)),
        ("trunc(-2.9)", Value::Real(-2.0)),
        ("mod(7, -3)", Value::Real(1.0)),
        ("pow(2, 10)", Value::Real(1024.0)),
        ("power('2', 3.0)", Value::Real(8.0)),
        ("log(2, 8)", Value::Real(3.0)),
        ("log(100)", Value::Real(2.0)),
        ("log10(1000)", Value::Real(3.0)),
        ("log2(8)", Value::Real(3.0)),
        ("ln(exp(0))", Value::Real(0.0)),
        ("degrees(pi())", Value::Real(180.0)),
        ("radians(180)", Value::Real(std::f64::consts::PI)),
        ("atan2(1, 1)", Value::Real(std::f64::consts::FRAC_PI_4)),
        ("sqrt(2)", Value::Real(std::f64::consts::SQRT_2)),
    ] {
        assert_eq!(one::<Value>(&conn, &format!("SELECT {sql}")), expected, "{sql}");
    }
    // They serve indexes, and a schema that is not trusted.
    conn.execute_batch("CREATE TABLE t(a); CREATE INDEX i ON t(sqrt(a)); CREATE VIEW v AS SELECT sqrt(4)").unwrap();
    conn.set_pragma("trusted_schema", false).unwrap();
    assert_eq!(one::<f64>(&conn, "SELECT * FROM v"), 2.0);
}
