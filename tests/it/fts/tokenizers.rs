//! Tokenizers.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use finalite::extend::{TokenizeReason, WrappedTokenizer};
use finalite::{Connection, Error, ErrorKind, ResultCode};

use super::{Counted, count, of, open, open_each, panic_of, words};

fn found(conn: &Connection, query: &str) -> Vec<i64> {
    conn.query_all("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rowid", (query,)).unwrap()
}

/// The error of the program within that of a tokenizer.
fn cause(error: &Error) -> String {
    let ErrorKind::Tokenizer { code, tokenizer, error: inner, .. } = error.kind() else {
        panic!("another kind: {error:?}");
    };
    assert_eq!(*code, ResultCode::ERROR);
    assert!(!tokenizer.is_empty());
    assert_eq!(error.source().map(ToString::to_string), Some(inner.to_string()));
    inner.to_string()
}

#[test]
fn a_tokenizer_makes_the_tokens_of_documents_and_queries() {
    for conn in open_each() {
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reasons);
        conn.create_tokenizer("Words", move |setup| {
            assert_eq!(setup.arguments(), ["one", "two words", "ü"]);
            let shown = format!("{setup:?}");
            assert!(shown.starts_with("TokenizerSetup") && shown.contains("\"two words\""), "{shown}");
            let seen = Arc::clone(&seen);
            Ok(of(move |request, tokens| {
                seen.lock().unwrap().push(request.reason);
                words(request, tokens)
            }))
        })
        .unwrap();
        conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = \"words one 'two words' ü\")").unwrap();
        conn.execute("INSERT INTO t VALUES ('Größe zählt'), ('zählt nicht'), (NULL), ('')", ()).unwrap();
        assert_eq!(found(&conn, "größe"), [1]);
        assert_eq!(found(&conn, "ZÄHLT"), [1, 2]);
        assert_eq!(found(&conn, "nich*"), [2]);
        let sql = "SELECT highlight(t, 0, '<', '>') FROM t WHERE t MATCH 'zählt' ORDER BY rowid";
        assert_eq!(conn.query_all::<String>(sql, ()).unwrap(), ["Größe <zählt>", "<zählt> nicht"]);
        conn.execute("DELETE FROM t WHERE rowid = 1", ()).unwrap();
        conn.execute_batch("INSERT INTO t(t) VALUES ('integrity-check')").unwrap();
        let reasons = reasons.lock().unwrap();
        for reason in [
            TokenizeReason::Document,
            TokenizeReason::Query { prefix: false },
            TokenizeReason::Query { prefix: true },
            TokenizeReason::Auxiliary,
        ] {
            assert!(reasons.contains(&reason), "{reason:?}: {reasons:?}");
        }
    }
}

#[test]
fn synonyms_are_at_one_position() {
    let conn = open();
    conn.create_tokenizer("synonyms", |_| {
        Ok(of(|request, tokens| {
            let mut at = 0;
            for word in request.text.split(' ') {
                let range = at..at + word.len();
                tokens.push(word, range.clone())?;
                if request.reason == TokenizeReason::Document && word == "first" {
                    tokens.push_colocated("1st", range)?;
                }
                at += word.len() + 1;
            }
            Ok(())
        }))
    })
    .unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'synonyms');
         INSERT INTO t VALUES ('won first place'), ('won second place')",
    )
    .unwrap();
    assert_eq!(found(&conn, "\"1st place\""), [1]);
    assert_eq!(found(&conn, "\"first place\""), [1]);
    assert_eq!(found(&conn, "\"first 1st\""), [0_i64; 0]);
}

