//! Arrow types of declared types.

use std::collections::HashMap;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};

use crate::options::Options;

/// Returns the Arrow type of a declared type that is none of SQLite's own, and whether it is JSON.
pub(crate) fn special(declared: &str, options: &Options) -> Option<(DataType, bool)> {
    let declared = declared.trim();
    let (word, size) = match declared.split_once('(') {
        Some((word, size)) => (word.trim_end(), size.strip_suffix(')')),
        None => (declared.split_ascii_whitespace().next()?, None),
    };
    let word = word.to_ascii_uppercase();
    Some(match &*word {
        "BOOL" | "BOOLEAN" => (DataType::Boolean, false),
        "DATE" => (DataType::Date32, false),
        "JSON" => (text(options.is_large), true),
        "DECIMAL" | "NUMERIC" => (decimal(size?)?, false),
        _ if word.starts_with("DATETIME") || word.starts_with("TIMESTAMP") => {
            (DataType::Timestamp(TimeUnit::Microsecond, options.is_utc.then(|| "UTC".into())), false)
        }
        _ => return None,
    })
}

/// Whether the declared type is a number of unknown size.
pub(crate) fn is_number(declared: &str) -> bool {
    let is_word = |word: &str| declared.trim().get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    ["NUMERIC", "DECIMAL", "NUMBER"].into_iter().any(is_word)
}

fn decimal(size: &str) -> Option<DataType> {
    let (precision, scale) = size.split_once(',')?;
    let (precision, scale): (u8, u8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let is_valid = (1..=DECIMAL128_MAX_PRECISION).contains(&precision) && scale <= precision;
    is_valid.then_some(DataType::Decimal128(precision, i8::try_from(scale).ok()?))
}

pub(crate) fn text(is_large: bool) -> DataType {
    if is_large { DataType::LargeUtf8 } else { DataType::Utf8 }
}

pub(crate) fn blob(is_large: bool) -> DataType {
    if is_large { DataType::LargeBinary } else { DataType::Binary }
}

/// Returns a field; every field may be NULL.
pub(crate) fn field(name: &str, data_type: DataType, is_json: bool) -> Field {
    let field = Field::new(name, data_type, true);
    if !is_json {
        return field;
    }
    let metadata = [(EXTENSION_TYPE_NAME_KEY, "arrow.json"), (EXTENSION_TYPE_METADATA_KEY, "")];
    field.with_metadata(HashMap::from(metadata.map(|(key, value)| (key.into(), value.into()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_read() {
        let of = |declared| special(declared, &Options::new()).map(|(data_type, _)| data_type);
        let timestamp = Some(DataType::Timestamp(TimeUnit::Microsecond, None));
        for (declared, expected) in [
            ("boolean", Some(DataType::Boolean)),
            ("BOOL", Some(DataType::Boolean)),
            ("Date", Some(DataType::Date32)),
            ("datetime", timestamp.clone()),
            ("TIMESTAMP WITH TIME ZONE", timestamp.clone()),
            ("TIMESTAMPTZ", timestamp.clone()),
            ("DATETIME(6)", timestamp.clone()),
            ("DECIMAL(10,2)", Some(DataType::Decimal128(10, 2))),
            ("numeric( 38 , 38 )", Some(DataType::Decimal128(38, 38))),
            ("DECIMAL(39, 2)", None),
            ("DECIMAL(0, 0)", None),
            ("DECIMAL(4, 5)", None),
            ("DECIMAL(10)", None),
            ("DECIMAL", None),
            ("NUMERIC", None),
            ("INTEGER", None),
            ("UPDATED", None),
            ("JSONB", None),
            ("", None),
            ("(", None),
            ("日本語", None),
        ] {
            assert_eq!(of(declared), expected, "{declared}");
        }
        assert_eq!(special("json", &Options::new().large(true)), Some((DataType::LargeUtf8, true)));
    }
}
