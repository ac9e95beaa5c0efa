//! Asks SQLite about a statement, and concludes the types of its columns.

use std::collections::HashSet;

use finalite::schema::Affinity;
use finalite::{Connection, Error, ErrorKind};

use crate::problem::Problem;
use crate::schema::Schema;
use crate::shape::{Rules, Shape};
use crate::tokens::{Token, tokens};

#[cfg(test)]
mod tests;

/// A statement that SQLite has accepted.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Number of values that are to be bound.
    pub(crate) parameters: usize,
    /// Whether each parameter has a name.
    pub(crate) all_named: bool,
    pub(crate) columns: Vec<Column>,
}

/// A column of the result.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `None` for what SQLite does not know before it runs the statement.
    pub(crate) kind: Option<Kind>,
    pub(crate) nullable: Nullable,
    /// Offset in the SQL, if it has an item of its own.
    pub(crate) at: Option<usize>,
}

/// The type of a column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Real,
    Text,
    Blob,
    Boolean,
}

/// Whether a column can be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nullable {
    /// It is NOT NULL, for certain.
    Never,
    /// A column of a table that is not NOT NULL, or is not for certain.
    Possible,
    /// An expression.
    Unknown,
}

/// Checks a statement.
pub(crate) fn check(schema: &Schema, sql: &str, rules: Rules) -> Result<Checked, Problem> {
    let all = tokens(sql);
    let Some(first) = all.first().filter(|first| !first.is_sign(";")) else {
        return Err(Problem::new("the SQL is empty"));
    };
    if all.iter().take(4).any(|token| token.is("PRAGMA")) && (first.is("PRAGMA") || first.is("EXPLAIN")) {
        let help = "Connection::pragma and Connection::set_pragma are for pragmas";
        return Err(Problem::new("a pragma is not checked: SQLite runs some while it prepares them").help(help));
    }
    let statement = schema.conn.prepare(sql).map_err(|error| problem(schema, sql, &all, &error))?;
    let parameters = statement.parameter_count();
    let all_named = parameters > 0 && (1..=parameters).all(|index| is_name(statement.parameter_name(index)));
    let columns = if statement.column_count() == 0 { Vec::new() } else { columns(schema, sql, &all, rules)? };
    Ok(Checked { parameters, all_named, columns })
}

/// `?1` is a number, although SQLite calls it a name.
fn is_name(name: Option<&str>) -> bool {
    name.is_some_and(|name| !name.starts_with('?'))
}

