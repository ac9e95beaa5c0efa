//! Tables whose rows have the rowids 1 to n, by their positions: what those over slices and over record batches share.

use std::ops::Range;

use super::{CallbackError, ConstraintOperator, FilterCall, IndexQuery};

/// Plan of the one row of a rowid. That of all rows is 0.
const ONE: i32 = 1;

/// Answers how such a table is read: one row by its rowid, or all in their order.
///
/// # Errors
///
/// None that SQLite's own constraints cause.
pub fn plan_positions(query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
    let mut of_rowid = query.constraints().filter(|it| it.is_of_rowid() && it.is_usable());
    if let Some(rowid) = of_rowid.find(|it| it.operator() == ConstraintOperator::Equal) {
        query.pass(rowid)?;
        query.set_plan(ONE);
        query.set_cost(1.0);
        query.set_rows(1);
        query.set_unique();
    }
    let mut order = query.order_by();
    if order.len() == 1 && order.all(|term| term.column.is_none() && !term.is_descending) {
        query.consume_order();
    }
    Ok(())
}

/// Returns the 0-based positions to visit by that plan, of so many rows.
#[must_use]
pub fn positions(call: &FilterCall<'_>, rows: usize) -> Range<usize> {
    if call.plan() != ONE {
        return 0..rows;
    }
    // SQLite compares the rowid itself: a value that is no integer is tested for each row.
    let Ok(rowid) = call.get::<i64>(0) else {
        return 0..rows;
    };
    let position = rowid.checked_sub(1).and_then(|position| usize::try_from(position).ok());
    position.filter(|&position| position < rows).map_or(0..0, |position| position..position + 1)
}
