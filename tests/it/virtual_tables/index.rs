//! `best_index`: what SQLite asks, and what it does with the answers.

use finalite::extend::virtual_table::{Constraint, OverloadedFunction, TableKind};
use finalite::{Value, ValueRef};

use super::*;

/// Answers a question, and describes it.
type Plan = Box<dyn Fn(&mut IndexQuery<'_>) -> Result<String, CallbackError> + Send + Sync>;

/// Three columns, `a` from 0 to 9, `b` the same as text, `h` hidden.
struct Asked {
    log: Arc<Log>,
}

struct Log {
    plan: Plan,
    questions: Mutex<Vec<String>>,
    filters: Mutex<Vec<String>>,
}

struct AskedCursor<'t>(&'t Asked, i64);

impl VirtualTable for Asked {
    type Shared = Arc<Log>;
    type Cursor<'t> = AskedCursor<'t>;

    const KIND: TableKind = TableKind::EponymousOnly;

    fn functions() -> Vec<OverloadedFunction> {
        let near = |call: &finalite::extend::FunctionContext<'_>| {
            let (a, b): (i64, i64) = (call.get(0)?, call.get(1)?);
            Ok((a - b).abs() <= 1)
        };
        vec![
            OverloadedFunction::new("near", 2, near).with_constraint(3),
            OverloadedFunction::new("LENGTH", 1, |_| Ok("of the table")),
        ]
    }

    fn connect(log: &Arc<Log>, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        assert_eq!(definition.arguments().len(), 0);
        Ok(Declared::new("CREATE TABLE x(a INTEGER, b TEXT COLLATE NOCASE, h HIDDEN)", Self { log: Arc::clone(log) }))
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        let question = (self.log.plan)(query)?;
        self.log.questions.lock().unwrap().push(question);
        Ok(())
    }

    fn open(&self, _: &Self::Shared) -> Result<AskedCursor<'_>, CallbackError> {
        Ok(AskedCursor(self, 0))
    }
}

impl TableCursor for AskedCursor<'_> {
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
        let arguments: Result<Vec<Value>, _> = (0..call.argument_count()).map(|at| call.get(at)).collect();
        let missing = call.get::<Value>(call.argument_count()).unwrap_err().to_string();
        assert!(missing.contains(&format!("argument {} is missing", call.argument_count() + 1)), "{missing}");
        let mut text = format!("{} {:?} {:?}", call.plan(), call.plan_text(), arguments?);
        for argument in 0..call.argument_count() {
            if let Ok(list) = call.in_list::<i64>(argument)?.collect::<finalite::Result<Vec<_>>>() {
                text += &format!(" {list:?}");
            }
        }
        self.0.log.filters.lock().unwrap().push(text);
        self.1 = 0;
        Ok(true)
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.1 += 1;
        Ok(self.1 < 10)
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        match column {
            0 => cell.set(self.1),
            1 => cell.set(self.1.to_string()),
            _ => cell.set(None::<i64>),
        }
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.1 + 100)
    }
}

fn asked(
    plan: impl Fn(&mut IndexQuery<'_>) -> Result<String, CallbackError> + Send + Sync + 'static,
) -> (Connection, Arc<Log>) {
    let conn = open();
    let log = Arc::new(Log { plan: Box::new(plan), questions: Mutex::default(), filters: Mutex::default() });
    conn.create_module::<Asked>("t", Arc::clone(&log)).unwrap();
    (conn, log)
}

/// Runs a statement. Returns the questions, and the calls of `filter`.
fn questions(conn: &Connection, log: &Log, sql: &str) -> (Vec<String>, Vec<String>) {
    conn.query_row(&format!("SELECT count(*) FROM ({sql})"), (), |_| Ok(()))
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().unwrap());
    (take(&log.questions), take(&log.filters))
}

fn describe(constraint: Constraint) -> String {
    let column = match constraint.column() {
        Some(column) => column.to_string(),
        None if constraint.is_of_rowid() => "rowid".into(),
        None => "-".into(),
    };
    let usable = if constraint.is_usable() { "" } else { " unusable" };
    format!("{column} {:?}{usable}", constraint.operator())
}