#[test]
fn a_tokenizer_wraps_those_of_fts5_and_of_the_program() {
    for conn in open_each() {
        let copy = |wrapped: WrappedTokenizer| {
            of(move |request, tokens| {
                for token in tokens.of_wrapped(&wrapped, request.text)?.iter() {
                    match token.is_colocated {
                        true => tokens.push_colocated(token.bytes, token.range)?,
                        false => tokens.push(token.bytes, token.range)?,
                    }
                }
                Ok(())
            })
        };
        conn.create_tokenizer("copy", move |setup| {
            let arguments = setup.arguments().to_vec();
            Ok(copy(setup.wrap(arguments[0], &arguments[1..])?))
        })
        .unwrap();
        let texts = ["Größe RUNNING", "groesse run x", "größe 'Ångström'", "", "a\0b"];
        for (own, other) in [
            ("copy unicode61", "unicode61"),
            ("copy unicode61 remove_diacritics 0", "unicode61 remove_diacritics 0"),
            ("copy porter unicode61", "porter unicode61"),
            ("copy ascii", "ascii"),
            ("copy trigram", "trigram"),
            ("copy copy copy porter", "porter"),
        ] {
            conn.execute_batch(&format!(
                "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = '{own}');
                 CREATE VIRTUAL TABLE u USING fts5(a, tokenize = '{other}');
                 CREATE VIRTUAL TABLE tv USING fts5vocab(t, instance);
                 CREATE VIRTUAL TABLE uv USING fts5vocab(u, instance);"
            ))
            .unwrap();
            for table in ["t", "u"] {
                let sql = format!("INSERT INTO {table} VALUES (?)");
                conn.prepare(&sql).unwrap().execute_many(texts.map(|text| (text,))).unwrap();
            }
            type Rows = Vec<(String, i64, i64)>;
            let list = |table| -> Rows {
                conn.query_all(&format!("SELECT term, doc, \"offset\" FROM {table} ORDER BY 1, 2, 3"), ()).unwrap()
            };
            assert_eq!(list("tv"), list("uv"), "{own}");
            assert!(!list("tv").is_empty());
            conn.execute_batch("DROP TABLE tv; DROP TABLE uv; DROP TABLE t; DROP TABLE u").unwrap();
        }
    }
}

#[test]
fn what_is_wrapped_must_exist_and_end() {
    let conn = open();
    let error = |name: &str| {
        let sql = format!("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = '{name}')");
        cause(&conn.execute(&sql, ()).unwrap_err())
    };
    conn.create_tokenizer("lost", |setup| {
        setup.wrap("nowhere", &[])?;
        Ok(of(words))
    })
    .unwrap();
    assert_eq!(error("lost"), "no such tokenizer: nowhere");
    conn.create_tokenizer("nul", |setup| {
        setup.wrap("ascii", &["a\0b"])?;
        Ok(of(words))
    })
    .unwrap();
    assert!(error("nul").contains("NUL"));
    // A name that is replaced while it is the one to find is found as itself, without end.
    conn.create_tokenizer("porter", |setup| {
        setup.wrap("porter", &[])?;
        Ok(of(words))
    })
    .unwrap();
    assert!(error("porter").contains("the tokenizer wraps itself"));
    // The built-in one refuses its arguments.
    conn.create_tokenizer("refused", |setup| {
        setup.wrap("unicode61", &["nonsense", "1"])?;
        Ok(of(words))
    })
    .unwrap();
    assert!(!error("refused").is_empty());
    // A handle of one tokenizer is no handle of another.
    let stolen = Arc::new(Mutex::new(None));
    let place = Arc::clone(&stolen);
    conn.create_tokenizer("thief", move |setup| {
        let mut place = place.lock().unwrap();
        match place.take() {
            None => {
                *place = Some(setup.wrap("ascii", &[])?);
                Ok(of(words))
            }
            Some(_) => Err("once".into()),
        }
    })
    .unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'thief')").unwrap();
    conn.create_tokenizer("user", move |_| {
        let wrapped = stolen.lock().unwrap().take().unwrap();
        Ok(of(move |request, tokens| tokens.of_wrapped(&wrapped, request.text).map(drop).map_err(Into::into)))
    })
    .unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE u USING fts5(a, tokenize = 'user')").unwrap();
    let error = conn.execute("INSERT INTO u VALUES ('a')", ()).unwrap_err();
    assert!(cause(&error).contains("belongs to another one"));
}

