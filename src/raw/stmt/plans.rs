//! [`Plans`]: where each type finds its columns in the rows of a statement.

use std::cell::OnceCell;

/// A list of plans, each with the key of its type. Plans are added while rows borrow the statement, and removed together
/// when SQLite prepares the statement again.
#[derive(Default)]
pub(crate) struct Plans(OnceCell<Box<Plan>>);

struct Plan {
    key: usize,
    columns: Box<[u16]>,
    next: Plans,
}

impl Plans {
    #[inline]
    pub(crate) fn get(&self, key: usize) -> Option<&[u16]> {
        let mut plan = self.0.get()?;
        while plan.key != key {
            plan = plan.next.0.get()?;
        }
        Some(&plan.columns)
    }

    /// Adds a plan to the end of the list. `get` has returned none for its key.
    #[cold]
    pub(crate) fn add(&self, key: usize, columns: Box<[u16]>) -> &[u16] {
        let mut end = self;
        while let Some(plan) = end.0.get() {
            end = &plan.next;
        }
        let plan = end.0.get_or_init(|| Box::new(Plan { key, columns, next: Self::default() }));
        &plan.columns
    }
}
