//! error[E0521]: the values of a batch are overwritten by the next
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut kept: &[i64] = &[];
    let mut sum = 0;
    conn.scan("VALUES (1), (2)", ()).batches(1, |batch| {
        let values = batch.column(0)?.as_i64()?;
        kept = values; //~ fails
        sum += values[0];
        Ok::<_, Error>(())
    })?;
    assert_eq!((kept.len(), sum), (0, 3));
    Ok(())
}
