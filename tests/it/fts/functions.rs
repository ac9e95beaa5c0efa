//! Auxiliary functions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use finalite::extend::virtual_table::Series;
use finalite::extend::{CallbackError, FtsContext, FtsRow};
use finalite::{Connection, Error, ErrorKind, Value, array};

use super::{Counted, count, of, open, open_each, panic_of, words};
use crate::common::random::Random;

/// `count` rows of three columns of few words, as table `t` with these options.
fn fill(conn: &Connection, options: &str, rows: usize) {
    conn.execute_batch(&format!("CREATE VIRTUAL TABLE t USING fts5(a, b, c UNINDEXED{options})")).unwrap();
    let mut random = Random::new(7, 0);
    let mut text = || -> String {
        let words = ["one", "two", "three", "four", "fünf", "sechs"];
        let len = random.below(8);
        (0..len).map(|_| random.pick(&words)).collect::<Vec<_>>().join(" ")
    };
    for rowid in 0..rows {
        conn.execute("INSERT INTO t(rowid, a, b, c) VALUES (?, ?, ?, 'c')", (rowid as i64, text(), text())).unwrap();
    }
}

const QUERIES: [&str; 8] = [
    "one",
    "one two",
    "\"one two\"",
    "one OR fünf",
    "a : one OR b : two",
    "\"one two\" OR three NOT four",
    "thr* OR NEAR(one two, 2)",
    "(one AND two) OR (one AND three)",
];

/// `bm25`, as SQLite's source describes it.
fn bm25(fts: &FtsContext<'_>) -> Result<f64, CallbackError> {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    struct Data {
        average: f64,
        weights: Vec<f64>,
    }
    let data = fts.auxiliary(|| {
        let rows = fts.row_count()? as f64;
        let average = fts.column_total_size(None)? as f64 / rows;
        let mut weights = Vec::new();
        for phrase in 0..fts.phrase_count()? {
            let mut hits = 0.0;
            fts.query_phrase(phrase, |_| {
                hits += 1.0;
                Ok(true)
            })?;
            let weight = ((rows - hits + 0.5) / (hits + 0.5)).ln();
            weights.push(if weight <= 0.0 { 1e-6 } else { weight });
        }
        Ok(Data { average, weights })
    })?;
    let mut frequencies = vec![0.0; data.weights.len()];
    for instance in fts.instances()? {
        let weight = if fts.argument_count() > instance.column { fts.get::<f64>(instance.column)? } else { 1.0 };
        frequencies[instance.phrase] += weight;
    }
    let size = fts.column_size(None)?.unwrap_or(0) as f64;
    let score: f64 = data
        .weights
        .iter()
        .zip(frequencies)
        .map(|(weight, n)| weight * ((n * (K1 + 1.0)) / (n + K1 * (1.0 - B + B * size / data.average))))
        .sum();
    Ok(-score)
}

/// `highlight`, of a column.
fn highlight(fts: &FtsContext<'_>) -> Result<String, CallbackError> {
    let (column, open, close): (usize, &str, &str) = (fts.get(0)?, fts.get(1)?, fts.get(2)?);
    let text = fts.column_text(column)?.unwrap_or_default();
    let tokens = fts.tokenize(text)?;
    let ranges: Vec<_> = tokens.iter().filter(|token| !token.is_colocated).map(|token| token.range).collect();
    let mut marks: Vec<(usize, usize)> = Vec::new();
    for instance in fts.instances()?.into_iter().filter(|instance| instance.column == column) {
        let (first, last) = (instance.offset, instance.offset + fts.phrase_size(instance.phrase)? - 1);
        match marks.last_mut() {
            Some((_, end)) if first <= *end => *end = (*end).max(last),
            _ => marks.push((first, last)),
        }
    }
    let (mut shown, mut at) = (String::new(), 0);
    for (first, last) in marks {
        let (start, end) = (ranges[first].start, ranges[last].end);
        shown += &format!("{}{open}{}{close}", &text[at..start], &text[start..end]);
        at = end;
    }
    Ok(shown + &text[at..])
}

