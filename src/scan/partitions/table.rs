//! The table by whose rowids a statement is divided.

use super::ranges::{self, RowidRange};
use super::readers::Refusal;
use crate::Connection;
use crate::error::Result;
use crate::sql::{quote_identifier, rowid_name};

/// A table of the main database, and its first and last rowid.
pub(super) struct RangedTable {
    /// Quoted name with that of the database.
    name: String,
    /// Name of the rowid, which no column has.
    pub(super) rowid: &'static str,
    first: i64,
    last: i64,
}

impl RangedTable {
    /// Finds a table that can be divided.
    pub(super) fn find(conn: &Connection, table: &str) -> Result<Self, Refusal> {
        let (database, name) = conn.split_table(table);
        let is_of = |schema: &str| database.is_none_or(|database| schema.eq_ignore_ascii_case(database));
        let mut found: Vec<(String, String, bool)> =
            conn.prepare_cached("SELECT schema, type, wr FROM pragma_table_list(?)")?.query_all((name,))?;
        found.retain(|(schema, ..)| is_of(schema));
        // SQLite looks for a name without a database in `temp` first, and then in `main`.
        let of = |schema: &str| found.iter().find(|(its, ..)| its.eq_ignore_ascii_case(schema));
        let Some((schema, kind, is_without_rowid)) = of("temp").or_else(|| of("main")).or(found.first()) else {
            // SQLite's error, unless it makes a table of this name where one is read.
            conn.prepare(&format!("SELECT 1 FROM {}", conn.quoted_table(table)))?;
            return Err(Refusal::Reason("the table is virtual"));
        };
        match &**kind {
            _ if !schema.eq_ignore_ascii_case("main") => {
                return Err(Refusal::Reason("the table is temporary, or of an attached database"));
            }
            "view" => return Err(Refusal::Reason("the table is a view, which has no rowids")),
            "virtual" => return Err(Refusal::Reason("the table is virtual")),
            _ if *is_without_rowid => return Err(Refusal::Reason("the table has no rowids")),
            _ => {}
        }
        let columns: Vec<String> =
            conn.prepare_cached("SELECT name FROM pragma_table_xinfo(?, 'main')")?.query_all((name,))?;
        let Some(rowid) = rowid_name(&columns) else {
            return Err(Refusal::Reason("columns have taken all names of the rowid"));
        };
        let name = format!("main.{}", quote_identifier(name));
        let ends = format!("SELECT (SELECT min({rowid}) FROM {name}), (SELECT max({rowid}) FROM {name})");
        match conn.query_one(&ends, ())? {
            (Some(first), Some(last)) if first < last => Ok(Self { name, rowid, first, last }),
            _ => Err(Refusal::Reason("the table has no two rows")),
        }
    }

    /// Divides all rowids into at most `count` ranges, by the rows that a connection sees.
    pub(super) fn divide(&self, conn: &Connection, count: usize) -> Result<Vec<RowidRange>> {
        let Self { name, rowid, first, last } = self;
        let mut around = conn.prepare(&format!(
            "SELECT (SELECT max({rowid}) FROM {name} WHERE {rowid} <= ?1), (SELECT min({rowid}) FROM {name} WHERE {rowid} > ?1)"
        ))?;
        ranges::divide(*first, *last, count, |middle| around.query_one((middle,)))
    }
}