fn columns(schema: &Schema, sql: &str, all: &[Token<'_>], rules: Rules) -> Result<Vec<Column>, Problem> {
    let mut shape = Shape::of(all, rules);
    if !shape.arms.is_empty() {
        return compound(schema, sql, &shape, rules);
    }
    add_views(schema, sql, all, &mut shape);
    let statement = schema.conn.prepare(sql).map_err(|error| problem(schema, sql, all, &error))?;
    let metadata = statement.columns().map_err(|error| Problem::new(error.to_string()))?;
    let count = metadata.len();
    let column = |(index, column): (usize, &finalite::ColumnMetadata)| {
        let at = shape.offset_of(index, count);
        let name = column.name().to_owned();
        let (Some(database), Some(table), Some(origin), false) =
            (column.database(), column.table(), column.origin_column(), shape.is_mixed)
        else {
            return Column { name, kind: None, nullable: Nullable::Unknown, at };
        };
        let kind = kind(column.declared_type(), schema.is_strict(database, table));
        let is_certain = !shape.is_uncertain
            && !shape.nullable.contains(&table.to_ascii_lowercase())
            && !shape.may_be_subquery(index, count)
            && schema.is_not_null(database, table, origin);
        let nullable = if is_certain { Nullable::Never } else { Nullable::Possible };
        Column { name, kind, nullable, at }
    };
    Ok(metadata.iter().enumerate().map(column).collect())
}

/// Returns the columns of a UNION, EXCEPT or INTERSECT: what all of its parts have in common.
fn compound(schema: &Schema, sql: &str, shape: &Shape<'_>, rules: Rules) -> Result<Vec<Column>, Problem> {
    let mut combined: Vec<Column> = Vec::new();
    for (index, &(start, end)) in shape.arms.iter().enumerate() {
        // Blanks keep the offsets.
        let arm = format!("{}{}{}", &sql[..shape.with_end], " ".repeat(start - shape.with_end), &sql[start..end]);
        let part = columns(schema, &arm, &tokens(&arm), rules)?;
        if index == 0 {
            combined = part;
            continue;
        }
        for (column, other) in combined.iter_mut().zip(part) {
            if column.kind != other.kind {
                column.kind = None;
            }
            column.nullable = column.nullable.max(other.nullable);
        }
    }
    Ok(combined)
}

/// Adds the shapes of the views that the SQL names, and runs the probes of all.
fn add_views(schema: &Schema, sql: &str, all: &[Token<'_>], shape: &mut Shape<'_>) {
    let is_aggregate = |text: &str, at: usize| is_aggregate(&schema.conn, text, at);
    shape.is_uncertain |= shape.probes.iter().any(|&at| is_aggregate(sql, at));
    let mut views: Vec<(String, HashSet<String>)> = Vec::new();
    let mut names: Vec<String> = all.iter().filter_map(Token::name).collect();
    while let Some(name) = names.pop() {
        if !shape.rules.views || views.iter().any(|(known, _)| *known == name) {
            continue;
        }
        for text in schema.views.get(&name).into_iter().flatten() {
            let tokens = tokens(text);
            let mut inner = Shape { rules: shape.rules, ..Shape::default() };
            inner.add_inner(&tokens);
            shape.is_uncertain |= inner.is_uncertain || inner.probes.iter().any(|&at| is_aggregate(text, at));
            shape.is_mixed |= inner.is_mixed;
            shape.nullable.extend(inner.nullable);
            shape.common.extend(inner.common);
            names.extend(tokens.iter().filter_map(Token::name));
            views.push((name.clone(), tokens.iter().filter_map(Token::name).collect()));
        }
    }
    // A view on the right of a LEFT JOIN: all that it reads is.
    while let Some(at) = views.iter().position(|(name, _)| shape.nullable.contains(name)) {
        shape.nullable.extend(views.swap_remove(at).1);
    }
    shape.is_uncertain |= shape.nullable.iter().any(|name| shape.common.contains(name));
}

/// Whether a SELECT without GROUP BY is an aggregate, so that it has a row where its tables have none. SQLite knows:
/// only an aggregate may have a HAVING.
fn is_aggregate(conn: &Connection, text: &str, at: usize) -> bool {
    let probe = format!("{} HAVING 1 {}", &text[..at], &text[at..]);
    match conn.prepare(&probe) {
        Err(error) => !error.to_string().contains("HAVING clause on a non-aggregate query"),
        Ok(_) => true,
    }
}

/// Returns the type that a declared type means for the values of a column.
fn kind(declared: Option<&str>, is_strict: bool) -> Option<Kind> {
    let declared = declared?;
    if ["BOOLEAN", "BOOL"].iter().any(|name| declared.eq_ignore_ascii_case(name)) {
        return Some(Kind::Boolean);
    }
    match Affinity::of(Some(declared), is_strict) {
        Affinity::Integer => Some(Kind::Integer),
        Affinity::Real => Some(Kind::Real),
        Affinity::Text => Some(Kind::Text),
        Affinity::Blob if declared.to_ascii_uppercase().contains("BLOB") => Some(Kind::Blob),
        _ => None,
    }
}

/// Returns SQLite's error with its place, and with what helps.
fn problem(schema: &Schema, sql: &str, all: &[Token<'_>], error: &Error) -> Problem {
    if matches!(error.kind(), ErrorKind::EmptySql) {
        return Problem::new("the SQL is empty");
    }
    let end = all.iter().position(|token| token.is_sign(";"));
    if matches!(error.kind(), ErrorKind::TrailingSql { .. }) {
        let second = end.and_then(|end| all[end..].iter().find(|token| !token.is_sign(";")));
        let help = "each sql! is one statement; Connection::execute_batch runs several";
        return Problem::new("more than one statement").at(second.map(|token| token.at)).help(help);
    }
    let message = error.kind().to_string();
    // SQLite does not tell the place of a table or of a function that is missing.
    let name = message
        .rsplit_once(": ")
        .or_else(|| message.rsplit_once(" named "))
        .map(|(_, name)| name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase());
    let named = all.iter().find(|token| name.is_some() && token.name() == name);
    let at = error.position().and_then(|position| offset(sql, position)).or(named.map(|token| token.at));
    let problem = Problem::new(message.clone()).at(at);
    if message.starts_with("no such table") {
        problem.help(list("the schema has", &schema.names()))
    } else if message.starts_with("no such column") || message.contains("has no column named") {
        let mut names: Vec<String> = Vec::new();
        for name in all.iter().filter_map(Token::name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let columns = names.iter().filter_map(|name| Some((name, schema.columns_of(name)?)));
        columns.take(4).fold(problem, |problem, (table, columns)| problem.help(list(&format!("{table} has"), &columns)))
    } else if message.starts_with("no such function") || message.starts_with("no such module") {
        problem.help(
            "the SQLite that checks is finalite's own: for a function or a table that the program registers or loads, \
             write `finalite::StatementKey::new(\"..\")`, which is checked when it is run",
        )
    } else {
        problem
    }
}

fn list(what: &str, names: &[String]) -> String {
    const MOST: usize = 20;
    let more = if names.len() > MOST { ", …" } else { "" };
    let names = &names[..names.len().min(MOST)];
    if names.is_empty() { format!("{what} no tables") } else { format!("{what} {}{more}", names.join(", ")) }
}

/// Returns the byte of a place.
fn offset(sql: &str, position: finalite::SqlPosition) -> Option<usize> {
    let line = sql.split_inclusive('\n').nth(position.line - 1).unwrap_or_default();
    let start = line.as_ptr() as usize - sql.as_ptr() as usize;
    let byte = line.char_indices().nth(position.column - 1).map_or(line.len(), |(byte, _)| byte);
    (!line.is_empty()).then_some(start + byte)
}