#[test]
fn functions_compute_what_the_built_in_ones_do() {
    for conn in open_each() {
        for options in ["", ", tokenize = 'porter'", ", prefix = '2'", ", columnsize = 0"] {
            fill(&conn, options, 200);
            conn.create_fts_function("own_bm25", bm25).unwrap();
            conn.create_fts_function("own_highlight", highlight).unwrap();
            for query in QUERIES {
                let sql =
                    "SELECT bm25(t), own_bm25(t), bm25(t, 10, 0.5), own_bm25(t, 10.0, 0.5) FROM t WHERE t MATCH ?";
                let scores: Vec<(f64, f64, f64, f64)> = conn.query_all(sql, (query,)).unwrap();
                assert!(!scores.is_empty());
                for (built_in, own, weighted, own_weighted) in scores {
                    assert!((built_in - own).abs() < 1e-9, "{query}: {built_in} {own}");
                    assert!((weighted - own_weighted).abs() < 1e-9, "{query}: {weighted} {own_weighted}");
                }
                let sql = "SELECT highlight(t, 0, '<', '>'), own_highlight(t, 0, '<', '>'), highlight(t, 1, '[', ']'), \
                           own_highlight(t, 1, '[', ']') FROM t WHERE t MATCH ?";
                for (a, own_a, b, own_b) in conn.query_all::<(String, String, String, String)>(sql, (query,)).unwrap() {
                    assert_eq!((a, b), (own_a, own_b), "{query}");
                }
                // A function can be the rank. Where C computes with 80 bits (i686), equal ranks differ in the last.
                let order = if cfg!(target_arch = "x86") { "round(rank, 9)" } else { "rank" };
                let by = |rank: &str| -> Vec<i64> {
                    let sql =
                        format!("SELECT rowid FROM t WHERE t MATCH ? AND rank MATCH '{rank}' ORDER BY {order}, rowid");
                    conn.query_all(&sql, (query,)).unwrap()
                };
                assert_eq!(by("bm25(2.0)"), by("own_bm25(2.0)"), "{query}");
            }
            conn.execute_batch("DROP TABLE t").unwrap();
        }
    }
}

/// What a row says in each form agrees.
#[test]
fn phrases_and_instances_agree_in_each_detail() {
    let conn = open();
    conn.create_fts_function("consistent", |fts| {
        let instances = fts.instances()?;
        assert_eq!(instances.len(), fts.instance_count()?);
        let mut of_phrases = Vec::new();
        for phrase in 0..fts.phrase_count()? {
            let positions = fts.phrase_positions(phrase)?;
            let mut columns: Vec<usize> = positions.iter().map(|position| position.column).collect();
            columns.dedup();
            assert_eq!(fts.phrase_columns(phrase)?, columns);
            of_phrases.extend(positions.iter().map(|position| (position.column, position.offset, phrase)));
            for token in 0..fts.phrase_size(phrase)? {
                assert!(!fts.phrase_token(phrase, token)?.is_empty());
            }
        }
        of_phrases.sort_unstable();
        let mut all: Vec<_> = instances.iter().map(|at| (at.column, at.offset, at.phrase)).collect();
        all.sort_unstable();
        assert_eq!(all, of_phrases);
        for (index, at) in instances.iter().enumerate() {
            let text = fts.column_text(at.column)?.unwrap_or_default();
            assert_eq!(Some(text.as_bytes()), fts.column_bytes(at.column)?);
            let words: Vec<&str> = text.split_whitespace().collect();
            for token in 0..fts.phrase_size(at.phrase)? {
                // The token of a prefix is the whole word.
                assert_eq!(&*fts.instance_token(index, token)?, words[at.offset + token].replace('ü', "u").as_bytes());
            }
            assert_eq!(fts.column_size(at.column)?, Some(words.len()));
        }
        assert_eq!((fts.column_count()?, fts.row_count()?), (3, 60));
        let sizes = [fts.column_size(0)?, fts.column_size(1)?, fts.column_size(2)?].map(Option::unwrap);
        assert_eq!(fts.column_size(None)?, Some(sizes.iter().sum()));
        assert_eq!(sizes[2], 0);
        Ok(fts.reply(fts.column_text(0)?))
    })
    .unwrap();
    for options in ["", ", detail = column", ", detail = none", ", prefix = '1 2', columnsize = 0"] {
        fill(&conn, options, 60);
        for query in QUERIES {
            let positions = options.contains("detail");
            // Without positions FTS5 refuses phrases, and without columns column filters.
            if positions && (query.contains('"') || query.contains("NEAR") || query.contains(':')) {
                continue;
            }
            for order in ["rowid", "rank", "a"] {
                let sql = format!("SELECT consistent(t), a FROM t WHERE t MATCH ? ORDER BY {order}");
                for (own, a) in conn.query_all::<(String, String)>(&sql, (query,)).unwrap() {
                    assert_eq!(own, a, "{query} {options}");
                }
            }
        }
        conn.execute_batch("DROP TABLE t").unwrap();
    }
}

