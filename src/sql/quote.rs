//! Quoting: names, values, patterns.

use std::fmt::Write;

use crate::raw::library;
use crate::value::ValueRef;

/// Returns the name as an identifier of SQL, in double quotes.
///
/// SQL cannot contain NUL, in a name neither: preparing it returns [`ErrorKind::NulInSql`](crate::ErrorKind::NulInSql).
///
/// # Example
///
/// ```
/// use finalite::{Connection, sql};
///
/// let conn = Connection::open_in_memory()?;
/// let table = sql::quote_identifier("odd \"name\"");
/// assert_eq!(table, r#""odd ""name""""#);
/// conn.execute(&format!("CREATE TABLE {table}(a)"), ())?;
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use]
#[doc(alias("escape_identifier", "%w"))]
pub fn quote_identifier(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    match name.as_bytes().contains(&b'"') {
        true => quoted.push_str(&name.replace('"', "\"\"")),
        false => quoted.push_str(name),
    }
    quoted.push('"');
    quoted
}

/// Returns the text as a literal in single quotes.
pub(crate) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the value as an expression of SQL that yields the same value again: a literal, except for a text that
/// contains NUL (`replace('a…b', '…', char(0))`) or is not UTF-8 (a blob, cast to text, which requires a database in
/// UTF-8).
///
/// A REAL is written with the fewest digits that denote no other double; infinity is `9e999`. Before version 3.53, SQLite
/// reads some numbers of many digits inexactly: such a one becomes a quotient or a product, in parentheses. NaN is not a
/// value of SQLite, and becomes NULL, as in SQLite itself.
///
/// # Example
///
/// ```
/// use finalite::{ValueRef, sql};
///
/// assert_eq!(sql::quote_literal(ValueRef::Text(b"it's")), "'it''s'");
/// assert_eq!(sql::quote_literal(ValueRef::Blob(&[0x0a, 0xff])), "x'0AFF'");
/// assert_eq!(sql::quote_literal(ValueRef::Real(0.1)), "0.1");
/// assert_eq!(sql::quote_literal(ValueRef::Integer(-7)), "-7");
/// ```
#[must_use]
#[doc(alias("quote", "escape_string"))]
pub fn quote_literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => quote_real(number),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => {
                let stand_in = ('\u{1}'..).find(|&c| !text.contains(c)).unwrap_or_default().to_string();
                let (text, stand_in) = (text.replace('\0', &stand_in), quote_text(&stand_in));
                format!("replace({},{stand_in},char(0))", quote_text(&text))
            }
            Ok(text) => quote_text(text),
            Err(_) => format!("CAST({} AS TEXT)", quote_blob(bytes)),
        },
        ValueRef::Blob(bytes) => quote_blob(bytes),
    }
}

fn quote_real(number: f64) -> String {
    if number.is_nan() {
        return "NULL".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "9e999" } else { "-9e999" }.to_owned();
    }
    if library::version_number() >= EXACT_SINCE || is_read_exactly(number) {
        // With a point or an exponent, so that it is no INTEGER.
        return format!("{number:?}");
    }
    scaled_integer(number)
}

/// First version that reads each number as the nearest double.
const EXACT_SINCE: i32 = 3_053_000;

/// Whether every version of SQLite reads the decimal form exactly: it has few digits, and a small power of ten.
fn is_read_exactly(number: f64) -> bool {
    const DIGITS_MAX: usize = 15;
    const POWER_MAX: i32 = 22;
    let text = format!("{number:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    count <= DIGITS_MAX && power.parse().is_ok_and(|power: i32| power.abs() <= POWER_MAX)
}

/// Returns the number as an integer, multiplied or divided by powers of two: each step is exact.
fn scaled_integer(number: f64) -> String {
    /// Largest power of two in one factor.
    const STEP: i32 = 62;
    const FRACTION_BITS: i32 = 52;
    const BIAS: i32 = 1075;
    let bits = number.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let exponent = i32::try_from(bits >> FRACTION_BITS & 0x7ff).unwrap_or(0);
    // A subnormal number lacks the leading bit.
    let (mut integer, mut power) =
        if exponent == 0 { (fraction, 1 - BIAS) } else { (fraction | 1 << FRACTION_BITS, exponent - BIAS) };
    while integer != 0 && integer & 1 == 0 && power < 0 {
        (integer, power) = (integer >> 1, power + 1);
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let mut text = format!("({sign}{integer}.0");
    let operator = if power < 0 { '/' } else { '*' };
    while power != 0 {
        let step = power.abs().min(STEP);
        text.push(operator);
        text.push_str(&format!("{}.0", 1_u64 << step));
        power -= step * power.signum();
    }
    text.push(')');
    text
}

fn quote_blob(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
    }
    text.push('\'');
    text
}

/// Returns the text as a pattern of `LIKE` that matches only this text: `%`, `_` and the escape character itself are
/// escaped. The SQL names the escape character: `LIKE ? ESCAPE '\'`.
///
/// Wildcards can be added before or behind it.
///
/// # Example
///
/// ```
/// use finalite::{Connection, sql};
///
/// let conn = Connection::open_in_memory()?;
/// let pattern = format!("%{}%", sql::escape_like("100%", '\\'));
/// assert_eq!(pattern, r"%100\%%");
/// let sql = r"SELECT 'at 100% power' LIKE ?1 ESCAPE '\', 'at 1000 watts' LIKE ?1 ESCAPE '\'";
/// assert_eq!(conn.query_one::<(bool, bool)>(sql, (&pattern,))?, (true, false));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [The LIKE operator](https://sqlite.org/lang_expr.html#like)
#[must_use]
#[doc(alias("ESCAPE", "like_pattern"))]
pub fn escape_like(text: &str, escape: char) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c == '_' || c == escape {
            pattern.push(escape);
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::{is_read_exactly, scaled_integer};

    /// Evaluates the form of `scaled_integer` as SQLite does.
    fn evaluate(text: &str) -> f64 {
        let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap();
        let mut parts = text.split_inclusive(['*', '/']);
        let first = parts.next().unwrap();
        let mut value: f64 = first.trim_end_matches(['*', '/']).parse().unwrap();
        let mut operator = first.chars().last().unwrap();
        for part in parts {
            let factor: f64 = part.trim_end_matches(['*', '/']).parse().unwrap();
            value = if operator == '*' { value * factor } else { value / factor };
            operator = part.chars().last().unwrap();
        }
        value
    }

    #[test]
    fn scaled_integers_are_exact() {
        assert_eq!(scaled_integer(0.1), "(3602879701896397.0/36028797018963968.0)");
        assert_eq!(scaled_integer(-1e23), "(-5960464477539062.0*16777216.0)");
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let random = std::iter::repeat_with(|| {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            f64::from_bits(bits)
        });
        let special = [0.5, 1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -5e-324, f64::EPSILON];
        for number in special.into_iter().chain(random.filter(|number| number.is_finite()).take(20_000)) {
            let text = scaled_integer(number);
            assert_eq!(evaluate(&text).to_bits(), number.to_bits(), "{text}");
        }
    }

    #[test]
    fn few_digits_stay_a_decimal() {
        for number in [0.0, -0.0, 0.1, 1.5, 3.25e22, 123_456_789_012_345.0, -1e-22] {
            assert!(is_read_exactly(number), "{number:e}");
        }
        for number in [0.1 + 0.2, 1e23, 1e-23, std::f64::consts::PI, f64::MAX, 5e-324] {
            assert!(!is_read_exactly(number), "{number:e}");
        }
    }
}