#[test]
fn constraints_have_their_column_and_operator() {
    let (conn, log) = asked(|query| Ok(query.constraints().map(describe).collect::<Vec<_>>().join(", ")));
    for (condition, expected) in [
        ("a = 1", "0 Equal"),
        ("a > 1 AND b <= 'x' AND a < 5 AND a >= 2", "0 Greater, 1 LessOrEqual, 0 Less, 0 GreaterOrEqual"),
        ("rowid = 3", "rowid Equal"),
        ("a <> 3", "0 NotEqual"),
        ("b LIKE '1%'", "1 Like"),
        ("b GLOB '1*'", "1 Glob"),
        ("a IS NULL", "0 IsNull"),
        ("a IS NOT NULL", "0 IsNotNull"),
        ("a IS 3", "0 Is"),
        ("a IS NOT 3", "0 IsNot"),
        ("a IN (1, 2)", "0 Equal"),
        ("near(a, 4)", "0 Function(3)"),
        ("h = 2", "2 Equal"),
        ("a = b", "0 Equal unusable, 1 Equal unusable"),
    ] {
        let (questions, _) = questions(&conn, &log, &format!("SELECT * FROM t WHERE {condition}"));
        let questions = questions.join("; ");
        assert!(questions.starts_with(expected) || questions.is_empty(), "{condition}: {questions}");
        assert!(!questions.is_empty() || condition == "a = b", "{condition}");
    }
    // MATCH and REGEXP call functions that are not there, unless the table does without.
    let (questions, _) = questions(&conn, &log, "SELECT a FROM t LIMIT 3 OFFSET 2");
    assert!(questions[0].contains("- Limit") && questions[0].contains("- Offset"), "{questions:?}");
    // A call as a function: the arguments are hidden columns.
    let (questions, _) = self::questions(&conn, &log, "SELECT a FROM t(7)");
    assert_eq!(questions, ["2 Equal"]);
}

#[test]
fn match_and_regexp_need_no_function_if_the_table_omits_them() {
    let (conn, log) = asked(|query| {
        for constraint in query.constraints().filter(|it| it.is_usable()).collect::<Vec<_>>() {
            query.omit(constraint)?;
        }
        Ok(query.constraints().map(describe).collect::<Vec<_>>().join(", "))
    });
    let (found, filters) = questions(&conn, &log, "SELECT a FROM t WHERE b MATCH 'x'");
    assert_eq!((found, filters.len()), (vec!["1 Match".to_owned()], 1));
}