/// Indexes that FTS5 checks by assertions alone, or that it takes for those of a query where there is none.
#[test]
fn rule_27_indexes_out_of_range_are_typed_errors() {
    let conn = open();
    conn.create_fts_function("hostile", |fts| {
        let misuse = |result: Result<(), Error>, text: &str| {
            let error = result.expect_err(text);
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{text}: {error}");
        };
        let (columns, phrases, instances) = (fts.column_count()?, fts.phrase_count()?, fts.instance_count()?);
        for beyond in [0, 1, usize::MAX / 2, u32::MAX as usize, i32::MAX as usize] {
            let (column, phrase, instance) =
                (columns.saturating_add(beyond), phrases.saturating_add(beyond), instances.saturating_add(beyond));
            misuse(fts.column_text(column).map(drop), "text");
            misuse(fts.column_size(column).map(drop), "size");
            misuse(fts.column_total_size(column).map(drop), "total");
            match fts.column_locale(column) {
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) => {}
                result => misuse(result.map(drop), "locale"),
            }
            misuse(fts.phrase_size(phrase).map(drop), "phrase");
            misuse(fts.phrase_positions(phrase).map(drop), "positions");
            misuse(fts.phrase_columns(phrase).map(drop), "columns");
            misuse(fts.phrase_token(phrase, 0).map(drop), "token");
            misuse(fts.instance(instance).map(drop), "instance");
            misuse(fts.instance_token(instance, 0).map(drop), "instance token");
            let error = fts.query_phrase(phrase, |_| Ok(true)).unwrap_err().downcast::<Error>().unwrap();
            misuse(Err(*error), "query");
            if phrases > 0 {
                misuse(fts.phrase_token(0, fts.phrase_size(0)?.saturating_add(beyond)).map(drop), "token of a phrase");
            }
            if instances > 0 {
                misuse(fts.instance_token(0, 9 + beyond / 2).map(drop), "token of an instance");
            }
        }
        Ok(phrases as i64)
    })
    .unwrap();
    for options in ["", ", detail = none", ", content = ''"] {
        fill(&conn, options, 20);
        // Without a query there are no phrases.
        let counts: Vec<i64> = conn.query_all("SELECT hostile(t) FROM t", ()).unwrap();
        assert_eq!(counts, vec![0; 20]);
        for (query, phrases) in [("one OR two", 2), ("one", 1)] {
            let counts: Vec<i64> = conn.query_all("SELECT hostile(t) FROM t WHERE t MATCH ?", (query,)).unwrap();
            assert!(!counts.is_empty() && counts.iter().all(|&count| count == phrases));
        }
        conn.execute_batch("DROP TABLE t").unwrap();
    }
    fill(&conn, "", 3);
    // Where there is no row of a query, SQLite does not call the function.
    for sql in [
        "SELECT hostile(1)",
        "SELECT hostile()",
        "SELECT hostile(t) FROM (SELECT 99 AS t)",
        "SELECT hostile(t) FROM t WHERE t MATCH '*reads'",
    ] {
        assert!(conn.query_all::<i64>(sql, ()).is_err(), "{sql}");
    }
    let nested = "SELECT hostile((SELECT t FROM t LIMIT 1)) FROM t";
    assert!(conn.query_all::<i64>(nested, ()).is_err());
}

#[test]
fn contentless_tables_have_no_text() {
    let conn = open();
    conn.create_fts_function("shown", |fts| {
        assert_eq!((fts.column_text(0)?, fts.column_bytes(1)?), (None, None));
        Ok(fts.column_size(0)?.map(|size| size as i64))
    })
    .unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE t USING fts5(a, b, content = '');
         CREATE VIRTUAL TABLE u USING fts5(a, b, content = '', columnsize = 0);
         INSERT INTO t VALUES ('one two', NULL); INSERT INTO u(rowid, a) VALUES (1, 'one two')",
    )
    .unwrap();
    assert_eq!(conn.query_one::<Option<i64>>("SELECT shown(t) FROM t WHERE t MATCH 'one'", ()).unwrap(), Some(2));
    assert_eq!(conn.query_one::<Option<i64>>("SELECT shown(u) FROM u WHERE u MATCH 'one'", ()).unwrap(), None);
}

