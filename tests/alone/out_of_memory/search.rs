//! Full-text search and R-trees: tokenizers, auxiliary functions and queries of the program.

use std::sync::Arc;

use finalite::extend::{CallbackError, RtreeMatch, TokenizeRequest, Tokenizer, Tokens, Within, WrappedTokenizer};
use finalite::{Connection, ErrorKind, OpenOptions, Result};

use super::Run::Alone;
use super::{Scenario, World};

/// The tokens of another tokenizer, and a synonym for each.
struct Doubled(WrappedTokenizer);

impl Tokenizer for Doubled {
    fn tokenize(
        &mut self,
        request: TokenizeRequest<'_>,
        tokens: &mut Tokens<'_>,
    ) -> std::result::Result<(), CallbackError> {
        for token in tokens.of_wrapped(&self.0, request.text)?.iter() {
            tokens.push(token.bytes, token.range.clone())?;
            tokens.push_colocated(token.bytes.repeat(2), token.range)?;
        }
        Ok(())
    }
}

fn open(world: &World) -> Result<Connection> {
    world.options(OpenOptions::new().pragma("encoding", "UTF-16")).open_in_memory()
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a tokenizer",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_tokenizer("doubled", |setup| Ok(Doubled(setup.wrap("porter", &["ascii"])?)))?;
            conn.execute("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'doubled')", ())?;
            conn.execute("INSERT INTO t VALUES ('one two'), ('two running')", ())?;
            let sql = "SELECT highlight(t, 0, '<', '>') FROM t WHERE t MATCH 'runrun'";
            assert_eq!(conn.query_all::<String>(sql, ())?, ["two <running>"]);
            conn.execute("DELETE FROM t WHERE rowid = 1", ())?;
            conn.close()
        }),
    },
    Scenario {
        name: "an auxiliary function of full-text search",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_fts_function("described", |fts| {
                let hits = fts.auxiliary(|| {
                    let mut hits = 0;
                    fts.query_phrase(0, |row| {
                        hits += row.instances()?.len();
                        Ok(true)
                    })?;
                    Ok(hits)
                })?;
                let sizes = [fts.row_count()?, fts.column_total_size(None)?, fts.rowid()?];
                let text = fts.column_text(0)?.unwrap_or_default();
                let tokens = fts.tokenize(text)?.len();
                let places = fts.phrase_positions(0)?.len() + fts.phrase_columns(0)?.len();
                let words = [fts.phrase_token(0, 0)?, fts.instance_token(0, 0)?];
                let size = fts.column_size(0)?;
                assert_eq!(words, [Box::from(&b"one"[..]), Box::from(&b"one"[..])]);
                Ok(format!("{text}: {hits} {sizes:?} {tokens} {places} {size:?}"))
            })?;
            conn.execute("CREATE VIRTUAL TABLE t USING fts5(a)", ())?;
            conn.execute("INSERT INTO t VALUES ('one two'), ('two one one')", ())?;
            // By `ORDER BY rank`, SQLite would return the places of another row: soundness.md, rule 27.
            let sql = "SELECT described(t) FROM t WHERE t MATCH 'one' ORDER BY rowid";
            let found: Vec<String> = conn.query_all(sql, ())?;
            assert_eq!(found, ["one two: 3 [2, 5, 1] 2 2 Some(2)", "two one one: 3 [2, 5, 2] 3 3 Some(3)"]);
            conn.close()
        }),
    },
    Scenario {
        name: "shapes and queries of an R-tree",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_rtree_geometry("overlap", |area, at| Ok(area.min(0) <= at[0] && at[0] <= area.max(0)))?;
            conn.create_rtree_query("named", |query| {
                let names = query.state(|| Ok(query.parameter::<String>(0)?))?;
                assert_eq!(names, "grüße");
                Ok(RtreeMatch::new(Within::Partly, -query.area().min(0)))
            })?;
            conn.execute("CREATE VIRTUAL TABLE tree USING rtree(id, low, high)", ())?;
            conn.execute("INSERT INTO tree VALUES (1, 0, 2), (2, 1, 5), (3, 4, 6)", ())?;
            let overlap = "SELECT id FROM tree WHERE id MATCH overlap(1.5) ORDER BY id";
            assert_eq!(conn.query_all::<i64>(overlap, ())?, [1, 2]);
            let named = "SELECT count(*) FROM tree WHERE id MATCH named(?)";
            assert_eq!(conn.query_one::<i64>(named, ("grüße",))?, 3);
            conn.remove_function("named", None)?;
            conn.close()
        }),
    },
    Scenario {
        name: "a shape that is registered while a statement runs",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.execute("CREATE VIRTUAL TABLE tree USING rtree(id, low, high)", ())?;
            conn.execute("INSERT INTO tree VALUES (1, 0, 2), (2, 1, 5)", ())?;
            let kept = Arc::new(());
            let create = || {
                let kept = Arc::clone(&kept);
                conn.create_rtree_geometry("shape", move |_, _| Ok(Arc::strong_count(&kept) > 0)).map(drop)
            };
            let sql = "SELECT count(*) FROM tree WHERE id MATCH shape()";
            // SQLite knows no function whose closure was dropped, and calls the one that it knows.
            let check = || match conn.query_one::<i64>(sql, ()) {
                Ok(count) => assert_eq!((count, Arc::strong_count(&kept)), (2, 2)),
                Err(_) if Arc::strong_count(&kept) == 1 => {}
                Err(error) => assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error}"),
            };
            let mut statement = conn.prepare("SELECT id FROM tree")?;
            let mut rows = statement.query(())?;
            rows.next()?;
            let created = create();
            check();
            drop(rows);
            drop(statement);
            check();
            created?;
            let replaced = create();
            check();
            replaced?;
            conn.remove_function("shape", None)?;
            assert_eq!(Arc::strong_count(&kept), 1);
            conn.close()
        }),
    },
];
