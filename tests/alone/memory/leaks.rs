//! The control of everything that says "nothing is left".

use finalite::extend::{CallbackError, RtreeMatch, TokenizeRequest, Tokenizer, Tokens, Within, WrappedTokenizer};
use finalite::{Connection, LeakCheck, memory};

use super::native::Block;
use super::nothing_is_left_by;
use super::{Moved, moved_since, nothing_left_by};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    a_leak_of_the_c_library_is_shown,
    search_leaves_nothing,
];

fn a_leak_of_the_c_library_is_shown() {
    let check = LeakCheck::new();
    let before = memory::stats();
    let conn = Connection::open_in_memory().unwrap();
    let leaked = Block::new(12_345).unwrap();
    drop(conn);
    let moved = moved_since(&before);
    assert_eq!((moved.bytes, moved.blocks), (12_345, 1));
    let now = memory::stats();
    assert_eq!(now.unattributed_bytes - before.unattributed_bytes, 12_345);
    assert_eq!(now.unattributed_blocks - before.unattributed_blocks, 1);

    let report = check.finish();
    assert!(!report.is_clean());
    let text = report.to_string();
    for line in [
        format!("native bytes: {} before, {} after", before.bytes, before.bytes + 12_345),
        format!("native blocks: {} before, {} after", before.blocks, before.blocks + 1),
    ] {
        assert!(text.contains(&line), "{line:?} is not in {text:?}");
    }
    assert_eq!(text.lines().count(), 3, "and nothing else: {text}");

    // This binary's own check sees it too, and so does one that is dropped.
    let mut second = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        nothing_left_by("the control", || second = Block::new(1));
    }));
    assert!(caught.is_err());
    let mut third = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _check = LeakCheck::new();
        third = Block::new(1);
    }));
    assert!(caught.is_err());

    drop((leaked, second, third));
    let moved = moved_since(&before);
    assert_eq!(Moved { bytes: moved.bytes, blocks: moved.blocks, ..Moved::default() }, Moved::default());
    let check = LeakCheck::new();
    drop(Block::new(12_345));
    let report = check.finish();
    assert!(report.is_clean(), "{report}");
}

/// A tokenizer that fails for one text.
struct Failing(WrappedTokenizer);

impl Tokenizer for Failing {
    fn tokenize(&mut self, request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
        for token in tokens.of_wrapped(&self.0, request.text)?.iter() {
            tokens.push(token.bytes, token.range)?;
        }
        if request.text == "bad" { Err("bad".into()) } else { Ok(()) }
    }
}

/// Tokenizers, auxiliary functions and queries of R-trees: in use, failing, replaced, forgotten.
fn search_leaves_nothing() {
    for is_forgotten in [false, true] {
        let check = LeakCheck::new();
        let conn = Connection::open_in_memory().unwrap();
        for _ in 0..3 {
            conn.create_tokenizer("failing", |setup| {
                let wrapped = Failing(setup.wrap("porter", &[])?);
                if setup.arguments().is_empty() { Ok(wrapped) } else { Err("not this".into()) }
            })
            .unwrap();
            conn.create_fts_function("kept", |fts| {
                let kept = fts.auxiliary(|| Ok(fts.tokenize("one two")?.len()))?;
                fts.query_phrase(0, |row| Ok(row.column_text(0)?.is_some()))?;
                Ok(*kept as i64)
            })
            .unwrap();
            conn.create_rtree_query("kept_by", |query| {
                let kept = query.state(|| Ok(vec![0_u8; 100]))?;
                Ok(RtreeMatch::new(Within::Partly, kept.len() as f64))
            })
            .unwrap();
        }
        conn.execute("CREATE VIRTUAL TABLE x USING fts5(a, tokenize = 'failing no')", ()).unwrap_err();
        conn.execute_batch(
            "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'failing'); INSERT INTO t VALUES ('one two'), ('two');
             CREATE VIRTUAL TABLE u USING fts5(a, tokenize = 'failing'); DROP TABLE u;
             CREATE VIRTUAL TABLE tree USING rtree(id, low, high); INSERT INTO tree VALUES (1, 0, 1), (2, 3, 4)",
        )
        .unwrap();
        conn.execute("INSERT INTO t VALUES ('bad')", ()).unwrap_err();
        for sql in ["SELECT kept(t) FROM t WHERE t MATCH 'two'", "SELECT id FROM tree WHERE id MATCH kept_by()"] {
            assert_eq!(conn.query_all::<i64>(sql, ()).unwrap().len(), 2);
            let mut statement = conn.prepare(sql).unwrap();
            let mut rows = statement.query(()).unwrap();
            assert!(rows.next().unwrap().is_some());
            if is_forgotten {
                std::mem::forget(rows);
                std::mem::forget(statement);
            }
        }
        conn.close().unwrap();
        let report = check.finish();
        assert!(report.is_clean() || is_forgotten, "{report}");
    }
}