#[test]
fn cells_of_each_type_are_text() {
    for conn in open_each() {
        conn.create_fts_function("cell", |fts| {
            let bytes = fts.column_bytes(0)?.map(<[u8]>::to_vec);
            // The slices of a row stay while other cells are read.
            let first = fts.column_bytes(0)?;
            for column in [1, 0, 1] {
                fts.column_bytes(column)?;
            }
            assert_eq!(first.map(<[u8]>::to_vec), bytes);
            match fts.column_text(0) {
                Ok(text) => assert_eq!(text.map(str::as_bytes), bytes.as_deref()),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::External(_)), "{error}"),
            }
            Ok(bytes)
        })
        .unwrap();
        conn.execute_batch(
            "CREATE TABLE d(a, b); INSERT INTO d VALUES ('grüße', 1), (17, 2.5), (2.5, 'x'), (NULL, NULL), (x'00ff', x'');
             CREATE VIRTUAL TABLE t USING fts5(a, b, content = 'd')",
        )
        .unwrap();
        let sql = "SELECT cell(t) FROM t ORDER BY rowid";
        let cells: Vec<Option<Vec<u8>>> = conn.query_all(sql, ()).unwrap();
        assert_eq!(cells[..4], [Some("grüße".into()), Some(b"17".into()), Some(b"2.5".into()), None]);
    }
}

#[test]
fn errors_of_functions_are_those_of_the_statement() {
    let conn = open();
    fill(&conn, "", 20);
    conn.create_fts_function("failing", |fts| match fts.get::<i64>(0)? {
        0 => Err("on purpose".into()),
        1 => Ok(fts.phrase_size(99)? as i64),
        n => Ok(n),
    })
    .unwrap();
    // As a function and as a rank, in a statement of FTS5's own.
    for (sql, orders) in [
        ("SELECT failing(t, ?) FROM t WHERE t MATCH 'one'", false),
        ("SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'failing(' || ? || ')' ORDER BY rank", true),
    ] {
        for (n, words) in [(0, "on purpose"), (1, "no phrase of this index")] {
            let error = conn.query_all::<i64>(sql, (n,)).unwrap_err();
            let ErrorKind::Function { function, error: inner, .. } = error.kind() else {
                panic!("{sql} {n}: {error:?}")
            };
            assert_eq!(&**function, "failing");
            assert!(inner.to_string().contains(words), "{error}");
        }
        assert!(!conn.query_all::<i64>(sql, (5,)).unwrap().is_empty(), "{orders}");
    }
    // Errors that the reply itself makes.
    conn.create_fts_function("replying", |fts| Ok(fts.reply(array(&[1_i64])))).unwrap();
    for sql in [
        "SELECT replying(t) FROM t WHERE t MATCH 'one'",
        "SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'replying()' ORDER BY rank",
    ] {
        let error = conn.query_all::<i64>(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionResult { .. }), "{sql}: {error:?}");
    }
    let error = conn.query_all::<i64>("SELECT failing(t, 'x') FROM t WHERE t MATCH 'one'", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionArgument { argument: 1, .. }), "{error:?}");
    let error = conn.query_all::<i64>("SELECT failing(t) FROM t WHERE t MATCH 'one'", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Function { .. }), "{error:?}");
    // An error that the function has dealt with is none.
    conn.create_tokenizer("broken", |_| {
        Ok(of(|request, tokens| if request.text == "broken" { Err("broken".into()) } else { words(request, tokens) }))
    })
    .unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE u USING fts5(a, tokenize = 'broken'); INSERT INTO u VALUES ('one')")
        .unwrap();
    conn.create_fts_function("patient", |fts| {
        let error = fts.tokenize("broken").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tokenizer { .. }), "{error:?}");
        Ok(fts.tokenize("fine")?.len() as i64)
    })
    .unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT patient(u) FROM u WHERE u MATCH 'one'", ()).unwrap(), 1);
    conn.create_fts_function("hasty", |fts| Ok(fts.tokenize("broken")?.len() as i64)).unwrap();
    let error = conn.query_one::<i64>("SELECT hasty(u) FROM u WHERE u MATCH 'one'", ()).unwrap_err();
    assert!(error.to_string().contains("tokenizer broken: broken"), "{error}");
}

