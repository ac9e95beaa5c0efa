//! The pragmas that finalite treats in a way of their own.

use PragmaEffect::{Lasting, None, Restorable};
use PragmaKind::{Action, Directory, Question, Secret, Switch, Value};

use super::leading_identifier;
use crate::track::Taint;

/// A pragma, and its treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pragma {
    pub(crate) name: &'static str,
    pub(crate) kind: PragmaKind,
    effect: PragmaEffect,
}

/// The argument and the result of a pragma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PragmaKind {
    /// A value, which is read back as it was set.
    Value,
    /// Off for 0, on for any other number. It reads back 0 or 1, except for `cache_spill`, which reads back the number
    /// of pages of the cache or more.
    Switch,
    /// A directory. It reads back nothing in its initial state, which the empty text restores.
    Directory,
    /// An action, or `case_sensitive_like`: it is not read back.
    Action,
    /// A query; the argument is its subject.
    Question,
    /// A secret, which is neither logged nor read back.
    Secret,
}

/// Effect on the connection that outlives the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PragmaEffect {
    /// None, or an effect on the database and not on the connection.
    None,
    /// A setting of the connection, which can be read and set again.
    Restorable,
    /// An effect that may remain.
    Lasting,
}

const fn pragma(name: &'static str, kind: PragmaKind, effect: PragmaEffect) -> Pragma {
    Pragma { name, kind, effect }
}

/// All others are [`PragmaKind::Value`], with an effect that may remain.
const PRAGMAS: &[Pragma] = &[
    pragma("analysis_limit", Value, Restorable),
    pragma("application_id", Value, None),
    pragma("automatic_index", Switch, Restorable),
    pragma("busy_timeout", Value, Restorable),
    pragma("cache_size", Value, Restorable),
    pragma("cache_spill", Switch, Restorable),
    pragma("case_sensitive_like", Action, Lasting),
    pragma("cell_size_check", Switch, Restorable),
    pragma("checkpoint_fullfsync", Switch, Restorable),
    pragma("count_changes", Switch, Lasting),
    pragma("data_store_directory", Directory, Lasting),
    pragma("defer_foreign_keys", Switch, Restorable),
    pragma("empty_result_callbacks", Switch, Lasting),
    pragma("foreign_key_check", Question, None),
    pragma("foreign_key_list", Question, None),
    pragma("foreign_keys", Switch, Restorable),
    pragma("full_column_names", Switch, Lasting),
    pragma("fullfsync", Switch, Restorable),
    pragma("hexkey", Secret, Lasting),
    pragma("hexrekey", Secret, Lasting),
    pragma("ignore_check_constraints", Switch, Restorable),
    pragma("incremental_vacuum", Action, None),
    pragma("index_info", Question, None),
    pragma("index_list", Question, None),
    pragma("index_xinfo", Question, None),
    pragma("integrity_check", Question, None),
    pragma("journal_size_limit", Value, Restorable),
    pragma("key", Secret, Lasting),
    pragma("legacy_alter_table", Switch, Restorable),
    pragma("optimize", Action, None),
    pragma("query_only", Switch, Restorable),
    pragma("quick_check", Question, None),
    pragma("read_uncommitted", Switch, Restorable),
    pragma("recursive_triggers", Switch, Restorable),
    pragma("rekey", Secret, Lasting),
    pragma("reverse_unordered_selects", Switch, Restorable),
    pragma("secure_delete", Value, Restorable),
    pragma("short_column_names", Switch, Lasting),
    pragma("shrink_memory", Action, None),
    pragma("synchronous", Value, Restorable),
    pragma("table_info", Question, None),
    pragma("table_list", Question, None),
    pragma("table_xinfo", Question, None),
    pragma("temp_store_directory", Directory, Lasting),
    pragma("textkey", Secret, Lasting),
    pragma("textrekey", Secret, Lasting),
    pragma("trusted_schema", Switch, Restorable),
    pragma("user_version", Value, None),
    pragma("wal_checkpoint", Value, None),
    pragma("writable_schema", Switch, Lasting),
];

impl Pragma {
    /// Returns the pragma of this name, without its schema, in any case.
    pub(crate) fn find(name: &str) -> Option<Self> {
        PRAGMAS.iter().copied().find(|pragma| pragma.name.eq_ignore_ascii_case(name))
    }

    /// Returns the kind of the pragma of this name.
    pub(crate) fn kind_of(name: &str) -> PragmaKind {
        Self::find(name).map_or(Value, |pragma| pragma.kind)
    }

    /// Returns the names of the settings that can be restored.
    pub(crate) fn restorable() -> impl Iterator<Item = &'static str> {
        PRAGMAS.iter().filter(|pragma| pragma.effect == Restorable).map(|pragma| pragma.name)
    }
}

/// Returns the lasting changes that a pragma makes, from the SQL after the word `PRAGMA`.
pub(super) fn taint(sql: &str) -> Taint {
    let (mut name, mut rest) = leading_identifier(sql);
    let mut is_of_main = true;
    if let Some(after) = rest.strip_prefix('.') {
        is_of_main = name.eq_ignore_ascii_case("main");
        (name, rest) = leading_identifier(after);
    }
    if !rest.starts_with(['=', '(']) {
        return Taint::NONE;
    }
    match Pragma::find(name).map_or(Lasting, |pragma| pragma.effect) {
        None => Taint::NONE,
        Restorable if is_of_main => Taint::PRAGMA,
        Restorable | Lasting => Taint::OTHER_PRAGMA,
    }
}
