//! Count, sum, minimum and maximum of values that are added in any number of steps.

use std::fmt;

use super::column::{ColumnBuffer, Data};
use crate::value::{StoredValue, ValueRef, compare, to_f64};

/// Count, sum, minimum and maximum of the values of a column.
///
/// Columns are added batch by batch, and summaries that several threads made are merged.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ValueRef, scan::Summary};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.db");
/// let conn = Connection::open(&path)?;
/// conn.execute_batch(
///     "CREATE TABLE sale(price REAL);
///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000)
///      INSERT INTO sale SELECT n / 4.0 FROM i;",
/// )?;
///
/// let mut prices = Summary::default();
/// conn.scan_table("sale").select(["price"]).batches(4096, |batch| {
///     prices.add(batch.column(0)?);
///     Ok(())
/// })?;
/// assert_eq!((prices.rows(), prices.total(), prices.mean()), (1000, 125_125.0, Some(125.125)));
/// assert_eq!((prices.min(), prices.max()), (ValueRef::Real(0.25), ValueRef::Real(250.0)));
///
/// let on_two_threads = conn.scan_table("sale").select(["price"]).partitions(2).fold_batches(
///     4096,
///     Summary::default,
///     |prices, batch| {
///         prices.add(batch.column(0)?);
///         Ok(())
///     },
///     Summary::merge,
/// )?;
/// assert_eq!(on_two_threads.total(), 125_125.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Summary {
    rows: u64,
    nulls: u64,
    /// Number of integers, and of reals.
    integers: u64,
    reals: u64,
    integer_total: i128,
    real_total: CompensatedSum,
    min: StoredValue,
    max: StoredValue,
}

impl Summary {
    /// Adds the values of a column.
    pub fn add(&mut self, column: &ColumnBuffer) {
        let nulls = column.null_count();
        match column.data() {
            Data::Integer(values) => {
                self.count(values.len(), nulls);
                self.integers += (values.len() - nulls) as u64;
                // The values hold 0 in place of NULL.
                self.integer_total += values.iter().map(|&value| i128::from(value)).sum::<i128>();
                if let Some((min, max)) = ends(column, values, i64::lt) {
                    self.extend(ValueRef::Integer(min), ValueRef::Integer(max));
                }
            }
            Data::Real(values) => {
                self.count(values.len(), nulls);
                self.reals += (values.len() - nulls) as u64;
                self.real_total.add_all(values);
                if let Some((min, max)) = ends(column, values, f64::lt) {
                    self.extend(ValueRef::Real(min), ValueRef::Real(max));
                }
            }
            _ => column.iter().for_each(|value| self.add_value(value)),
        }
    }