#[test]
fn a_phrase_is_queried_row_by_row() {
    let conn = open();
    fill(&conn, "", 100);
    let expected: Vec<i64> = conn.query_all("SELECT rowid FROM t WHERE t MATCH 'fünf' ORDER BY rowid", ()).unwrap();
    let rows = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&rows);
    conn.create_fts_function("visit", move |fts| {
        let limit = fts.get::<usize>(0)?;
        let mut found = Vec::new();
        fts.query_phrase(1, |row: &FtsRow<'_>| {
            assert!(row.column_text(0)?.is_some());
            assert_eq!(row.phrase_count()?, 1);
            assert!(!row.instances()?.is_empty() && !row.phrase_positions(0)?.is_empty());
            assert!(row.phrase_positions(1).is_err());
            // Another row stays that of the outer cursor.
            assert_eq!(fts.phrase_count()?, 2);
            found.push(row.rowid()?);
            Ok(found.len() < limit)
        })?;
        *seen.lock().unwrap() = found;
        Ok(0)
    })
    .unwrap();
    for limit in [1_i64, 3, 1000] {
        conn.query_all::<i64>("SELECT visit(t, ?) FROM t WHERE t MATCH 'one OR fünf'", (limit,)).unwrap();
        let wanted: Vec<i64> = expected.iter().copied().take(limit as usize).collect();
        assert_eq!(*rows.lock().unwrap(), wanted);
    }
    conn.create_fts_function("stop", |fts| {
        fts.query_phrase(0, |_| Err("stopped".into()))?;
        Ok(0)
    })
    .unwrap();
    let error = conn.query_all::<i64>("SELECT stop(t) FROM t WHERE t MATCH 'one'", ()).unwrap_err();
    assert!(error.to_string().contains("function stop: stopped"), "{error}");
}

#[test]
fn rule_27_auxiliary_data_is_dropped_once() {
    let (drops, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let conn = open();
    fill(&conn, "", 50);
    for name in ["kept", "other"] {
        let (drops, made) = (Arc::clone(&drops), Arc::clone(&made));
        conn.create_fts_function(name, move |fts| {
            let data = fts.auxiliary(|| {
                made.fetch_add(1, Ordering::Relaxed);
                Ok((Counted(Arc::clone(&drops)), AtomicUsize::new(0)))
            })?;
            if fts.argument_count() == 1 {
                // Data of another type counts as none, and takes its place.
                made.fetch_add(1, Ordering::Relaxed);
                let other = fts.auxiliary(|| Ok((Counted(Arc::clone(&drops)), fts.rowid()?)))?;
                assert_eq!(other.1, fts.rowid()?);
            }
            Ok(data.1.fetch_add(1, Ordering::Relaxed) as i64)
        })
        .unwrap();
    }
    let rows: Vec<(i64, i64)> =
        conn.query_all("SELECT kept(t), other(t) FROM t WHERE t MATCH 'one' ORDER BY rowid", ()).unwrap();
    assert!(rows.iter().enumerate().all(|(n, row)| *row == (n as i64, n as i64)));
    conn.query_one::<i64>("SELECT 1", ()).unwrap();
    assert_eq!((count(&made), count(&drops)), (2, 2));
    conn.query_all::<i64>("SELECT kept(t, 1) FROM t WHERE t MATCH 'one'", ()).unwrap();
    conn.query_one::<i64>("SELECT 1", ()).unwrap();
    assert_eq!(count(&made), count(&drops));
    // A query that is left, and one that is forgotten.
    let mut statement = conn.prepare("SELECT kept(t) FROM t WHERE t MATCH 'one'").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_eq!(count(&made), count(&drops) + 1);
    drop(rows);
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    conn.close().unwrap();
    assert_eq!(count(&made), count(&drops));
}

#[test]
fn closures_are_dropped_once_and_at_close() {
    let drops = Arc::new(AtomicUsize::new(0));
    let conn = open();
    fill(&conn, "", 20);
    let register = |result: i64| {
        let counted = Counted(Arc::clone(&drops));
        conn.create_fts_function("numbered", move |_| {
            let _ = &counted;
            Ok(result)
        })
        .unwrap();
    };
    register(1);
    let sql = "SELECT numbered(t) FROM t WHERE t MATCH 'one'";
    let mut statement = conn.prepare(sql).unwrap();
    let first = |statement: &mut finalite::Statement<'_>| -> i64 {
        let mut rows = statement.query(()).unwrap();
        let row = rows.next().unwrap().unwrap();
        row.get(0).unwrap()
    };
    assert_eq!(first(&mut statement), 1);
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    // While a statement runs, another one of the name.
    register(2);
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1);
    drop(rows);
    assert_eq!(first(&mut conn.prepare("SELECT numbered(t) FROM t WHERE t MATCH 'two'").unwrap()), 2);
    assert_eq!(count(&drops), 0);
    drop(statement);
    conn.close().unwrap();
    assert_eq!(count(&drops), 2);
}

