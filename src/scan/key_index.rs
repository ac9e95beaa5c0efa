//! A hash table from keys, which are values of one or more columns, to their numbers.

use std::hash::{BuildHasher, RandomState};

use super::ColumnBuffer;
use super::column::Data;
use crate::convert::exact_f64;
use crate::value::{StoredValue, ValueRef, to_f64};

/// The numbers of keys, which are counted from 0 in the order of their insertion. The keys themselves are the owner's.
///
/// Open addressing with linear probing, at most half full. The hash takes the words of a key, where a `Hasher` of std
/// would take slices of bytes. Its seed is random: collisions cannot be planned by who writes the file.
#[derive(Clone)]
pub(super) struct KeyIndex {
    /// A power of two, or none.
    slots: Vec<Option<Slot>>,
    len: usize,
    seed: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u64,
    number: usize,
}

impl Default for KeyIndex {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0, seed: RandomState::new().hash_one(0_u8) }
    }
}

impl KeyIndex {
    /// Returns the hash of a key. Keys that [`is_same_key`] calls the same have the same hash.
    pub(super) fn hash<'k>(&self, key: impl Iterator<Item = ValueRef<'k>>) -> u64 {
        key.fold(self.seed, mix_value)
    }

    /// Writes the hashes of the keys that the rows of columns are.
    pub(super) fn hash_rows(&self, columns: &[&ColumnBuffer], rows: usize, hashes: &mut Vec<u64>) {
        hashes.clear();
        hashes.resize(rows, self.seed);
        for column in columns {
            match column.data() {
                Data::Integer(values) if column.null_count() == 0 => {
                    hashes.iter_mut().zip(values).for_each(|(hash, &value)| *hash = mix_integer(*hash, value));
                }
                Data::Text(values) if column.null_count() == 0 => {
                    for (row, hash) in hashes.iter_mut().enumerate() {
                        *hash = mix_text(*hash, values.get(row).unwrap_or_default());
                    }
                }
                _ => hashes.iter_mut().zip(column.iter()).for_each(|(hash, value)| *hash = mix_value(*hash, value)),
            }
        }
    }

    /// Returns the number of the key with this hash for which the condition holds.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_found: impl Fn(usize) -> bool) -> Option<usize> {
        let mut place = self.home(hash)?;
        while let Some(slot) = self.slots[place] {
            if slot.hash == hash && is_found(slot.number) {
                return Some(slot.number);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        None
    }

    /// Gives the next number to a key, which has not been found.
    pub(super) fn insert(&mut self, hash: u64) {
        if self.len * 2 >= self.slots.len() {
            let size = (self.slots.len() * 2).max(16);
            let slots = std::mem::replace(&mut self.slots, vec![None; size]);
            slots.into_iter().flatten().for_each(|slot| self.place(slot));
        }
        self.place(Slot { hash, number: self.len });
        self.len += 1;
    }

    fn place(&mut self, slot: Slot) {
        let Some(mut place) = self.home(slot.hash) else {
            return;
        };
        while self.slots[place].is_some() {
            place = (place + 1) & (self.slots.len() - 1);
        }
        self.slots[place] = Some(slot);
    }

    /// Returns the first slot for a hash; `None` if there are none yet.
    #[inline(always)]
    fn home(&self, hash: u64) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        usize::try_from(hash & mask as u64).ok()
    }
}

/// Whether a value of a key equals a stored one: as `=` of SQLite, but NULL equals NULL.
#[inline(always)]
pub(super) fn is_same_key(stored: &StoredValue, value: ValueRef<'_>) -> bool {
    match (stored.as_value_ref(), value) {
        (ValueRef::Null, ValueRef::Null) => true,
        (ValueRef::Integer(stored), ValueRef::Integer(value)) => stored == value,
        (ValueRef::Real(stored), ValueRef::Real(value)) => stored == value,
        (ValueRef::Integer(integer), ValueRef::Real(real)) | (ValueRef::Real(real), ValueRef::Integer(integer)) => {
            exact_f64(integer) == Some(real)
        }
        (ValueRef::Text(stored), ValueRef::Text(value)) | (ValueRef::Blob(stored), ValueRef::Blob(value)) => {
            stored == value
        }
        _ => false,
    }
}