#[test]
fn errors_of_tokenizers_are_those_of_the_statement() {
    let conn = open();
    let fails = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    conn.create_tokenizer("failing", move |setup| {
        if setup.arguments() == ["never"] {
            return Err("not created".into());
        }
        let fails = Arc::clone(&flag);
        Ok(of(move |request, tokens| {
            if fails.load(Ordering::Relaxed) {
                return Err(std::io::Error::other("no dictionary").into());
            }
            words(request, tokens)
        }))
    })
    .unwrap();
    let error = conn.execute("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'failing never')", ()).unwrap_err();
    assert_eq!(cause(&error), "not created");
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'failing'); INSERT INTO t VALUES ('a b')")
        .unwrap();
    let mut query = conn.prepare("SELECT highlight(t, 0, '<', '>') FROM t WHERE t MATCH 'a'").unwrap();
    fails.store(true, Ordering::Relaxed);
    for sql in [
        "INSERT INTO t VALUES ('c')",
        "DELETE FROM t",
        "UPDATE t SET a = 'x'",
        "SELECT * FROM t WHERE t MATCH 'a'",
        "SELECT * FROM t('a b')",
        "INSERT INTO t(t) VALUES ('integrity-check')",
        "INSERT INTO t(t) VALUES ('rebuild')",
    ] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert_eq!(cause(&error), "no dictionary", "{sql}");
        assert!(error.to_string().contains("tokenizer failing: no dictionary"), "{error}");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
    fails.store(false, Ordering::Relaxed);
    // The tokenizer of a query that is running fails in `highlight`.
    let mut rows = query.query(()).unwrap();
    fails.store(true, Ordering::Relaxed);
    let failed = rows.next().map(drop);
    drop(rows);
    drop(query);
    assert!(failed.is_err());
    fails.store(false, Ordering::Relaxed);
    assert_eq!(found(&conn, "a AND b"), [1]);
    conn.execute_batch("INSERT INTO t(t) VALUES ('integrity-check')").unwrap();
}

/// Ranges go to `highlight` and `snippet`, which copy the text by them without checks.
#[test]
fn rule_27_ranges_and_tokens_are_checked() {
    let conn = open();
    let range = Arc::new(Mutex::new(Vec::new()));
    let ranges = Arc::clone(&range);
    conn.create_tokenizer("hostile", move |_| {
        let ranges = Arc::clone(&ranges);
        Ok(of(move |request, tokens| {
            if let TokenizeReason::Query { .. } = request.reason {
                return Ok(tokens.push("x", 0..0)?);
            }
            for (start, end, is_colocated) in ranges.lock().unwrap().iter().copied() {
                match is_colocated {
                    false => tokens.push("x", start..end)?,
                    true => tokens.push_colocated("y", start..end)?,
                }
            }
            Ok(())
        }))
    })
    .unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'hostile')").unwrap();
    const TEXT: &str = "äb cd";
    let run = |tokens: &[(usize, usize, bool)]| {
        *range.lock().unwrap() = tokens.to_vec();
        let result = conn.execute("INSERT INTO t(rowid, a) VALUES (1, ?)", (TEXT,));
        result.map_err(|error| cause(&error))
    };
    for (tokens, words) in [
        (&[(0, 7, false)][..], "not within the text"),
        (&[(usize::MAX, usize::MAX, false)], "not within the text"),
        (&[(0, usize::MAX, false)], "not within the text"),
        (&[(3, 2, false)], "not within the text"),
        (&[(1, 2, false)], "within a character"),
        (&[(0, 1, false)], "within a character"),
        (&[(0, 2, true)], "none before it"),
        (&[(2, 3, false), (0, 2, false)], "not in the order"),
        (&[(0, 6, false), (2, 3, false)], "not in the order"),
        (&[(2, 3, false), (0, 3, true)], "not in the order"),
    ] {
        let error = run(tokens).unwrap_err();
        assert!(error.contains(words), "{tokens:?}: {error}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    // Overlapping, empty and equal ones are taken, and a synonym may be shorter.
    for tokens in [
        &[(0, 0, false)][..],
        &[(6, 6, false)],
        &[(0, 2, false), (0, 2, false)],
        &[(0, 3, false), (2, 6, false)],
        &[(0, 6, false), (2, 3, true), (4, 6, true)],
    ] {
        run(tokens).unwrap();
        for sql in [
            "SELECT highlight(t, 0, '<', '>') FROM t WHERE t MATCH 'x'",
            "SELECT snippet(t, 0, '<', '>', '..', 3) FROM t WHERE t MATCH 'x'",
        ] {
            let shown: Vec<String> = conn.query_all(sql, ()).unwrap();
            assert!(shown[0].replace(['<', '>'], "") == TEXT, "{tokens:?}: {shown:?}");
        }
        conn.execute("DELETE FROM t", ()).unwrap();
    }
}

/// A token that FTS5 has refused, and errors that the tokenizer swallows.
#[test]
fn tokenizers_may_ignore_errors() {
    let conn = open();
    conn.create_tokenizer("careless", |_| {
        Ok(of(|request, tokens| {
            for at in 0..9 {
                let _ = tokens.push("x", at..at + 1);
                let _ = tokens.push("", 0..request.text.len() + 1);
            }
            let _ = tokens.push([b'y'; 100_000], request.text.len()..request.text.len());
            let _ = tokens.push("", request.text.len()..request.text.len());
            let _ = tokens.push("a\0b", request.text.len()..request.text.len());
            Ok(())
        }))
    })
    .unwrap();
    for options in
        ["", ", prefix = '1 2 3'", ", detail = none", ", detail = column", ", columnsize = 0", ", tokendata = 1"]
    {
        conn.execute_batch(&format!(
            "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'careless' {options}); INSERT INTO t VALUES ('ab')"
        ))
        .unwrap();
        let query = "SELECT highlight(t, 0, '<', '>'), bm25(t) FROM t WHERE t MATCH 'word'";
        // Without positions there are no phrases of several tokens, which is an error of SQLite's.
        let _ = conn.query_all::<(String, f64)>(query, ());
        conn.execute_batch("INSERT INTO t(t) VALUES ('integrity-check'); DELETE FROM t; DROP TABLE t").unwrap();
    }
}

#[test]
fn text_that_is_not_utf_8_is_an_error_unless_it_is_taken() {
    use finalite::extend::{CallbackError, TokenizeRequest, Tokenizer, Tokens};
    struct Bytes;
    impl Tokenizer for Bytes {
        fn tokenize(&mut self, request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
            words(request, tokens)
        }

        fn tokenize_bytes(
            &mut self,
            text: &[u8],
            _request: TokenizeRequest<'_>,
            tokens: &mut Tokens<'_>,
        ) -> Result<(), CallbackError> {
            assert!(tokens.push(text, 0..text.len() + 1).is_err());
            Ok(tokens.push("bytes", 1..text.len())?)
        }
    }
    let conn = open();
    conn.create_tokenizer("text", |_| Ok(of(words))).unwrap();
    conn.create_tokenizer("bytes", |_| Ok(Bytes)).unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE u USING fts5(a, tokenize = 'text'); CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'bytes')",
    )
    .unwrap();
    let insert = |table: &str| conn.execute(&format!("INSERT INTO {table} VALUES (CAST(x'ff8041' AS TEXT))"), ());
    assert!(cause(&insert("u").unwrap_err()).contains("not UTF-8"));
    insert("t").unwrap();
    assert_eq!(found(&conn, "bytes"), [1]);
}