/// The n-th use panics, for each n.
#[test]
fn rule_5_panics_of_functions_are_resumed_by_the_statement() {
    let (calls, limit) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let conn = open();
    let (counter, at) = (Arc::clone(&calls), Arc::clone(&limit));
    let call = move || {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        assert!(call != at.load(Ordering::Relaxed), "call {call}");
    };
    let of_tokenizer = call.clone();
    conn.create_tokenizer("panicking", move |_| {
        let call = of_tokenizer.clone();
        Ok(of(move |request, tokens| {
            call();
            words(request, tokens)
        }))
    })
    .unwrap();
    conn.create_fts_function("panicking", move |fts| {
        call();
        fts.auxiliary(|| {
            call();
            Ok(1)
        })?;
        fts.tokenize("one two")?;
        fts.query_phrase(0, |_| {
            call();
            Ok(true)
        })?;
        Ok(1)
    })
    .unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'panicking'); INSERT INTO t VALUES ('one two'), ('two one')",
    )
    .unwrap();
    calls.store(0, Ordering::Relaxed);
    let run = || {
        for sql in [
            "SELECT panicking(t) FROM t WHERE t MATCH 'one'",
            "SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'panicking()' ORDER BY rank",
        ] {
            conn.query_all::<i64>(sql, ()).unwrap();
        }
    };
    run();
    let all = calls.load(Ordering::Relaxed);
    assert!(all > 15);
    for n in 0..all {
        calls.store(0, Ordering::Relaxed);
        limit.store(n, Ordering::Relaxed);
        assert_eq!(panic_of(run), format!("call {n}"));
        limit.store(usize::MAX, Ordering::Relaxed);
        run();
    }
    conn.close().unwrap();
}

/// The table's tokenizer cannot run within itself: tokens are returned when it has ended.
#[test]
fn a_function_may_tokenize_and_query_while_it_looks_at_tokens() {
    let conn = open();
    fill(&conn, "", 50);
    conn.create_fts_function("nested", |fts| {
        let text = fts.column_text(0)?.unwrap_or_default();
        let mut inner = 0;
        for token in fts.tokenize(text)?.iter() {
            let word = token.as_str()?;
            let again = fts.tokenize(&word.repeat(500))?;
            inner += again.len();
            assert_eq!(text[token.range.clone()].replace('ü', "u"), word);
            fts.query_phrase(0, |row| {
                inner += row.tokenize(word)?.len();
                Ok(true)
            })?;
        }
        Ok(fts.reply(Value::Integer(inner as i64)))
    })
    .unwrap();
    let rows: Vec<i64> = conn.query_all("SELECT nested(t) FROM t WHERE t MATCH 'one'", ()).unwrap();
    assert!(rows.iter().sum::<i64>() > 0);
}