#[test]
fn what_is_passed_has_numbers_without_gaps() {
    let (conn, log) = asked(|query| {
        let usable: Vec<_> = query.constraints().filter(|it| it.is_usable()).collect();
        // In another order, and twice.
        let mut numbers = Vec::new();
        for constraint in usable.iter().rev().chain(&usable) {
            numbers.push(query.pass(*constraint)?);
        }
        query.set_plan(7);
        query.set_plan_text(format!("{numbers:?}"))?;
        query.set_cost(if usable.is_empty() { 1000.0 } else { 1.0 });
        Ok(String::new())
    });
    let (_, filters) = questions(&conn, &log, "SELECT a FROM t WHERE a > 3 AND b < 'x' AND rowid = 104");
    assert_eq!(filters, [r#"7 Some("[0, 1, 2, 2, 1, 0]") [Integer(104), Text("x"), Integer(3)]"#]);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a > 3 AND b < 'x' AND rowid = 104", ()).unwrap(), [4]);
    // EXPLAIN QUERY PLAN shows number and text.
    let plan: Vec<(i64, i64, i64, String)> =
        conn.query_all("EXPLAIN QUERY PLAN SELECT a FROM t WHERE a = 1", ()).unwrap();
    assert!(plan[0].3.contains("VIRTUAL TABLE INDEX 7:[0, 0]"), "{plan:?}");
}

#[test]
fn wrong_answers_are_errors() {
    type Wrong = fn(&mut IndexQuery<'_>) -> Result<(), CallbackError>;
    let wrong: [(Wrong, &str, &str); 4] = [
        (|query| Ok(query.set_plan_text("a\0b")?), "SELECT a FROM t", "NUL character"),
        (
            |query| {
                let all: Vec<_> = query.constraints().collect();
                all.into_iter().try_for_each(|it| query.pass(it).map(drop))?;
                Ok(())
            },
            "SELECT x.a FROM t AS x, t AS y WHERE x.a = y.a",
            "not usable",
        ),
        (
            |query| {
                thread_local!(static FOREIGN: std::cell::Cell<Option<Constraint>> = const { std::cell::Cell::new(None) });
                let first = query.constraints().last();
                let foreign = FOREIGN.with(|foreign| foreign.replace(first));
                match foreign.filter(|_| first.is_none()) {
                    Some(foreign) => {
                        let misuse = |error: &Error| matches!(error.kind(), ErrorKind::Misuse { .. });
                        assert!(misuse(&query.collation(foreign).unwrap_err()));
                        assert!(misuse(&query.right_hand_value(foreign).unwrap_err()));
                        assert!(misuse(&query.is_in_list(foreign).unwrap_err()));
                        assert!(misuse(&query.pass_in_list(foreign).unwrap_err()));
                        assert!(misuse(&query.omit(foreign).unwrap_err()));
                        Ok(query.pass(foreign).map(drop)?)
                    }
                    None => Ok(()),
                }
            },
            "SELECT a FROM t WHERE a = 1 UNION ALL SELECT a FROM t",
            "not one of this query",
        ),
        (|_| Err("planned to fail".into()), "SELECT a FROM t", "planned to fail"),
    ];
    for (answer, sql, part) in wrong {
        let (conn, _) = asked(move |query| answer(query).map(|()| String::new()));
        let error = conn.query_all::<i64>(sql, ()).unwrap_err();
        assert_is_of(&error, "best_index", ResultCode::ERROR);
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
    }
}

#[test]
fn a_table_that_refuses_is_read_in_another_order_or_not_at_all() {
    let (conn, log) = asked(|query| {
        match query.find(2, ConstraintOperator::Equal) {
            Some(argument) => drop(query.omit(argument)?),
            None => query.refuse(),
        }
        Ok(String::new())
    });
    let (_, filters) = questions(&conn, &log, "SELECT * FROM t(o.x), (SELECT 5 AS x UNION ALL SELECT 6) AS o");
    assert_eq!(filters, ["0 None [Integer(5)]", "0 None [Integer(6)]"]);
    let error = conn.query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("no query solution"), "{error}");
}

#[test]
fn an_omitted_constraint_is_not_tested() {
    let (conn, _) = asked(|query| {
        if let Some(a) = query.find(0, ConstraintOperator::Equal) {
            query.omit(a)?;
        }
        if let Some(b) = query.find(1, ConstraintOperator::Equal) {
            query.pass(b)?;
        }
        Ok(String::new())
    });
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t WHERE a = 3"), 10);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t WHERE b = '3'"), 1);
}

#[test]
fn lists_are_passed_one_by_one_or_at_once() {
    let (conn, log) = asked(|query| {
        let mut text = String::new();
        for constraint in query.constraints().filter(|it| it.is_usable()).collect::<Vec<_>>() {
            text += &format!("{} ", query.is_in_list(constraint)?);
            query.pass(constraint)?;
        }
        query.set_cost(1.0);
        Ok(text)
    });
    let (_, mut filters) = questions(&conn, &log, "SELECT a FROM t WHERE a IN (5, 3, 4)");
    filters.sort();
    assert_eq!(filters, ["0 None [Integer(3)]", "0 None [Integer(4)]", "0 None [Integer(5)]"]);

    let (conn, log) = asked(|query| {
        let mut text = String::new();
        for constraint in query.constraints().filter(|it| it.is_usable()).collect::<Vec<_>>() {
            text += &format!("{:?} ", query.pass_in_list(constraint)?);
        }
        query.set_cost(1.0);
        Ok(text)
    });
    let (found, filters) = questions(&conn, &log, "SELECT a FROM t WHERE a IN (5, 3, 4, 3) AND b > '1'");
    assert!(found[0].contains("Some(0)") && found[0].contains("None"), "{found:?}");
    assert_eq!(filters, ["0 None [Null] [3, 4, 5]"]);
    let (_, filters) = questions(&conn, &log, "SELECT a FROM t WHERE a IN (SELECT column1 FROM (VALUES (8), (7)))");
    assert_eq!(filters, ["0 None [Null] [7, 8]"]);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a IN (?1, ?2, 99)", (2, 1)).unwrap(), [1, 2]);
    log.filters.lock().unwrap().clear();
    // A value of another type ends the iteration with an error.
    let (_, filters) = questions(&conn, &log, "SELECT a FROM t WHERE a IN ('x', 1)");
    assert_eq!(filters, ["0 None [Null]"]);
}

