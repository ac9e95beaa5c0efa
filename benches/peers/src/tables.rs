//! A virtual table of three columns over a slice: finalite's and rusqlite's.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};

use finalite::Params;
use rusqlite::vtab;

use crate::Result;
use crate::work::Competitor;

/// Rows of the table.
const ROWS: i64 = 1_000;
const SCHEMA: &CStr = c"CREATE TABLE x(id INTEGER, score REAL, name TEXT)";

#[derive(Params)]
struct Item {
    id: i64,
    score: f64,
    name: String,
}

fn items() -> Box<[Item]> {
    (0..ROWS).map(|id| Item { id, score: id as f64 / 4.0, name: format!("item {id:05}") }).collect()
}

/// Reads of the table, n times. `form`: `read` reads all three columns of each row, `sum` has SQLite do so.
pub fn competitors<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    form: &str,
) -> Result<Vec<Competitor<'a>>> {
    conn.create_slice_table("items", items())?;
    const MODULE: vtab::Module<PeerItems> = vtab::Module::eponymous_only_module();
    peer.create_module(c"peer_items", &MODULE, Some(items()))?;
    let sql = |table: &str| match form {
        "read" => Ok(format!("SELECT id, score, name FROM {table}")),
        "sum" => Ok(format!("SELECT sum(id), sum(score), sum(length(name)) FROM {table}")),
        _ => Err(format!("no query with {form:?}")),
    };
    let is_sum = form == "sum";
    let mut own = conn.prepare(&sql("items")?)?;
    let mut theirs = peer.prepare(&sql("peer_items")?)?;
    Ok(vec![
        repeated("finalite", move || {
            let (mut rows, mut sum) = (own.query(())?, 0);
            while let Some(row) = rows.next()? {
                let (id, score): (i64, f64) = (row.get(0)?, row.get(1)?);
                let length = if is_sum { row.get(2)? } else { row.get::<&str>(2)?.len() as i64 };
                sum += id + score as i64 + length;
            }
            Ok(sum)
        }),
        repeated("rusqlite", move || {
            let (mut rows, mut sum) = (theirs.query(())?, 0);
            while let Some(row) = rows.next()? {
                let (id, score): (i64, f64) = (row.get(0)?, row.get(1)?);
                let length = if is_sum { row.get(2)? } else { row.get_ref(2)?.as_str()?.len() as i64 };
                sum += id + score as i64 + length;
            }
            Ok(sum)
        }),
    ])
}

fn repeated<'a>(name: &'static str, mut query: impl FnMut() -> Result<i64> + 'a) -> Competitor<'a> {
    Competitor::new(name, move |n| (0..n).try_fold(0_u64, |sum, _| Ok(sum.wrapping_add(query()?.cast_unsigned()))))
}

#[repr(C)]
struct PeerItems {
    base: rusqlite::ffi::sqlite3_vtab,
    items: Box<[Item]>,
}

#[repr(C)]
struct PeerCursor<'vtab> {
    base: rusqlite::ffi::sqlite3_vtab_cursor,
    items: &'vtab [Item],
    at: usize,
}

// SAFETY: `repr(C)`, and the struct of SQLite comes first.
unsafe impl<'vtab> vtab::VTab<'vtab> for PeerItems {
    type Aux = Box<[Item]>;
    type Cursor = PeerCursor<'vtab>;

    fn connect(
        _db: &mut vtab::VTabConnection,
        aux: Option<&Self::Aux>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let items = aux.map(|items| items.iter().map(|item| Item { name: item.name.clone(), ..*item }).collect());
        Ok((Cow::Borrowed(SCHEMA), Self { base: Default::default(), items: items.unwrap_or_default() }))
    }

    fn best_index(&self, _info: &mut vtab::IndexInfo) -> rusqlite::Result<bool> {
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<PeerCursor<'vtab>> {
        Ok(PeerCursor { base: Default::default(), items: &self.items, at: 0 })
    }
}

// SAFETY: `repr(C)`, and the struct of SQLite comes first.
unsafe impl vtab::VTabCursor for PeerCursor<'_> {
    fn filter(&mut self, _plan: c_int, _text: Option<&str>, _args: &vtab::Filters<'_>) -> rusqlite::Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.at >= self.items.len()
    }

    fn column(&self, context: &mut vtab::Context, column: c_int) -> rusqlite::Result<()> {
        let item = &self.items[self.at];
        match column {
            0 => context.set_result(item.id),
            1 => context.set_result(item.score),
            _ => context.set_result(&item.name),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.at as i64)
    }
}
