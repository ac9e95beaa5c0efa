//! Modules of the program that have the names of the tables, and those that are removed.

use std::sync::Arc;

use finalite::extend::CallbackError;
use finalite::extend::virtual_table::{
    CellCall, Declared, FilterCall, TableCall, TableCursor, TableDefinition, TableKind, VirtualTable,
};

use super::*;

/// A table with one row, which refused SQL is run for within `connect`.
struct Own;

struct Row;

impl VirtualTable for Own {
    type Shared = Arc<()>;
    type Cursor<'t> = Row;

    const KIND: TableKind = TableKind::EponymousOnly;

    fn connect(alive: &Arc<()>, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        for sql in REFUSED {
            assert!(definition.connection().query_all::<i64>(sql, ()).is_err(), "{sql}");
            // The test and the module.
            assert_eq!(Arc::strong_count(alive), 2);
        }
        Ok(Declared::new("CREATE TABLE x(a, b HIDDEN)", Self))
    }

    fn open(&self, _: &Self::Shared) -> Result<Row, CallbackError> {
        Ok(Row)
    }
}

impl TableCursor for Row {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        Ok(true)
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        Ok(false)
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        cell.set(7)
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(1)
    }
}

/// SQL that calls the names and is refused.
const REFUSED: [&str; 4] =
    ["SELECT list(1)", "SELECT rarray(1)", "SELECT nothing FROM list(1, 2, 3)", "SELECT 1 FROM rarray(1), nothing"];

#[test]
fn rule_18_a_module_of_the_program_is_not_replaced_by_a_list() {
    for names in [["list", "rarray"], ["List", "RARRAY"]] {
        let conn = open();
        let alive = Arc::new(());
        for name in names {
            conn.create_module::<Own>(name, Arc::clone(&alive)).unwrap();
            assert_eq!(conn.query_all::<i64>(&format!("SELECT a FROM {name}"), ()).unwrap(), [7]);
            for sql in REFUSED {
                assert!(conn.query_all::<i64>(sql, ()).is_err(), "{sql}");
            }
            assert_eq!(conn.query_all::<i64>(&format!("SELECT a + 1 FROM {name}"), ()).unwrap(), [8]);
            conn.remove_module(&name.to_lowercase()).unwrap();
            assert_eq!(Arc::strong_count(&alive), 1);
            let sql = format!("SELECT value FROM {name}(?)");
            assert_eq!(conn.query_all::<i64>(&sql, (array(&[4_i64]),)).unwrap(), [4]);
        }
    }
}

#[test]
fn a_module_of_the_program_takes_the_place_of_a_list() {
    let conn = open();
    assert_eq!(conn.query_all::<i64>(SQL, (array(&[4_i64]),)).unwrap(), [4]);
    conn.create_table_function("list", ["value"], |n: i64| [n + 1]).unwrap();
    assert_eq!(conn.query_all::<i64>(SQL, (1,)).unwrap(), [2]);
    conn.retain_modules(&["list"]).unwrap();
    assert_eq!(conn.query_all::<i64>(SQL, (1,)).unwrap(), [2]);
    conn.retain_modules(&["LIST"]).unwrap();
    assert_eq!(conn.query_all::<i64>(SQL, (array(&[4_i64]),)).unwrap(), [4]);
}

#[test]
fn tables_of_this_crate_are_made_again_after_modules_were_removed() {
    let conn = filled();
    let works = |after: &str| {
        let both = "SELECT a.value + b.value FROM list(?1) a, main.rarray(?2) b";
        let sums = conn.query_all::<i64>(both, (array(&[4_i64]), array(&[5_i64])));
        assert_eq!(sums.unwrap_or_else(|error| panic!("{after}: {error}")), [9]);
        let inserted = conn.insert_columns("t", [("name", (&["a", "b"]).into())]);
        assert_eq!(inserted.unwrap_or_else(|error| panic!("{after}: {error}")), 2);
    };
    works("nothing");
    conn.retain_modules(&[]).unwrap();
    works("all");
    for name in ["LIST", "rarray", "Finalite_columns_1"] {
        conn.remove_module(name).unwrap();
        works(name);
    }
    conn.retain_modules(&["list", "finalite_columns_1"]).unwrap();
    works("others");
}

#[test]
fn a_list_behind_sixteen_conditions_is_an_error() {
    let conn = open();
    let sql = |conditions: usize| {
        let conditions: Vec<String> = (1..=conditions).map(|n| format!("value > -{n}")).collect();
        format!("SELECT value FROM list(?1) WHERE {}", conditions.join(" AND "))
    };
    assert_eq!(conn.query_all::<i64>(&sql(15), (array(&[4_i64]),)).unwrap(), [4]);
    assert_eq!(conn.query_all::<i64>(&sql(40).replace("value >", "+value >"), (array(&[4_i64]),)).unwrap(), [4]);
    for conditions in [16, 40] {
        let error = conn.query_all::<i64>(&sql(conditions), (array(&[4_i64]),)).unwrap_err();
        assert!(error.to_string().contains("behind 16 other conditions"), "{error}");
    }
}