#[test]
fn locales_reach_the_tokenizer() {
    let conn = open();
    if conn.query_one::<i64>("SELECT count(*) FROM pragma_function_list WHERE name = 'fts5_locale'", ()).unwrap() == 0 {
        return;
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    conn.create_tokenizer("local", move |setup| {
        let wrapped = setup.wrap("unicode61", &[])?;
        let list = Arc::clone(&list);
        Ok(of(move |request, tokens| {
            list.lock().unwrap().push(request.locale.map(str::to_owned));
            for token in tokens.of_wrapped(&wrapped, request.text)?.iter() {
                tokens.push(token.bytes, token.range)?;
            }
            Ok(())
        }))
    })
    .unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'local', locale = 1);
         INSERT INTO t VALUES (fts5_locale('de_DE', 'Haus')), ('house')",
    )
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some("de_DE".to_owned()), None]);
    assert_eq!(found(&conn, "haus"), [1]);
    conn.create_fts_function("locale_of", |fts| {
        assert_eq!(fts.tokenize_in("fr", "la maison")?.len(), 2);
        Ok(fts.column_locale(0)?)
    })
    .unwrap();
    let sql = "SELECT locale_of(t) FROM t WHERE t MATCH 'haus OR house' ORDER BY rowid";
    assert_eq!(conn.query_all::<Option<String>>(sql, ()).unwrap(), [Some("de_DE".to_owned()), None]);
    assert!(seen.lock().unwrap().contains(&Some("fr".to_owned())));
}

