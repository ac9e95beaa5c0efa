//! Decimal numbers of a fixed number of places.

const REASON: &str = "not a decimal number of these digits and places";

/// Returns the number of units of `10^-scale` in the text of a decimal number, if that is whole and has at most
/// `precision` digits.
pub(crate) fn of_text(text: &[u8], precision: u8, scale: u8) -> Result<i128, &'static str> {
    let (is_negative, digits) = match text.trim_ascii() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, places) = point.map_or((digits, &[][..]), |point| (&digits[..point], &digits[point + 1..]));
    if whole.is_empty() && places.is_empty() {
        return Err(REASON);
    }
    let mut units: i128 = 0;
    let mut add = |byte: u8| -> Result<(), &'static str> {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0')).ok_or(REASON)?;
        units = units.checked_mul(10).and_then(|units| units.checked_add(digit)).ok_or(REASON)?;
        Ok(())
    };
    whole.iter().try_for_each(|&byte| add(byte))?;
    for place in 0..usize::from(scale).max(places.len()) {
        let byte = places.get(place).copied().unwrap_or(b'0');
        if place < usize::from(scale) {
            add(byte)?;
        } else if byte != b'0' {
            return Err(REASON);
        }
    }
    let units = if is_negative { -units } else { units };
    checked(units, precision)
}

pub(crate) fn of_integer(value: i64, precision: u8, scale: u8) -> Result<i128, &'static str> {
    let units = 10_i128.checked_pow(scale.into()).and_then(|unit| unit.checked_mul(value.into()));
    checked(units.ok_or(REASON)?, precision)
}

/// Takes a real as the shortest decimal number that reads back as it.
pub(crate) fn of_real(value: f64, precision: u8, scale: u8) -> Result<i128, &'static str> {
    // Larger ones have more than 38 digits.
    if value.abs() < 1e39 { of_text(value.to_string().as_bytes(), precision, scale) } else { Err(REASON) }
}

fn checked(units: i128, precision: u8) -> Result<i128, &'static str> {
    let is_short = 10_u128.checked_pow(precision.into()).is_some_and(|end| units.unsigned_abs() < end);
    if is_short { Ok(units) } else { Err(REASON) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12.34", Some(1234)),
            ("-12.3", Some(-1230)),
            ("+.5", Some(50)),
            ("5.", Some(500)),
            ("1.2300", Some(123)),
            ("999.99", Some(99_999)),
            ("1000", None),
            ("1.234", None),
            ("1e2", None),
            (".", None),
            ("-", None),
            ("", None),
            ("1.2.3", None),
            ("--1", None),
            ("inf", None),
        ] {
            assert_eq!(of_text(text.as_bytes(), 5, 2).ok(), expected, "{text}");
        }
        assert_eq!(of_real(0.1 + 0.2, 38, 2).ok(), None);
        assert_eq!(of_real(0.1, 38, 2), Ok(10));
        assert_eq!(of_real(f64::NEG_INFINITY, 38, 2).ok(), None);
        assert_eq!(of_integer(i64::MIN, 38, 19), Ok(i128::from(i64::MIN) * 10_i128.pow(19)));
        assert_eq!(of_integer(i64::MIN, 38, 20).ok(), None);
        assert_eq!(of_text(&[b'9'; 38], 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(of_text(&[b'9'; 40], 38, 0).ok(), None);
    }
}
