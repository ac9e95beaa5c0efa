//! The shape of a statement: what it selects from, how it joins, and which of its SELECTs yield its columns.
//!
//! Only SELECTs in column position matter: the outermost one, and those in FROM clauses, in WITH clauses and in views. A
//! column of a table comes through them unchanged, so that SQLite still knows its origin. What they do to it decides
//! whether it may be NULL. Whatever is not understood makes all columns uncertain.

use std::collections::HashSet;

use crate::tokens::{Token, group, position, split};

/// The shape, and its consequences for all columns.
#[derive(Default)]
pub(crate) struct Shape<'a> {
    /// Items of the outermost result, if there is one SELECT or RETURNING that lists them.
    pub(crate) items: Vec<Vec<Token<'a>>>,
    /// Parts of an outermost UNION, EXCEPT or INTERSECT, as statements of their own.
    pub(crate) arms: Vec<(usize, usize)>,
    /// End of the WITH clause before the arms.
    pub(crate) with_end: usize,
    /// For each SELECT that may be an aggregate without GROUP BY, the offset at which it could have a HAVING.
    pub(crate) probes: Vec<usize>,
    /// Names, in lower case, of everything on the right of a LEFT JOIN.
    pub(crate) nullable: HashSet<String>,
    /// Names of common tables.
    pub(crate) common: HashSet<String>,
    /// Columns may be NULL for a reason that concerns all.
    pub(crate) is_uncertain: bool,
    /// Columns may even have another type than their origin: an inner UNION.
    pub(crate) is_mixed: bool,
    /// Rules that a test leaves out.
    pub(crate) rules: Rules,
}

/// The rules that hold: all, but in the tests that show that each is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) outer_joins: bool,
    pub(crate) compounds: bool,
    pub(crate) aggregates: bool,
    pub(crate) scalar_subqueries: bool,
    pub(crate) views: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { outer_joins: true, compounds: true, aggregates: true, scalar_subqueries: true, views: true }
    }
}

/// Words that stand before JOIN.
const JOIN_WORDS: [&str; 7] = ["NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS"];
const OUTER_WORDS: [&str; 4] = ["LEFT", "RIGHT", "FULL", "OUTER"];
const COMPOUND_WORDS: [&str; 3] = ["UNION", "EXCEPT", "INTERSECT"];

