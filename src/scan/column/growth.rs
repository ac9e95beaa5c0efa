//! Growth of the vectors of a column.

use crate::raw::os::huge_pages;

/// Least room that is reserved: that of some rows, since in small results each allocation shows.
pub(super) const ROOM_BYTES_MIN: usize = 256;

/// Pushes a value; a full vector grows by [`grow`].
#[inline(always)]
pub(super) fn append<T: Copy>(values: &mut Vec<T>, value: T) {
    if values.len() == values.capacity() {
        grow(values, 1);
    }
    values.push(value);
}

/// Reserves room for `more` values, and beyond: doubles the capacity, or quadruples it once the values are so many that
/// copying them, and page faults in new memory, take most of the time. Unused capacity is not touched.
#[cold]
#[inline(never)]
pub(super) fn grow<T: Copy>(values: &mut Vec<T>, more: usize) {
    const MANY_BYTES: usize = 512 << 10;
    const LEAST_BYTES: usize = 8 << 20;
    let len = values.len();
    if values.capacity() == 0 && more <= ROOM_BYTES_MIN / size_of::<T>() {
        // Most columns of small results grow once.
        *values = Vec::with_capacity(ROOM_BYTES_MIN / size_of::<T>());
    } else if len * size_of::<T>() < MANY_BYTES {
        values.reserve(more.max(len).max(ROOM_BYTES_MIN / size_of::<T>()));
    } else if !make_room(values, more.max(3 * len).max(LEAST_BYTES / size_of::<T>())) {
        values.reserve(more);
    }
}

/// Moves the values to a place with room for `more` further ones. Returns `false` if the allocation fails: the system
/// may refuse to promise more memory than it has.
pub(super) fn make_room<T: Copy>(values: &mut Vec<T>, more: usize) -> bool {
    let mut larger = Vec::new();
    let is_there = values.len().checked_add(more).is_some_and(|all| larger.try_reserve_exact(all).is_ok());
    if is_there {
        // Must precede any access: once an address is backed by a small page, it gets no large one.
        huge_pages::prefer_large(&larger);
        larger.extend_from_slice(values);
        *values = larger;
    }
    is_there
}

/// Reserves room for `more` values, growing like [`append`].
pub(super) fn reserve<T: Copy>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        grow(values, more);
    }
}

pub(super) fn extend<T: Copy>(values: &mut Vec<T>, more: &[T]) {
    reserve(values, more.len());
    values.extend_from_slice(more);
}

pub(super) fn extend_with<T: Copy>(values: &mut Vec<T>, value: T, count: usize) {
    reserve(values, count);
    values.resize(values.len() + count, value);
}
