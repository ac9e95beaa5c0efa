//! A column whose values have several types.

use crate::value::ValueRef;

/// Values of any type.
#[derive(Clone, Debug, Default)]
pub(in crate::scan) struct Dynamic {
    pub(super) cells: Vec<DynamicCell>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum DynamicCell {
    Null,
    Integer(i64),
    Real(f64),
    Text { start: usize, len: u32 },
    Blob { start: usize, len: u32 },
}

impl Dynamic {
    pub(super) fn push(&mut self, value: ValueRef<'_>) {
        let cell = match value {
            ValueRef::Null => DynamicCell::Null,
            ValueRef::Integer(value) => DynamicCell::Integer(value),
            ValueRef::Real(value) => DynamicCell::Real(value),
            ValueRef::Text(text) => {
                let (start, len) = self.append(text);
                DynamicCell::Text { start, len }
            }
            ValueRef::Blob(blob) => {
                let (start, len) = self.append(blob);
                DynamicCell::Blob { start, len }
            }
        };
        self.cells.push(cell);
    }

    pub(super) fn push_nulls(&mut self, count: usize) {
        self.cells.resize(self.cells.len() + count, DynamicCell::Null);
    }

    pub(super) fn append(&mut self, value: &[u8]) -> (usize, u32) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        (start, u32::try_from(value.len()).expect("a value of SQLite's is shorter than 2^31 bytes"))
    }

    pub(in crate::scan) fn get(&self, index: usize) -> Option<ValueRef<'_>> {
        let slice = |start: usize, len: u32| &self.bytes[start..start + len as usize];
        Some(match *self.cells.get(index)? {
            DynamicCell::Null => ValueRef::Null,
            DynamicCell::Integer(value) => ValueRef::Integer(value),
            DynamicCell::Real(value) => ValueRef::Real(value),
            DynamicCell::Text { start, len } => ValueRef::Text(slice(start, len)),
            DynamicCell::Blob { start, len } => ValueRef::Blob(slice(start, len)),
        })
    }
}