#[test]
fn order_and_distinctness_are_told() {
    let (conn, log) = asked(|query| {
        let terms: Vec<_> = query.order_by().map(|it| (it.column, it.is_descending)).collect();
        if terms == [(Some(0), false)] || terms == [(None, false)] {
            query.consume_order();
        }
        Ok(format!("{:?} {terms:?}", query.distinctness()))
    });
    // Whether DISTINCT sorts all the same depends on the version of SQLite.
    let is_sorted = |sql: &str| {
        let plan: Vec<(i64, i64, i64, String)> = conn.query_all(&format!("EXPLAIN QUERY PLAN {sql}"), ()).unwrap();
        plan.iter().any(|step| step.3.contains("TEMP B-TREE"))
    };
    for (sql, expected, sorts) in [
        ("SELECT a FROM t ORDER BY a", "Ordered [(Some(0), false)]", Some(false)),
        ("SELECT a FROM t ORDER BY a DESC", "Ordered [(Some(0), true)]", Some(true)),
        ("SELECT a FROM t ORDER BY rowid", "Ordered [(None, false)]", Some(false)),
        ("SELECT a FROM t ORDER BY b, a", "Ordered [(Some(1), false), (Some(0), false)]", Some(true)),
        ("SELECT a, count(*) FROM t GROUP BY a", "Grouped [(Some(0), false)]", Some(false)),
        ("SELECT DISTINCT a FROM t", "Distinct [(Some(0), false)]", None),
        ("SELECT DISTINCT a FROM t ORDER BY a", "DistinctAndOrdered [(Some(0), false)]", Some(false)),
    ] {
        log.questions.lock().unwrap().clear();
        conn.query_all::<Value>(&format!("SELECT 1 FROM ({sql} LIMIT -1)"), ()).unwrap();
        log.questions.lock().unwrap().clear();
        assert!(sorts.is_none_or(|sorts| is_sorted(sql) == sorts), "{sql}");
        conn.prepare(sql).unwrap();
        assert!(
            log.questions.lock().unwrap().iter().any(|question| question == expected),
            "{sql}: {:?}",
            log.questions
        );
    }
}

#[test]
fn columns_in_use_are_told() {
    let (conn, log) =
        asked(|query| Ok(format!("{:?}", [0, 1, 2, 62, 63, 999].map(|column| query.uses_column(column)))));
    let (found, _) = questions(&conn, &log, "SELECT b FROM t");
    assert!(
        found.contains(&format!("{:?}", [false; 6]))
            || found.contains(&format!("{:?}", [false, true, false, false, false, false])),
        "{found:?}"
    );
    log.questions.lock().unwrap().clear();
    conn.query_all::<(String,)>("SELECT b FROM t", ()).unwrap();
    assert_eq!(*log.questions.lock().unwrap(), [format!("{:?}", [false, true, false, false, false, false])]);
    log.questions.lock().unwrap().clear();
    conn.query_all::<(i64, Option<i64>)>("SELECT a, h FROM t", ()).unwrap();
    assert_eq!(*log.questions.lock().unwrap(), [format!("{:?}", [true, false, true, false, false, false])]);
}

#[test]
fn right_hand_values_and_collations_are_told() {
    let (conn, log) = asked(|query| {
        let mut text = Vec::new();
        for constraint in query.constraints() {
            let value = match query.right_hand_value(constraint)? {
                Some(ValueRef::Text(text)) => format!("{:?}", std::str::from_utf8(text)?),
                Some(value) => format!("{value:?}"),
                None => "?".into(),
            };
            text.push(format!("{} {value}", query.collation(constraint)?));
        }
        Ok(text.join(", "))
    });
    let (found, _) = questions(&conn, &log, "SELECT a FROM t WHERE a = 7 AND b = 'x'");
    assert_eq!(found[0], r#"BINARY Integer(7), NOCASE "x""#);
    let (found, _) = questions(&conn, &log, "SELECT a FROM t WHERE b = 'x' COLLATE RTRIM AND a > (SELECT 5)");
    assert_eq!(found[0], "RTRIM ?, BINARY ?");
}

#[test]
fn functions_are_those_of_the_table_for_its_columns() {
    let (conn, log) = asked(|query| {
        if let Some(near) = query.constraints().find(|it| it.operator() == ConstraintOperator::Function(3)) {
            query.pass(near)?;
            query.set_plan(1);
        }
        Ok(String::new())
    });
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE near(a, 4)", ()).unwrap(), [3, 4, 5]);
    assert_eq!(log.filters.lock().unwrap().last().unwrap(), "1 None [Integer(4)]");
    assert_eq!(one::<String>(&conn, "SELECT length(a) FROM t LIMIT 1"), "of the table");
    assert_eq!(one::<i64>(&conn, "SELECT length('abc')"), 3);
    // Without a column, there is no such function.
    let error = conn.query_one::<bool>("SELECT near(1, 2)", ()).unwrap_err();
    assert!(error.to_string().contains("unable to use function near"), "{error}");
    let error = conn.query_all::<bool>("SELECT near(a, 'x') FROM t", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionArgument { argument: 2, .. }), "{error:?}");
}