thread_local! {
    static HERE: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Another query of the table, while FTS5 sorts its rows by rank, would read the rows of that query, or address 0.
#[test]
fn rule_27_the_connection_is_shut_within_a_function() {
    let conn = Rc::new(open());
    fill(&conn, "", 20);
    HERE.set(Some(Rc::clone(&conn)));
    conn.create_fts_function("inside", |fts| {
        HERE.with_borrow(|here| {
            for sql in ["SELECT count(*) FROM t", "SELECT rowid FROM t WHERE t MATCH 'two'", "SELECT 1"] {
                let error = here.as_ref().unwrap().query_all::<i64>(sql, ()).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            }
        });
        fts.query_phrase(0, |row| Ok(row.rowid()? < 5))?;
        Ok(fts.rowid()?)
    })
    .unwrap();
    let expected: Vec<i64> = conn.query_all("SELECT rowid FROM t WHERE t MATCH 'one' ORDER BY rowid", ()).unwrap();
    for sql in [
        "SELECT inside(t) FROM t WHERE t MATCH 'one' ORDER BY rowid",
        "SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'inside()' ORDER BY rank",
    ] {
        assert_eq!(conn.query_all::<i64>(sql, ()).unwrap(), expected, "{sql}");
    }
    HERE.take();
}

/// The first argument is a number, and SQL may pass that of any cursor that is open.
#[test]
fn rule_27_a_function_may_run_on_the_cursor_of_another_statement() {
    let conn = open();
    fill(&conn, "", 30);
    conn.execute_batch(
        "CREATE TABLE d(a); INSERT INTO d VALUES (0); CREATE VIRTUAL TABLE n USING fts5(a, content = 'd')",
    )
    .unwrap();
    // SQL passes a column of `n`, which is the number of a cursor.
    let pass = |cursor: i64| conn.execute("UPDATE d SET a = ?", (cursor,)).unwrap();
    conn.create_fts_function("described", |fts| {
        let text = fts.column_text(0)?.unwrap_or_default();
        for phrase in 0..fts.phrase_count()? {
            fts.query_phrase(phrase, |row| Ok(row.column_text(0)?.is_some()))?;
            fts.phrase_positions(phrase)?;
            fts.phrase_columns(phrase)?;
        }
        let made = fts.auxiliary(|| Ok(fts.rowid()?))?;
        let (instances, tokens) = (fts.instances()?.len(), fts.tokenize(text)?.len());
        assert_eq!(fts.column_size(0)?, Some(tokens));
        Ok(format!("{} {} {made} {instances} {text}", fts.rowid()?, fts.column_count()?))
    })
    .unwrap();
    let mut statement =
        conn.prepare("SELECT t, described(t) FROM t WHERE t MATCH 'one OR two' ORDER BY rowid").unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        let (cursor, own): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        pass(cursor);
        for sql in ["SELECT described(a) FROM n", "SELECT described(a) FROM n ORDER BY rowid DESC"] {
            assert_eq!(conn.query_one::<String>(sql, ()).unwrap(), own, "{sql}");
        }
        seen += 1;
    }
    assert!(seen > 5);
    drop(rows);
    drop(statement);
    // Each cursor of a statement, also where its loop has not begun or has ended.
    let mut found = 0;
    for offset in 1..12 {
        for sql in [
            "SELECT described(n.a) FROM t JOIN n LEFT JOIN t AS u ON u.rowid = n.a AND u.a MATCH 'one' WHERE t.a MATCH 'one'",
            "SELECT described(n.a) FROM n, t WHERE t MATCH 'two' ORDER BY t.rank",
        ] {
            // The next cursors are those of the statement.
            pass(conn.query_one::<i64>("SELECT t FROM t LIMIT 1", ()).unwrap() + offset);
            match conn.query_all::<String>(sql, ()) {
                Ok(rows) => found += rows.len(),
                // Where a loop has ended there is no row, which FTS5 takes for a damaged table.
                Err(error) => {
                    let text = error.to_string();
                    assert!(["no such cursor", "malformed"].iter().any(|words| text.contains(words)), "{text}");
                }
            }
        }
    }
    assert!(found > 0);
}