/// The n-th call of a method panics, for each n: FTS5 gets an error, and the call that entered C resumes.
#[test]
fn rule_5_panics_of_tokenizers_are_resumed_by_the_statement() {
    let calls = Arc::new(AtomicUsize::new(0));
    let limit = Arc::new(AtomicUsize::new(usize::MAX));
    let conn = open();
    let (counter, at) = (Arc::clone(&calls), Arc::clone(&limit));
    let call = move || {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        assert!(call != at.load(Ordering::Relaxed), "call {call}");
    };
    conn.create_tokenizer("panicking", move |setup| {
        call();
        let (wrapped, call) = (setup.wrap("porter", &[])?, call.clone());
        Ok(of(move |request, tokens| {
            call();
            let list = tokens.of_wrapped(&wrapped, request.text)?;
            call();
            for token in list.iter() {
                tokens.push(token.bytes, token.range)?;
                call();
            }
            Ok(())
        }))
    })
    .unwrap();
    let script = [
        "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'panicking')",
        "INSERT INTO t VALUES ('one two'), ('three')",
        "SELECT highlight(t, 0, '', '') FROM t WHERE t MATCH 'one OR three'",
        "UPDATE t SET a = 'four' WHERE rowid = 1",
        "DELETE FROM t",
        "DROP TABLE t",
    ];
    let run = || script.iter().for_each(|sql| _ = conn.execute(sql, ()).unwrap());
    run();
    let all = calls.load(Ordering::Relaxed);
    assert!(all > 10);
    for n in 0..all {
        calls.store(0, Ordering::Relaxed);
        limit.store(n, Ordering::Relaxed);
        assert_eq!(panic_of(run), format!("call {n}"));
        limit.store(usize::MAX, Ordering::Relaxed);
        conn.execute_batch("DROP TABLE IF EXISTS t").unwrap();
        run();
    }
    conn.close().unwrap();
}

#[test]
fn rule_27_tokenizers_are_dropped_once_in_every_order() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum End {
        Dropped,
        Closed,
        ClosedWithStatement,
        Replaced,
        FailedCreation,
        RolledBack,
    }
    for end in
        [End::Dropped, End::Closed, End::ClosedWithStatement, End::Replaced, End::FailedCreation, End::RolledBack]
    {
        let (instances, factories) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let made = Arc::new(AtomicUsize::new(0));
        let conn = open();
        let register = |conn: &Connection| {
            let (instances, made) = (Arc::clone(&instances), Arc::clone(&made));
            let factory = Counted(Arc::clone(&factories));
            conn.create_tokenizer("counted", move |setup| {
                let _ = &factory;
                setup.wrap("porter", &[])?;
                if setup.arguments() == ["fail"] {
                    return Err("on purpose".into());
                }
                made.fetch_add(1, Ordering::Relaxed);
                let instance = Counted(Arc::clone(&instances));
                Ok(of(move |request, tokens| {
                    let _ = &instance;
                    words(request, tokens)
                }))
            })
            .unwrap();
        };
        register(&conn);
        let create = "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'counted'); INSERT INTO t VALUES ('a')";
        match end {
            End::FailedCreation => {
                let sql = "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'counted fail')";
                conn.execute(sql, ()).unwrap_err();
            }
            End::RolledBack => conn.execute_batch(&format!("BEGIN; {create}; ROLLBACK")).unwrap(),
            _ => conn.execute_batch(create).unwrap(),
        }
        match end {
            End::Dropped => {
                conn.execute_batch("DROP TABLE t; SELECT 1").unwrap();
                assert_eq!((count(&made), count(&instances)), (1, 1), "{end:?}");
            }
            End::ClosedWithStatement => {
                let mut statement = conn.prepare("SELECT * FROM t WHERE t MATCH 'a'").unwrap();
                let mut rows = statement.query(()).unwrap();
                assert!(rows.next().unwrap().is_some());
                std::mem::forget(rows);
                std::mem::forget(statement);
            }
            End::Replaced => {
                register(&conn);
                assert_eq!(count(&factories), 0);
                // The table in use keeps its tokenizer; a new one gets the new.
                conn.execute_batch(
                    "INSERT INTO t VALUES ('b'); CREATE VIRTUAL TABLE u USING fts5(a, tokenize = 'counted')",
                )
                .unwrap();
            }
            _ => {}
        }
        let factories_made = if end == End::Replaced { 2 } else { 1 };
        conn.close().unwrap();
        assert_eq!(count(&instances), count(&made), "{end:?}");
        assert_eq!(count(&factories), factories_made, "{end:?}");
    }
}