#[test]
fn a_unique_plan_visits_one_row_and_rows_are_estimated() {
    let (conn, _) = asked(|query| {
        query.set_rows(u64::MAX);
        query.set_cost(f64::NAN);
        query.set_unique();
        Ok(String::new())
    });
    // SQLite stops after it, where it needs no more.
    assert_eq!(one::<i64>(&conn, "SELECT a FROM t WHERE rowid = 103"), 3);
}

#[test]
fn the_first_sixteen_constraints_are_left_to_the_table() {
    let (conn, log) = asked(|query| {
        let mut omitted = Vec::new();
        for constraint in query.constraints().filter(|it| it.is_usable()).collect::<Vec<_>>() {
            assert!(!query.is_omitted(constraint));
            query.omit(constraint)?;
            omitted.push(query.is_omitted(constraint));
        }
        Ok(omitted.iter().map(|&is| if is { '1' } else { '0' }).collect())
    });
    // Of conditions that no row fulfils, those that SQLite tests take all rows out.
    let count = |conditions: usize| {
        let conditions = (1..=conditions).map(|n| format!("a > {}", n + 100)).collect::<Vec<_>>();
        one::<i64>(&conn, &format!("SELECT count(*) FROM t WHERE {}", conditions.join(" AND ")))
    };
    assert_eq!((count(16), log.questions.lock().unwrap().last().unwrap().as_str()), (10, "1111111111111111"));
    assert_eq!((count(18), log.questions.lock().unwrap().last().unwrap().as_str()), (0, "111111111111111100"));
}

#[test]
fn an_offset_that_is_passed_is_the_tables_alone() {
    for has_omitted in [false, true] {
        let (conn, _) = asked(move |query| {
            for constraint in query.constraints().collect::<Vec<_>>() {
                match constraint.operator() {
                    ConstraintOperator::Offset if has_omitted => query.omit(constraint)?,
                    _ => query.pass(constraint)?,
                };
            }
            Ok(String::new())
        });
        // The table leaves out none, so that SQLite can be seen to leave out none.
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t LIMIT 3 OFFSET 2", ()).unwrap(), [0, 1, 2]);
    }
    let (conn, _) = asked(|_| Ok(String::new()));
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t LIMIT 3 OFFSET 2", ()).unwrap(), [2, 3, 4]);
}

#[test]
fn rowids_are_used_where_no_sql_names_them() {
    let (conn, _) = asked(|query| {
        // Each term of OR is a way to read the table.
        if let Some(constraint) = query.constraints().find(|it| it.is_usable() && it.column() == Some(0)) {
            query.pass(constraint)?;
            query.set_cost(1.0);
            query.set_rows(1);
        } else if let Some(constraint) = query.constraints().find(|it| it.is_usable() && it.column() == Some(1)) {
            query.pass(constraint)?;
            query.set_cost(1.0);
            query.set_rows(1);
        }
        Ok(String::new())
    });
    // Row 3 is found by both terms, and returned once.
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a = 3 OR b = '3' OR b = '4'", ()).unwrap(), [3, 4]);
    let sql = "SELECT t.a FROM (SELECT 3 AS n) x RIGHT JOIN t ON t.a = x.n WHERE t.a < 5";
    assert_eq!(conn.query_all::<i64>(sql, ()).unwrap().len(), 5);
}