/// FTS5's functions of SQL refer to what its module owns.
#[test]
fn rule_27_the_module_of_full_text_search_stays() {
    let conn = open();
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    };
    for name in ["fts5", "Fts5", "FTS5"] {
        refused(conn.remove_module(name));
        refused(conn.create_module::<Series>(name, ()));
        refused(conn.create_table_function(name, ["a"], |n: i64| (0..n).map(|n| (n,))));
    }
    for kept in [&["rtree", "fts5"][..], &["rtree"], &["FTS5"], &[]] {
        conn.retain_modules(kept).unwrap();
        let other = conn.execute("CREATE VIRTUAL TABLE temp.r USING rtree(id, low, high)", ());
        assert_eq!(other.is_ok(), kept.contains(&"rtree"));
        assert_eq!(
            conn.query_all::<String>("SELECT name FROM pragma_module_list WHERE name LIKE 'fts5'", ()).unwrap(),
            ["fts5"]
        );
        conn.create_fts_function("one", |_| Ok(1)).unwrap();
        conn.query_one::<String>("SELECT fts5_source_id()", ()).unwrap();
        if finalite::sqlite::version_number() >= 3_047_000 {
            conn.query_one::<Option<Vec<u8>>>("SELECT CAST(fts5_locale('en', 'x') AS BLOB)", ()).unwrap();
        }
        conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t VALUES ('x')").unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT one(t) FROM t WHERE t MATCH 'x'", ()).unwrap(), 1);
        conn.execute_batch("DROP TABLE t; DROP TABLE IF EXISTS r").unwrap();
    }
    conn.close().unwrap();
}

/// FTS5 refuses a query of a table while it reads the contents of that table, but only where the query is prepared.
#[test]
fn rule_27_contents_that_read_their_own_table_are_refused() {
    let conn = open();
    let options = finalite::extend::FunctionOptions::new().arguments(1);
    conn.create_scalar_function_with("counted", options, |call| {
        let sql = "SELECT count(*) FROM t WHERE t MATCH 'two'";
        Ok(format!("{} {}", call.get::<&str>(0)?, call.connection().query_one::<i64>(sql, ())?))
    })
    .unwrap();
    conn.execute_batch(
        "CREATE TABLE d(id INTEGER PRIMARY KEY, a); INSERT INTO d VALUES (1, 'one two'), (2, 'one'), (3, 'one two');
         CREATE VIEW v AS SELECT id, counted(a) AS a FROM d;
         CREATE VIRTUAL TABLE t USING fts5(a, content = 'v', content_rowid = 'id');
         INSERT INTO t(rowid, a) SELECT id, a FROM d",
    )
    .unwrap();
    let ranked = "SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'highlight(0, ''<'', ''>'')' ORDER BY rank";
    for _ in 0..3 {
        assert!(conn.query_all::<i64>(ranked, ()).is_err());
        assert!(conn.query_all::<String>("SELECT a FROM t WHERE t MATCH 'one'", ()).is_err());
        assert_eq!(conn.query_one::<String>("SELECT counted('x')", ()).unwrap(), "x 2");
    }
    assert_eq!(conn.query_all::<i64>("SELECT rowid FROM t WHERE t MATCH 'two' ORDER BY rank", ()).unwrap(), [1, 3]);
}

/// The statement of a callback was kept for a table, in whose place there is one of FTS5.
#[test]
fn rule_27_a_kept_statement_is_not_that_of_another_table() {
    let conn = open();
    let options = finalite::extend::FunctionOptions::new().arguments(1);
    conn.create_scalar_function_with("counted", options, |call| {
        let count: i64 = call.connection().query_one("SELECT count(*) FROM t", ())?;
        Ok(format!("{} {count}", call.get::<&str>(0)?))
    })
    .unwrap();
    conn.execute_batch(
        "CREATE TABLE d(id INTEGER PRIMARY KEY, a); INSERT INTO d VALUES (1, 'one two'), (2, 'one'), (3, 'one two');
         CREATE VIEW v AS SELECT id, counted(a) AS a FROM d; CREATE TABLE t(a)",
    )
    .unwrap();
    let counted = || conn.query_one::<String>("SELECT counted('x')", ()).unwrap();
    assert_eq!([counted(), counted()], ["x 0", "x 0"]);
    conn.execute_batch(
        "DROP TABLE t; CREATE VIRTUAL TABLE t USING fts5(a, content = 'v', content_rowid = 'id');
         INSERT INTO t(rowid, a) VALUES (1, 'one two'), (2, 'one')",
    )
    .unwrap();
    // The first prepares the kept statement anew.
    for _ in 0..3 {
        conn.query_one::<Option<String>>("SELECT counted('x')", ()).map(drop).unwrap_or_default();
        let ranked =
            "SELECT rowid FROM t WHERE t MATCH 'one' AND rank MATCH 'highlight(0, ''<'', ''>'')' ORDER BY rank";
        assert!(conn.query_all::<i64>(ranked, ()).is_err());
    }
}