fn mix_value(state: u64, value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => mix(state, 0),
        ValueRef::Integer(value) => mix_integer(state, value),
        ValueRef::Real(value) => mix_real(state, value),
        ValueRef::Text(bytes) => mix_text(state, bytes),
        ValueRef::Blob(bytes) => mix_bytes(mix(state, 4), bytes),
    }
}

/// As the real that is equal to it, if there is one.
#[inline(always)]
fn mix_integer(state: u64, value: i64) -> u64 {
    if value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS {
        return mix_real(state, to_f64(value));
    }
    match exact_f64(value) {
        Some(value) => mix_real(state, value),
        None => mix(mix(state, 2), value.cast_unsigned()),
    }
}

#[inline(always)]
fn mix_real(state: u64, value: f64) -> u64 {
    // -0.0 equals 0.0.
    mix(mix(state, 1), (value + 0.0).to_bits())
}

#[inline(always)]
fn mix_text(state: u64, bytes: &[u8]) -> u64 {
    mix_bytes(mix(state, 3), bytes)
}

/// Mixes a word into a hash: both halves of a product depend on all of its bits.
#[inline(always)]
fn mix(state: u64, word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(state ^ word) * u128::from(ODD);
    let [low, high] = [product & u128::from(u64::MAX), product >> 64].map(|half| u64::try_from(half).unwrap_or(0));
    low ^ high
}

/// Mixes bytes and their number into a hash.
#[inline(always)]
fn mix_bytes(state: u64, bytes: &[u8]) -> u64 {
    let state = mix(state, bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words.iter().fold(state, |state, word| mix(state, u64::from_le_bytes(*word)));
    match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), rest) {
        (_, _, _, []) => state,
        (Some(last), ..) => mix(state, u64::from_le_bytes(*last)),
        (None, Some(first), Some(last), _) => {
            mix(state, u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
        }
        (.., short) => mix(state, short.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of one value each, in the order of insertion.
    fn index_of(keys: &[ValueRef<'_>]) -> (KeyIndex, Vec<StoredValue>) {
        let (mut index, mut stored) = (KeyIndex::default(), Vec::<StoredValue>::new());
        for &key in keys {
            let hash = index.hash([key].into_iter());
            if index.find(hash, |number| is_same_key(&stored[number], key)).is_none() {
                index.insert(hash);
                stored.push(key.into());
            }
        }
        (index, stored)
    }

    #[test]
    fn texts_of_each_length_are_told_apart() {
        let texts: Vec<Vec<u8>> = (0..40_usize)
            .flat_map(|len| {
                (0..=len).map(move |changed| (0..len).map(|at| if at == changed { b'b' } else { b'a' }).collect())
            })
            .collect();
        let keys: Vec<_> = texts.iter().map(|text| ValueRef::Text(text)).collect();
        let (index, stored) = index_of(&keys);
        assert_eq!(stored.len(), texts.len());
        let mut hashes: Vec<_> = keys.iter().map(|&key| index.hash([key].into_iter())).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), texts.len(), "the hashes differ, too");
    }

    #[test]
    fn equal_values_have_one_hash() {
        let (index, stored) = index_of(&[
            ValueRef::Integer(3),
            ValueRef::Real(3.0),
            ValueRef::Real(0.0),
            ValueRef::Real(-0.0),
            ValueRef::Integer(0),
            ValueRef::Null,
            ValueRef::Null,
            ValueRef::Text(b"3"),
            ValueRef::Blob(b"3"),
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(9_223_372_036_854_775_808.0),
        ]);
        assert_eq!(stored.len(), 7);
        assert_eq!(index.len, 7);
    }

    #[test]
    fn the_seed_differs_and_the_slots_stay_half_empty() {
        let numbers: Vec<_> = (0..10_000).map(ValueRef::Integer).collect();
        let (index, _) = index_of(&numbers);
        assert!(index.slots.len() >= 2 * index.len);
        let worst = (0..index.slots.len())
            .scan(0, |run, place| {
                *run = if index.slots[place].is_some() { *run + 1 } else { 0 };
                Some(*run)
            })
            .max();
        assert!(worst < Some(100), "slots in a row: {worst:?}");
        assert_ne!(
            index.hash([ValueRef::Integer(1)].into_iter()),
            KeyIndex::default().hash([ValueRef::Integer(1)].into_iter())
        );
    }
}