#[test]
fn a_tokenizer_that_is_replaced_stays_with_the_tables_that_use_it() {
    let conn = open();
    conn.create_tokenizer("case", |_| Ok(of(words))).unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'case'); INSERT INTO t VALUES ('Word')")
        .unwrap();
    conn.create_tokenizer("CASE", |_| Ok(of(|request, tokens| Ok(tokens.push(request.text, 0..request.text.len())?))))
        .unwrap();
    assert_eq!(found(&conn, "WORD"), [1]);
    conn.execute_batch(
        "DROP TABLE t; CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'case'); INSERT INTO t VALUES ('Word')",
    )
    .unwrap();
    assert_eq!(found(&conn, "word"), [0_i64; 0]);
    assert_eq!(found(&conn, "Word"), [1]);
}

#[test]
fn registrations_that_cannot_be_are_typed_errors() {
    let conn = open();
    for name in ["", "a\0b"] {
        let error = conn.create_tokenizer(name, |_| Ok(of(words))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        let error = conn.create_fts_function(name, |_| Ok(1)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }
    // A function of the program receives no pointer.
    conn.create_scalar_function("fts5", |pointer: Option<i64>| pointer.is_none()).unwrap();
    let error = conn.create_tokenizer("words", |_| Ok(of(words))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
    // Nor is anything registered within a callback, whatever way leads to the connection.
    thread_local! {
        static CONNECTION: RefCell<Weak<Connection>> = const { RefCell::new(Weak::new()) };
    }
    let conn = Rc::new(open());
    CONNECTION.set(Rc::downgrade(&conn));
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t VALUES ('a')").unwrap();
    conn.create_fts_function("register", |_| {
        let conn = CONNECTION.with_borrow(Weak::upgrade).unwrap();
        for result in [
            conn.create_tokenizer("words", |_| Ok(of(words))),
            conn.create_fts_function("other", |_| Ok(1)),
            conn.create_rtree_geometry("other", |_, _| Ok(true)).map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        }
        Ok(1)
    })
    .unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT register(t) FROM t WHERE t MATCH 'a'", ()).unwrap(), 1);
    // A table whose tokenizer this connection lacks is an error of SQLite's.
    let error = open().execute("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'words')", ()).unwrap_err();
    assert!(error.to_string().contains("no such tokenizer: words"), "{error}");
}

#[test]
fn each_connection_registers_what_its_tables_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.db");
    let open = || Connection::open(&path).unwrap();
    let conn = open();
    conn.create_tokenizer("words", |_| Ok(of(words))).unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'words'); INSERT INTO t VALUES ('One two')")
        .unwrap();
    conn.close().unwrap();
    let conn = open();
    let error = conn.query_all::<i64>("SELECT rowid FROM t WHERE t MATCH 'one'", ()).unwrap_err();
    assert!(error.to_string().contains("no such tokenizer"), "{error}");
    // It is known from then on, also to a table that has failed.
    conn.create_tokenizer("words", |_| Ok(of(words))).unwrap();
    assert_eq!(found(&conn, "one"), [1]);
    conn.execute("INSERT INTO t VALUES ('three')", ()).unwrap();
    conn.close().unwrap();
    let conn = open();
    conn.create_tokenizer("words", |_| Ok(of(words))).unwrap();
    assert_eq!(found(&conn, "three"), [2]);
}

/// An error that is kept, and that SQLite does not pass on, is not that of another statement.
#[test]
fn a_kept_error_is_that_of_its_statement() {
    let conn = open();
    conn.create_tokenizer("picky", |_| {
        Ok(of(|request, tokens| if request.text == "bad" { Err("bad text".into()) } else { words(request, tokens) }))
    })
    .unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'picky'); INSERT INTO t VALUES ('good')")
        .unwrap();
    let error = conn.execute("INSERT INTO t VALUES ('bad')", ()).unwrap_err();
    assert_eq!(cause(&error), "bad text");
    let error = conn.execute("SELECT nowhere FROM t", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sqlite { .. }), "{error:?}");
    let error = conn.execute("INSERT INTO t(t) VALUES ('nonsense')", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sqlite { code, .. } if *code == ResultCode::ERROR), "{error:?}");
    // The second of two errors, where the first was dealt with.
    conn.create_fts_function("twice", |fts| {
        let first = fts.tokenize("bad").unwrap_err();
        assert!(first.to_string().contains("bad text"));
        Ok(fts.phrase_size(7)? as i64)
    })
    .unwrap();
    let error = conn.query_all::<i64>("SELECT twice(t) FROM t WHERE t MATCH 'good'", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Function { .. }) && error.to_string().contains("no phrase"), "{error:?}");
}
