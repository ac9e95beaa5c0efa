//! Division of all rowids into ranges.

pub(super) use crate::btree::rowid_range::RowidRange;
use crate::error::Result;
use crate::statement::params::{Binder, Params};

/// Parameters of a statement that receive the bounds of a range.
pub(super) const BOUNDS: [&str; 2] = [":first_rowid", ":last_rowid"];

/// Divides all rowids into at most `count` ranges, in their order. The ranges are those of all integers, so that each
/// row is in one of them, whatever `first` and `last` are: these are the first and the last rowid of the table.
///
/// `around` returns the last rowid up to a number, and the first one after it. The widest range without rows at its ends
/// is divided in the middle, again and again, so that large gaps between rowids do not make empty ranges.
pub(super) fn divide(
    first: i64,
    last: i64,
    count: usize,
    mut around: impl FnMut(i64) -> Result<(Option<i64>, Option<i64>)>,
) -> Result<Vec<RowidRange>> {
    let mut filled = vec![RowidRange::new(first, last.max(first))];
    while filled.len() < count {
        let Some((at, &widest)) = filled.iter().enumerate().max_by_key(|(_, range)| range.len()) else { break };
        if widest.len() == 1 {
            break;
        }
        let middle = widest.first.midpoint(widest.last).min(widest.last - 1);
        let (before, after) = around(middle)?;
        let last = before.map_or(middle, |before| before.clamp(widest.first, middle));
        let first = after.map_or(middle + 1, |after| after.clamp(middle + 1, widest.last));
        filled[at].last = last;
        filled.insert(at + 1, RowidRange::new(first, widest.last));
    }
    let ends = filled.iter().skip(1).map(|next| next.first - 1).chain([i64::MAX]);
    let starts = [i64::MIN].into_iter().chain(filled.iter().skip(1).map(|range| range.first));
    Ok(starts.zip(ends).map(|(first, last)| RowidRange::new(first, last)).collect())
}

/// The caller's parameters, and the bounds of a range.
pub(super) struct Ranged<P> {
    pub(super) params: P,
    /// `None` for a statement without such parameters.
    pub(super) range: Option<RowidRange>,
}

impl<'p, P: Params<'p>> Params<'p> for Ranged<P> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        if let Some(RowidRange { first, last, .. }) = self.range {
            for (name, bound) in BOUNDS.into_iter().zip([first, last]) {
                binder.set(name, bound)?;
            }
            // The caller's values by position are those of the other parameters.
            binder.skip_set();
        }
        self.params.bind(binder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Divides the rowids of a table with these rows. Checks that the ranges cover all integers once.
    fn check(rows: &[i64], count: usize) -> Vec<usize> {
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else {
            panic!("no rows");
        };
        let around = |middle| {
            let after = rows.partition_point(|&rowid| rowid <= middle);
            Ok((after.checked_sub(1).map(|before| rows[before]), rows.get(after).copied()))
        };
        let ranges = divide(first, last, count, around).unwrap();
        assert!(!ranges.is_empty() && ranges.len() <= count);
        assert_eq!((ranges[0].first, ranges[ranges.len() - 1].last), (i64::MIN, i64::MAX));
        assert!(ranges.iter().all(|range| range.first <= range.last));
        assert!(ranges.windows(2).all(|pair| pair[0].last.checked_add(1) == Some(pair[1].first)));
        let is_in = |range: &RowidRange, rowid: i64| (range.first..=range.last).contains(&rowid);
        ranges.iter().map(|range| rows.iter().filter(|&&rowid| is_in(range, rowid)).count()).collect()
    }

    #[test]
    fn rowids_without_gaps_are_divided_evenly() {
        let rows: Vec<i64> = (1..=1_600).collect();
        assert_eq!(check(&rows, 16), [100; 16]);
        assert_eq!(check(&rows, 1), [1_600]);
    }

    #[test]
    fn a_gap_makes_no_empty_range() {
        let dense = -300..300;
        let rows: Vec<i64> = [i64::MIN].into_iter().chain(dense).chain([i64::MAX - 1, i64::MAX]).collect();
        let sizes = check(&rows, 16);
        assert!(sizes.iter().all(|&rows| (1..=80).contains(&rows)), "{sizes:?}");
    }

    #[test]
    fn the_ends_of_the_integers_do_not_overflow() {
        for rows in [&[i64::MIN][..], &[i64::MAX], &[i64::MIN, i64::MAX], &[i64::MIN, i64::MIN + 1], &[-1, 0, 1]] {
            for count in 1..6 {
                let sizes = check(rows, count);
                assert_eq!(sizes.iter().sum::<usize>(), rows.len());
                assert_eq!(sizes.len(), count.min(rows.len()), "{rows:?} in {count}");
            }
        }
    }

    /// Rows that come and go between two looks change the sizes of the ranges, and leave no rowid out.
    #[test]
    fn all_rowids_are_covered_whatever_is_found() {
        for answers in [(None, None), (Some(i64::MAX), Some(i64::MIN)), (Some(5), Some(5))] {
            for (first, last) in [(0, 100), (i64::MIN, i64::MAX), (7, 7), (9, 3)] {
                let ranges = divide(first, last, 12, |_| Ok(answers)).unwrap();
                assert_eq!((ranges[0].first, ranges[ranges.len() - 1].last), (i64::MIN, i64::MAX));
                assert!(ranges.windows(2).all(|pair| pair[0].last.checked_add(1) == Some(pair[1].first)));
            }
        }
    }
}
