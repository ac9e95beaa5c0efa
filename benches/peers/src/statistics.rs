//! Medians with an interval, without an assumption on how the noise is distributed.

/// A median and the interval that holds the true one with a probability of 95 % or a little more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// From samples that do not depend on one another; not from an empty slice.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let skipped = skipped(sorted.len());
        let (low, high) = (sorted[skipped], sorted[sorted.len() - 1 - skipped]);
        Self { median: median(&mut sorted), low, high }
    }
}

/// The median of what is not empty; sorts it.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let count = samples.len();
    (samples[(count - 1) / 2] + samples[count / 2]) / 2.0
}

/// How many samples lie outside of the interval on either side: the most, so that the chance of the true median being
/// there, which is that of so few heads in `count` throws of a coin, is at most 2.5 %. With fewer than 6 samples there
/// is no such number, and the interval is all of them.
fn skipped(count: usize) -> usize {
    let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut chance = 0.0;
    let mut skipped = 0;
    for heads in 0..count / 2 {
        chance += term;
        if chance > 0.025 {
            break;
        }
        skipped = heads;
        term *= (count - heads) as f64 / (heads + 1) as f64;
    }
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook's ranks (1-based): 30 samples: 10th and 21st; 40: 14th and 27th; 10: 2nd and 9th.
    #[test]
    fn intervals_have_the_known_ranks() {
        let estimate = |count: u32| Estimate::of(&(1..=count).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!(estimate(30), Estimate { median: 15.5, low: 10.0, high: 21.0 });
        assert_eq!(estimate(40), Estimate { median: 20.5, low: 14.0, high: 27.0 });
        assert_eq!(estimate(10), Estimate { median: 5.5, low: 2.0, high: 9.0 });
        assert_eq!(estimate(3), Estimate { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(estimate(1), Estimate { median: 1.0, low: 1.0, high: 1.0 });
    }
}
