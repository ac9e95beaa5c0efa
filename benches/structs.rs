//! Structs: rows read by derived code and by hand, and structs inserted.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use finalite::{Connection, FromRow, Params, Result};
use support::{Table, database, sum_of_bytes};

const SELECT: &str = "SELECT id, i1, i2, r1, r2, s1, s2, b FROM t";

#[derive(FromRow, Params)]
struct Wide {
    id: i64,
    i1: i64,
    i2: i64,
    r1: f64,
    r2: f64,
    s1: String,
    s2: String,
    b: Vec<u8>,
}

impl Wide {
    fn sum(&self) -> u64 {
        let integers = [self.id, self.i1, self.i2].map(i64::cast_unsigned);
        let reals = [self.r1, self.r2].map(f64::to_bits);
        let bytes = [self.s1.as_bytes(), self.s2.as_bytes(), &self.b].map(sum_of_bytes);
        integers.into_iter().chain(reals).chain(bytes).fold(0, u64::wrapping_add)
    }
}

/// The same, borrowed.
#[derive(FromRow)]
struct Lent<'row> {
    id: i64,
    i1: i64,
    i2: i64,
    r1: f64,
    r2: f64,
    s1: &'row str,
    s2: &'row str,
    b: &'row [u8],
}

impl Lent<'_> {
    fn sum(&self) -> u64 {
        let integers = [self.id, self.i1, self.i2].map(i64::cast_unsigned);
        let reals = [self.r1, self.r2].map(f64::to_bits);
        let bytes = [self.s1.as_bytes(), self.s2.as_bytes(), self.b].map(sum_of_bytes);
        integers.into_iter().chain(reals).chain(bytes).fold(0, u64::wrapping_add)
    }
}

fn rows(conn: &Connection, mut sum: impl FnMut(finalite::Row<'_>) -> Result<u64>) -> Result<u64> {
    let mut statement = conn.prepare_cached(SELECT)?;
    let mut rows = statement.query(())?;
    let mut total = 0_u64;
    while let Some(row) = rows.next()? {
        total = total.wrapping_add(sum(row)?);
    }
    Ok(total)
}

fn reading(criterion: &mut Criterion) {
    let (_dir, conn) = database();
    let mut table = Table::new(criterion, "100,000 rows of 8 columns as structs");
    table.add("row.get(0), by hand", || {
        rows(&conn, |row| {
            let wide = Wide {
                id: row.get(0)?,
                i1: row.get(1)?,
                i2: row.get(2)?,
                r1: row.get(3)?,
                r2: row.get(4)?,
                s1: row.get(5)?,
                s2: row.get(6)?,
                b: row.get(7)?,
            };
            Ok(wide.sum())
        })
    });
    table.add("row.get(\"id\"), by hand", || {
        rows(&conn, |row| {
            let wide = Wide {
                id: row.get("id")?,
                i1: row.get("i1")?,
                i2: row.get("i2")?,
                r1: row.get("r1")?,
                r2: row.get("r2")?,
                s1: row.get("s1")?,
                s2: row.get("s2")?,
                b: row.get("b")?,
            };
            Ok(wide.sum())
        })
    });
    table.add("derived", || rows(&conn, |row| Ok(Wide::from_row(row)?.sum())));
    table.add("derived, query_as", || {
        conn.query_as::<Wide>(SELECT, ())?.try_fold(0_u64, |sum, row| Ok(sum.wrapping_add(row?.sum())))
    });
    table.add("derived, borrowed", || rows(&conn, |row| Ok(Lent::from_row(row)?.sum())));
    table.finish(1);
}

fn inserting(criterion: &mut Criterion) {
    const SQL: &str = r#"INSERT INTO "sink" ("id","i1","i2","r1","r2","s1","s2","b") VALUES (?,?,?,?,?,?,?,?)"#;
    const NAMED: &str = "INSERT INTO sink VALUES (:id, :i1, :i2, :r1, :r2, :s1, :s2, :b)";
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE sink(id INTEGER PRIMARY KEY, i1, i2, r1, r2, s1, s2, b)", ()).unwrap();
    let (s1, s2, b) = ("some text".to_owned(), "some text of 24 letters.".to_owned(), vec![0; 16]);
    let mut wide = Wide { id: 0, i1: 1, i2: 2, r1: 0.5, r2: 1.5, s1, s2, b };
    let mut transaction = |work: &mut dyn FnMut(&Wide) -> Result<usize>| {
        let tx = conn.unchecked_transaction()?;
        for id in 0..1000 {
            wide.id = id;
            work(&wide)?;
        }
        tx.rollback()?;
        Ok(1000)
    };
    let mut table = Table::new(criterion, "1,000 structs of 8 columns inserted, rolled back");
    table.add("execute, by hand", || {
        transaction(&mut |w| conn.execute(SQL, (w.id, w.i1, w.i2, w.r1, w.r2, &w.s1, &w.s2, &w.b)))
    });
    table.add("insert_into", || transaction(&mut |wide| conn.insert_into("sink", wide)));
    table.add("execute, by name", || transaction(&mut |wide| conn.execute(NAMED, wide)));
    table.add("upsert", || transaction(&mut |wide| conn.upsert("sink", &["id"], wide)));
    table.finish(1);
}

criterion_group!(benches, reading, inserting);
criterion_main!(benches);
