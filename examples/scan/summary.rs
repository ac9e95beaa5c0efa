//! What a column holds: how many values of each type, the least and the greatest.

use std::cmp::Ordering;

use finalite::ValueRef;

/// One column of the result.
///
/// The extremes are kept by type, so that a value is only ever compared with its like: which type goes before which
/// is asked once, at the end.
pub struct Column {
    pub name: String,
    pub integers: u64,
    pub reals: u64,
    pub texts: u64,
    pub blobs: u64,
    pub nulls: u64,
    integer: (i64, i64),
    real: (f64, f64),
    text: Extremes,
    blob: Extremes,
}

impl Column {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            integers: 0,
            reals: 0,
            texts: 0,
            blobs: 0,
            nulls: 0,
            integer: (i64::MAX, i64::MIN),
            real: (f64::INFINITY, f64::NEG_INFINITY),
            text: Extremes::default(),
            blob: Extremes::default(),
        }
    }

    #[inline]
    pub fn add(&mut self, value: ValueRef<'_>, collation: Collation) {
        match value {
            ValueRef::Null => self.nulls += 1,
            ValueRef::Integer(value) => {
                self.integers += 1;
                self.integer = (self.integer.0.min(value), self.integer.1.max(value));
            }
            ValueRef::Real(value) => {
                self.reals += 1;
                self.real = (self.real.0.min(value), self.real.1.max(value));
            }
            ValueRef::Text(bytes) => {
                self.texts += 1;
                self.text.add(bytes, collation);
            }
            ValueRef::Blob(bytes) => {
                self.blobs += 1;
                self.blob.add(bytes, Collation::Bytes);
            }
        }
    }

    /// The least value that is not NULL. SQLite sorts numbers before TEXT and TEXT before BLOB.
    pub fn min(&self) -> Option<ValueRef<'_>> {
        self.number(Ordering::Less, self.integer.0, self.real.0)
            .or_else(|| self.text.min.as_deref().map(ValueRef::Text))
            .or_else(|| self.blob.min.as_deref().map(ValueRef::Blob))
    }

    /// The greatest value that is not NULL.
    pub fn max(&self) -> Option<ValueRef<'_>> {
        let blob = self.blob.max.as_deref().map(ValueRef::Blob);
        blob.or_else(|| self.text.max.as_deref().map(ValueRef::Text))
            .or_else(|| self.number(Ordering::Greater, self.integer.1, self.real.1))
    }

    /// Of the extreme INTEGER and the extreme REAL the one that is `wanted` compared with the other.
    fn number(&self, wanted: Ordering, integer: i64, real: f64) -> Option<ValueRef<'static>> {
        match (self.integers > 0, self.reals > 0) {
            (true, true) if compare_numbers(integer, real) == wanted.reverse() => Some(ValueRef::Real(real)),
            (true, _) => Some(ValueRef::Integer(integer)),
            (false, true) => Some(ValueRef::Real(real)),
            (false, false) => None,
        }
    }
}

/// Compares without rounding: above 2^53 not every integer has a double.
fn compare_numbers(integer: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if real >= LIMIT {
        Ordering::Less
    } else if real < -LIMIT {
        Ordering::Greater
    } else {
        // In range, so the cast only cuts off the fraction, which is looked at where the rest is equal.
        integer.cmp(&(real as i64)).then(0.0.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal))
    }
}

/// What SQLite's collation BINARY compares: the bytes of a text in the encoding of the database.
#[derive(Clone, Copy)]
pub enum Collation {
    Bytes,
    Utf16Le,
    Utf16Be,
}

impl Collation {
    /// Of a database with this `PRAGMA encoding`.
    pub fn of(encoding: &str) -> Self {
        match encoding {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Bytes,
        }
    }

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Bytes => a.cmp(b),
            Self::Utf16Le | Self::Utf16Be => self.units(a).cmp(self.units(b)),
        }
    }

    /// The first eight bytes as a number: most comparisons end there. Padded with zeros, so that of two texts with
    /// different numbers the one with the smaller comes first, and of two with the same nothing is known.
    #[inline]
    fn prefix(self, bytes: &[u8]) -> u64 {
        match (self, bytes.first_chunk()) {
            (Self::Bytes, Some(chunk)) => u64::from_be_bytes(*chunk),
            (Self::Bytes, None) => bytes.iter().rfold(0, |prefix, &byte| prefix >> 8 | u64::from(byte) << 56),
            (_, _) => {
                let units = self.units(bytes).take(4).zip([48, 32, 16, 0]);
                units.fold(0, |prefix, (unit, shift)| prefix | u64::from(unit) << shift)
            }
        }
    }

    /// The text in UTF-16, its units made so that comparing them compares their bytes.
    fn units(self, text: &[u8]) -> impl Iterator<Item = u16> {
        let little_endian = matches!(self, Self::Utf16Le);
        let chars = text.utf8_chunks().flat_map(|chunk| {
            let replacement = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(replacement)
        });
        let units = chars.flat_map(|char| {
            let mut pair = [0; 2];
            let len = char.encode_utf16(&mut pair).len();
            pair.into_iter().take(len)
        });
        units.map(move |unit| if little_endian { unit.swap_bytes() } else { unit })
    }
}

/// The least and the greatest of texts or blobs. Bytes are copied only where a new extreme shows up.
struct Extremes {
    min: Option<Vec<u8>>,
    max: Option<Vec<u8>>,
    min_prefix: u64,
    max_prefix: u64,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { min: None, max: None, min_prefix: u64::MAX, max_prefix: 0 }
    }
}

impl Extremes {
    #[inline]
    fn add(&mut self, bytes: &[u8], collation: Collation) {
        let prefix = collation.prefix(bytes);
        if prefix <= self.min_prefix && is_beyond(self.min.as_deref(), bytes, Ordering::Less, collation) {
            self.min_prefix = prefix;
            replace(&mut self.min, bytes);
        }
        if prefix >= self.max_prefix && is_beyond(self.max.as_deref(), bytes, Ordering::Greater, collation) {
            self.max_prefix = prefix;
            replace(&mut self.max, bytes);
        }
    }
}

/// Whether there is no extreme yet, or this is `wanted` compared with it.
fn is_beyond(extreme: Option<&[u8]>, bytes: &[u8], wanted: Ordering, collation: Collation) -> bool {
    extreme.is_none_or(|extreme| collation.compare(bytes, extreme) == wanted)
}

fn replace(extreme: &mut Option<Vec<u8>>, bytes: &[u8]) {
    let buffer = extreme.get_or_insert_default();
    buffer.clear();
    buffer.extend_from_slice(bytes);
}