    /// Adds a value. NaN is NULL, as in SQLite.
    pub fn add_value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.add_null(),
            ValueRef::Integer(value) => self.add_integer(value),
            ValueRef::Real(value) if value.is_nan() => self.add_null(),
            ValueRef::Real(value) => self.add_real(value),
            ValueRef::Text(_) | ValueRef::Blob(_) => {
                self.rows += 1;
                self.extend(value, value);
            }
        }
    }

    #[inline(always)]
    fn add_null(&mut self) {
        self.count(1, 1);
    }

    #[inline(always)]
    pub(super) fn add_integer(&mut self, value: i64) {
        self.rows += 1;
        self.integers += 1;
        self.integer_total += i128::from(value);
        if let (&StoredValue::Integer(min), &StoredValue::Integer(max)) = (&self.min, &self.max) {
            if value < min {
                self.min = StoredValue::Integer(value);
            }
            if value > max {
                self.max = StoredValue::Integer(value);
            }
        } else {
            self.extend(ValueRef::Integer(value), ValueRef::Integer(value));
        }
    }

    /// Adds a value that is not NaN.
    #[inline(always)]
    pub(super) fn add_real(&mut self, value: f64) {
        self.rows += 1;
        self.reals += 1;
        self.real_total.add(value);
        if let (&StoredValue::Real(min), &StoredValue::Real(max)) = (&self.min, &self.max) {
            if value < min {
                self.min = StoredValue::Real(value);
            }
            if value > max {
                self.max = StoredValue::Real(value);
            }
        } else {
            self.extend(ValueRef::Real(value), ValueRef::Real(value));
        }
    }

    /// Adds the values of another summary.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.integers += other.integers;
        self.reals += other.reals;
        self.integer_total += other.integer_total;
        self.real_total.merge(other.real_total);
        if self.is_smaller(other.min.as_value_ref()) {
            self.min = other.min;
        }
        if self.is_larger(other.max.as_value_ref()) {
            self.max = other.max;
        }
    }

    fn count(&mut self, rows: usize, nulls: usize) {
        self.rows += rows as u64;
        self.nulls += nulls as u64;
    }

    /// Extends the range of values to these two.
    fn extend(&mut self, min: ValueRef<'_>, max: ValueRef<'_>) {
        if self.is_smaller(min) {
            self.min = min.into();
        }
        if self.is_larger(max) {
            self.max = max.into();
        }
    }

    fn is_smaller(&self, value: ValueRef<'_>) -> bool {
        let min = self.min();
        min.is_null() || !value.is_null() && compare(value, min).is_lt()
    }

    fn is_larger(&self, value: ValueRef<'_>) -> bool {
        // NULL is before all values.
        compare(value, self.max()).is_gt()
    }

    /// Number of values, NULLs included: `count(*)`.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of values that are not NULL: `count(x)`.
    #[must_use]
    pub fn value_count(&self) -> u64 {
        self.rows - self.nulls
    }

    /// Sum of the integers and reals, 0 if there are none: `total(x)`.
    ///
    /// As in SQLite, the error does not grow with the number of values. Texts and blobs are not added, also where SQLite
    /// would convert them. The total of infinite values of both signs is NaN.
    #[must_use]
    pub fn total(&self) -> f64 {
        const TWO_TO_32: f64 = 4_294_967_296.0;
        let mut total = self.real_total;
        let high = i64::try_from(self.integer_total >> 64).unwrap_or(0);
        let bits_from = |shift: u32| to_f64(i64::try_from(self.integer_total >> shift & 0xffff_ffff).unwrap_or(0));
        total.add(to_f64(high) * TWO_TO_32 * TWO_TO_32);
        total.add(bits_from(32) * TWO_TO_32);
        total.add(bits_from(0));
        total.value()
    }

    /// Sum of the integers, exactly. Other values are not added.
    #[must_use]
    pub fn integer_total(&self) -> i128 {
        self.integer_total
    }

    /// Mean of the integers and reals; `None` if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let numbers = i64::try_from(self.integers + self.reals).unwrap_or(i64::MAX);
        (numbers > 0).then(|| self.total() / to_f64(numbers))
    }

    /// Smallest value, NULL if there is none: `min(x)`. The order is SQLite's, with texts by their bytes in UTF-8.
    #[must_use]
    pub fn min(&self) -> ValueRef<'_> {
        self.min.as_value_ref()
    }

    /// Largest value, NULL if there is none: `max(x)`. The order is that of [`min`](Self::min).
    #[must_use]
    pub fn max(&self) -> ValueRef<'_> {
        self.max.as_value_ref()
    }
}

/// Shows the counts, but no values, which may be confidential.
impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary").field("rows", &self.rows).field("nulls", &self.nulls).finish_non_exhaustive()
    }
}

/// Returns the smallest and the largest of a column's values that are not NULL.
#[inline(always)]
fn ends<T: Copy>(column: &ColumnBuffer, values: &[T], is_less: impl Fn(&T, &T) -> bool) -> Option<(T, T)> {
    let widen = |(min, max), value| {
        (if is_less(&value, &min) { value } else { min }, if is_less(&max, &value) { value } else { max })
    };
    if column.null_count() == 0 {
        let &first = values.first()?;
        return Some(values.iter().copied().fold((first, first), widen));
    }
    let mut known = values.iter().enumerate().filter(|&(row, _)| !column.is_null(row)).map(|(_, &value)| value);
    let first = known.next()?;
    Some(known.fold((first, first), widen))
}

/// A sum of reals, and the error of its roundings: Kahan-Babuška summation, as in SQLite's `sum`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CompensatedSum {
    sum: f64,
    error: f64,
}

impl CompensatedSum {
    #[inline(always)]
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let taken = sum - self.sum;
        self.error += (self.sum - (sum - taken)) + (value - taken);
        self.sum = sum;
    }

    /// Adds all values, in lanes that do not wait for each other.
    fn add_all(&mut self, values: &[f64]) {
        let (fours, rest) = values.as_chunks::<4>();
        let mut lanes = [Self::default(); 4];
        for four in fours {
            for (lane, value) in lanes.iter_mut().zip(four) {
                lane.add(*value);
            }
        }
        let before = *self;
        lanes.into_iter().for_each(|lane| self.merge(lane));
        rest.iter().for_each(|value| self.add(*value));
        if !self.sum.is_finite() {
            // A lane may be too large where the sum is not.
            *self = before;
            values.iter().for_each(|value| self.add(*value));
        }
    }

    fn merge(&mut self, other: Self) {
        self.add(other.sum);
        self.error += other.error;
    }

    fn value(self) -> f64 {
        // Infinite values, and sums that are, have no error.
        if self.error.is_finite() { self.sum + self.error } else { self.sum }
    }
}