impl<'a> Shape<'a> {
    /// Returns the shape of a statement.
    pub(crate) fn of(tokens: &[Token<'a>], rules: Rules) -> Self {
        let mut shape = Self { rules, ..Self::default() };
        let end = position(tokens, 0, |_, token| token.is_sign(";")).unwrap_or(tokens.len());
        shape.statement(&tokens[..end]);
        shape
    }

    /// Adds a view, whose SELECT this is.
    pub(crate) fn add_inner(&mut self, tokens: &[Token<'a>]) {
        self.query(tokens, false);
    }

    fn statement(&mut self, tokens: &[Token<'a>]) {
        let writes = |token: &Token<'_>| token.is_any(&["INSERT", "REPLACE", "UPDATE", "DELETE"]);
        let is_write = match tokens.first() {
            Some(first) if first.is("WITH") => {
                position(tokens, 1, |_, token| token.is("SELECT") || token.is("VALUES") || writes(token))
                    .is_some_and(|at| writes(&tokens[at]))
            }
            Some(first) => writes(first),
            None => false,
        };
        if !is_write {
            return self.query(tokens, true);
        }
        // The columns of RETURNING are those of the table that is written: neither joins nor other tables are in sight.
        let mut returning = None;
        let mut start = 0;
        while let Some(at) = position(tokens, start, |_, token| token.is("RETURNING")) {
            returning = Some(at);
            start = at + 1;
        }
        if let Some(at) = returning {
            self.items = split(&tokens[at + 1..]).into_iter().map(<[_]>::to_vec).collect();
        }
    }

    fn query(&mut self, tokens: &[Token<'a>], is_outermost: bool) {
        let mut rest = tokens;
        if rest.first().is_some_and(|first| first.is("WITH")) {
            let Some(end) = self.common_tables(rest) else {
                self.is_uncertain = true;
                return;
            };
            rest = &rest[end..];
        }
        let is_compound_word = |_: usize, token: &Token<'a>| token.is_any(&COMPOUND_WORDS);
        let first_end = position(rest, 0, is_compound_word);
        match first_end {
            Some(_) if is_outermost && self.rules.compounds => self.outermost_compound(rest),
            Some(_) if self.rules.compounds => {
                self.is_uncertain = true;
                self.is_mixed = true;
            }
            end => self.select(&rest[..end.unwrap_or(rest.len())], is_outermost),
        }
    }

    /// Notes the parts of a compound, without ORDER BY and LIMIT.
    fn outermost_compound(&mut self, rest: &[Token<'a>]) {
        self.with_end = rest.first().map_or(0, |first| first.at);
        let mut start = 0;
        loop {
            let next = position(rest, start, |_, token| token.is_any(&COMPOUND_WORDS));
            let until = next.or_else(|| position(rest, start, |_, token| token.is_any(&["ORDER", "LIMIT"])));
            let arm = &rest[start..until.unwrap_or(rest.len())];
            if let (Some(first), Some(last)) = (arm.first(), arm.last()) {
                self.arms.push((first.at, last.end()));
            }
            let Some(next) = next else { return };
            start = next + 1 + usize::from(rest.get(next + 1).is_some_and(|token| token.is("ALL")));
        }
    }

    /// Adds the tables of a WITH clause, and returns the number of its tokens.
    fn common_tables(&mut self, tokens: &[Token<'a>]) -> Option<usize> {
        let mut at = 1 + usize::from(tokens.get(1)?.is("RECURSIVE"));
        loop {
            self.common.insert(tokens.get(at)?.name()?);
            at += 1;
            if tokens.get(at)?.is_sign("(") {
                at += group(&tokens[at..]);
            }
            if !tokens.get(at)?.is("AS") {
                return None;
            }
            at += 1;
            while tokens.get(at)?.is_any(&["NOT", "MATERIALIZED"]) {
                at += 1;
            }
            let length = group(&tokens[at..]);
            self.query(tokens.get(at + 1..(at + length).checked_sub(1)?)?, false);
            at += length;
            if !tokens.get(at)?.is_sign(",") {
                return Some(at);
            }
            at += 1;
        }
    }

    fn select(&mut self, tokens: &[Token<'a>], is_outermost: bool) {
        match tokens.first() {
            // Values have no origin.
            Some(first) if first.is("VALUES") => return,
            Some(first) if first.is("SELECT") => {}
            _ => {
                self.is_uncertain = true;
                return;
            }
        }
        let is_window = |index: usize| {
            let follows = |next: usize, is_it: fn(&Token<'_>) -> bool| tokens.get(index + next).is_some_and(is_it);
            tokens[index].is("WINDOW") && !follows(1, |t| t.is("AS")) && follows(2, |t| t.is("AS"))
        };
        let is_end = |index: usize, token: &Token<'a>| {
            token.is_any(&["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT"]) || is_window(index)
        };
        let items_start = 1 + usize::from(tokens.get(1).is_some_and(|token| token.is_any(&["DISTINCT", "ALL"])));
        // Not that of IS DISTINCT FROM.
        let is_from = |index: usize, token: &Token<'a>| token.is("FROM") && !tokens[index - 1].is("DISTINCT");
        let items_end = position(tokens, items_start, |index, token| is_from(index, token) || is_end(index, token));
        let items_end = items_end.unwrap_or(tokens.len());
        let has_from = tokens.get(items_end).is_some_and(|token| token.is("FROM"));
        let sources_end = if has_from { position(tokens, items_end, is_end) } else { Some(items_end) };
        let sources_end = sources_end.unwrap_or(tokens.len());

        let items = split(&tokens[items_start..items_end]);
        // A subquery is an item of its own if the item begins with its parenthesis. SQLite tells its origin, but it is
        // NULL without a row.
        if !is_outermost && self.rules.scalar_subqueries && items.iter().any(|item| is_in_parentheses(item)) {
            self.is_uncertain = true;
            self.is_mixed |= tokens.iter().any(|token| token.is_any(&COMPOUND_WORDS));
        }
        let rest = &tokens[sources_end..];
        let is_stray = |_: usize, token: &Token<'a>| token.is_any(&OUTER_WORDS) || token.is("JOIN");
        if position(rest, 0, is_stray).is_some() {
            self.is_uncertain = true;
        }
        let has_group = position(rest, 0, |_, token| token.is("GROUP")).is_some();
        let calls = tokens.windows(2).any(|pair| pair[0].name().is_some() && pair[1].is_sign("("));
        if !has_group && calls && self.rules.aggregates {
            let end = position(tokens, sources_end, |index, token| is_end(index, token) && !token.is("WHERE"));
            let end = end.unwrap_or(tokens.len());
            match tokens.get(end) {
                Some(token) if token.is("HAVING") => self.is_uncertain = true,
                _ => self.probes.push(tokens[end - 1].end()),
            }
        }
        if is_outermost {
            self.items = items.into_iter().map(<[_]>::to_vec).collect();
        }
        if has_from {
            self.sources(&tokens[items_end + 1..sources_end]);
        }
    }

    /// Adds what a FROM clause, or a part of one in parentheses, joins.
    fn sources(&mut self, tokens: &[Token<'a>]) {
        let mut start = 0;
        let mut is_left = false;
        while let Some(first) = tokens.get(start) {
            let mut after = start + 1;
            if first.is_sign("(") {
                after = start + group(&tokens[start..]);
                let inner = &tokens[start + 1..(after - 1).max(start + 1)];
                if inner.first().is_some_and(|token| token.is_any(&["SELECT", "WITH", "VALUES"])) {
                    self.query(inner, false);
                } else {
                    self.sources(inner);
                }
            }
            let next = position(tokens, after, |_, token| token.is_sign(",") || token.is("JOIN"));
            let end = next.unwrap_or(tokens.len());
            let is_join = tokens.get(end).is_some_and(|token| token.is("JOIN"));
            let words = match is_join {
                true => tokens[after..end].iter().rev().take_while(|token| token.is_any(&JOIN_WORDS)).count(),
                false => 0,
            };
            let (operand, join) = (&tokens[start..end - words], &tokens[end - words..end]);
            if self.rules.outer_joins {
                if position(operand, 0, |_, token| token.is_any(&OUTER_WORDS)).is_some() {
                    self.is_uncertain = true;
                }
                if is_left {
                    let named = position(operand, 0, |_, token| token.is_any(&["ON", "USING"]));
                    self.nullable.extend(operand[..named.unwrap_or(operand.len())].iter().filter_map(Token::name));
                }
                let has = |keyword: &str| join.iter().any(|token| token.is(keyword));
                is_left = has("LEFT");
                if has("RIGHT") || has("FULL") || (has("OUTER") && !is_left) {
                    self.is_uncertain = true;
                }
            }
            start = end + 1;
        }
    }

    /// Whether a column of the result, of so many, can be a subquery in parentheses, or is not known to be none. `None` of
    /// the items is known if there are more or fewer than columns.
    pub(crate) fn may_be_subquery(&self, column: usize, columns: usize) -> bool {
        self.rules.scalar_subqueries
            && match self.items_of(column, columns) {
                Some(items) => items.iter().any(|item| is_in_parentheses(item)),
                None => true,
            }
    }

    /// Returns the items that a column can be: one, or several around a `*`.
    fn items_of(&self, column: usize, columns: usize) -> Option<&[Vec<Token<'a>>]> {
        let is_star = |item: &Vec<Token<'a>>| item.last().is_some_and(|token| token.is_sign("*"));
        let items = &self.items[..];
        let Some(first) = items.iter().position(is_star) else {
            return (items.len() == columns).then(|| &items[column..=column]);
        };
        let last = items.iter().rposition(is_star)?;
        let behind = items.len() - 1 - last;
        Some(if column < first {
            &items[column..=column]
        } else if column + behind >= columns {
            let item = column + items.len() - columns;
            &items[item..=item]
        } else {
            &items[first..=last]
        })
    }

    /// Returns the offset in the SQL of a column, if it is an item of its own.
    pub(crate) fn offset_of(&self, column: usize, columns: usize) -> Option<usize> {
        match self.items_of(column, columns)? {
            [item] => Some(item.first()?.at),
            _ => None,
        }
    }
}

fn is_in_parentheses(item: &[Token<'_>]) -> bool {
    item.first().is_some_and(|token| token.is_sign("("))
}
