//! Calls that share a transaction in which the statements of some fail: each has the outcome that it has alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finalite::pool::Pool as SyncPool;
use finalite::{Limit, OpenOptions, Result, Value};
use finalite_tokio::Pool;
use tempfile::TempDir;

use super::grouped::{behind, ended};
use super::on_both_runtimes;

const SCHEMA: &str = "CREATE TABLE t(a UNIQUE);
    CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER UNIQUE, b CHECK (b < 90)) ;
    CREATE TABLE free(a);
    CREATE TABLE source(a);
    INSERT INTO source VALUES ('[1]'), ('[2]'), ('damaged'), ('[3]');
    CREATE TABLE parent(id INTEGER PRIMARY KEY);
    CREATE TABLE at_once(id REFERENCES parent);
    CREATE TABLE later(id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE strict(a INTEGER) STRICT;
    INSERT INTO strict VALUES (1), (2);
    CREATE TABLE log(a);
    CREATE TRIGGER logs AFTER INSERT ON item BEGIN INSERT INTO log VALUES (new.a); END;
    CREATE TRIGGER aborts AFTER INSERT ON item WHEN new.b = 80 BEGIN SELECT RAISE(ABORT, 'aborted'); END;
    CREATE TRIGGER fails AFTER INSERT ON item WHEN new.b = 81 BEGIN SELECT RAISE(FAIL, 'failed'); END;
    CREATE TRIGGER ends AFTER INSERT ON item WHEN new.b = 82 BEGIN SELECT RAISE(ROLLBACK, 'rolled back'); END;
    CREATE TRIGGER ignores BEFORE INSERT ON item WHEN new.b = 83 BEGIN SELECT RAISE(IGNORE); END";

/// All that is stored.
const STORED: &str = "SELECT 't', a, NULL FROM t UNION ALL SELECT 'item', id || ' ' || a, b FROM item
    UNION ALL SELECT 'free', a, NULL FROM free UNION ALL SELECT 'parent', id, NULL FROM parent
    UNION ALL SELECT 'at_once', id, NULL FROM at_once UNION ALL SELECT 'later', id, NULL FROM later
    UNION ALL SELECT 'log', a, NULL FROM log UNION ALL SELECT 'source', a, NULL FROM source
    UNION ALL SELECT 'strict', a, NULL FROM strict UNION ALL SELECT name, seq, NULL FROM sqlite_sequence";

async fn pool(has_module: bool) -> (TempDir, Pool, Arc<AtomicU64>) {
    pool_with("wal", has_module).await
}

async fn pool_with(journal_mode: &'static str, has_module: bool) -> (TempDir, Pool, Arc<AtomicU64>) {
    let dir = tempfile::tempdir().unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let init = move |conn: &mut finalite::Connection| {
        conn.set_limit(Limit::Length, 100_000)?;
        conn.create_scalar_function("refuses", |a: i64| -> Result<i64> {
            if a == 3 { Err(finalite::Error::external("refused")) } else { Ok(a) }
        })?;
        if has_module {
            conn.create_table_function("one", ["n"], |n: i64| 0..n)?;
        }
        let commits = Arc::clone(&counted);
        conn.on_commit(move || {
            commits.fetch_add(1, Ordering::SeqCst);
        })
        .map(finalite::extend::Subscription::keep)
    };
    let options = OpenOptions::recommended().pragma("journal_mode", journal_mode).pragma("synchronous", "off");
    let builder = SyncPool::builder(dir.path().join("a.db")).options(options).readers(1).init(init);
    let pool = Pool::open(builder).await.unwrap();
    pool.execute_batch(SCHEMA).await.unwrap();
    (dir, pool, commits)
}

/// Outcomes of calls that are made one after the other, each with a transaction of its own.
async fn alone(pool: &Pool, sqls: &[String]) -> Vec<Result<usize, String>> {
    let mut outcomes = Vec::new();
    for sql in sqls {
        outcomes.push(pool.execute(sql.clone(), ()).await.map_err(|error| error.to_string()));
    }
    outcomes
}

/// Outcomes of calls that wait together, and the number of their commits.
async fn together(pool: &Pool, sqls: &[String], commits: &AtomicU64) -> (Vec<Result<usize, String>>, u64) {
    let (release, calls) = behind(pool, sqls).await;
    let before = commits.load(Ordering::SeqCst);
    drop(release);
    let outcomes = ended(calls).await.into_iter().map(|result| result.map_err(|error| error.to_string())).collect();
    // One is that of the call that they have waited for.
    (outcomes, commits.load(Ordering::SeqCst) - before - 1)
}

/// Compares all that is stored.
async fn assert_same_rows(grouped: &Pool, single: &Pool, context: impl std::fmt::Debug) {
    let [grouped, single] = [grouped, single].map(|pool| pool.query_all::<(String, Value, Value)>(STORED, ()));
    assert_eq!(grouped.await.unwrap(), single.await.unwrap(), "{context:#?}");
}

/// 64 calls, every third of which inserts what the one before has.
fn every_third_violates(last: &str) -> Vec<String> {
    let insert = |n: u32| format!("INSERT INTO t VALUES ({})", if n % 3 == 2 { n - 1 } else { n });
    (0..63).map(insert).chain([last.into()]).collect()
}

/// Runs the calls alone and together, and returns the number of commits of the latter.
async fn compare(sqls: &[String]) -> u64 {
    let (_dir, single, _) = pool(false).await;
    let expected = alone(&single, sqls).await;
    let (_other_dir, grouped, commits) = pool(false).await;
    let (outcomes, number) = together(&grouped, sqls, &commits).await;
    assert_eq!(outcomes, expected, "{sqls:#?}");
    assert_same_rows(&grouped, &single, sqls).await;
    assert!(grouped.close().await.is_clean());
    number
}

/// Repeats calls, of which this returns the number of commits, until they have had one: on a busy machine, they may take
/// longer than a transaction lasts.
async fn until_committed_at_once(calls: impl AsyncFn() -> u64) {
    for _ in 0..50 {
        if calls().await == 1 {
            return;
        }
    }
    panic!("they were never committed at once");
}

#[test]
fn calls_that_fail_undo_nothing_of_the_others_and_need_no_commit_of_their_own() {
    on_both_runtimes(|| async {
        let sqls = every_third_violates("INSERT INTO t VALUES (63)");
        until_committed_at_once(async || compare(&sqls).await).await;
        // The control: a conflict that ends the transaction has each run alone.
        assert!(compare(&every_third_violates("INSERT OR ROLLBACK INTO t VALUES (1)")).await > 1);
    });
}

/// Without savepoints, what a virtual table stores is undone with its transaction alone.
#[test]
fn a_call_that_fails_runs_alone_where_the_program_has_virtual_tables() {
    on_both_runtimes(|| async {
        let sqls = ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"];
        let (_dir, pool, commits) = pool(true).await;
        let (outcomes, number) = together(&pool, &sqls.map(String::from), &commits).await;
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(number, 2);
        assert!(pool.close().await.is_clean());
    });
}

/// SQLite undoes nothing there of a statement that fails in a transaction.
#[test]
fn a_call_that_fails_runs_alone_where_a_database_has_no_journal() {
    on_both_runtimes(|| async {
        let sqls = ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (1)", "INSERT INTO t VALUES (3)"];
        let commits = async |mode| {
            let (_dir, pool, commits) = pool_with(mode, false).await;
            let (outcomes, number) = together(&pool, &sqls.map(String::from), &commits).await;
            assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
            number
        };
        assert_eq!(commits("off").await, 2);
        // The control, a journal.
        until_committed_at_once(async || commits("memory").await).await;
    });
}

/// Errors that come half-way, of which SQLite may keep no journal of the statement.
#[test]
fn what_a_statement_has_changed_before_its_error_is_undone() {
    on_both_runtimes(|| async {
        let run_alone = [
            "INSERT INTO free SELECT refuses(value) FROM json_each('[1,2,3,4]')",
            "INSERT INTO free SELECT j.value FROM source, json_each(source.a) AS j",
            "INSERT INTO free SELECT CASE rowid WHEN 3 THEN zeroblob(200000) ELSE a END FROM source",
            "INSERT INTO free SELECT CASE rowid WHEN 3 THEN CAST(zeroblob(90000) AS TEXT) || CAST(zeroblob(90000) AS TEXT)
                ELSE a END FROM source",
            "UPDATE source SET a = refuses(rowid)",
            "INSERT INTO free SELECT a FROM source WHERE rowid <> 3 UNION ALL SELECT abs(-9223372036854775808)",
            "INSERT INTO strict VALUES (3), ('text')",
            "UPDATE strict SET a = CASE a WHEN 2 THEN 'text' ELSE 9 END",
        ];
        let stay = [
            "INSERT INTO item(a, b) VALUES (1, 1), (2, 80)",
            "INSERT OR FAIL INTO item(a, b) VALUES (1, 1), (2, 2), (1, 3)",
            "INSERT INTO free VALUES (?)",
            "INSERT INTO missing VALUES (1)",
            "INSERT INTO free VALUES (1); SELECT 1",
            "WITH ends(a) AS (VALUES (1)) INSERT INTO item(a, b) SELECT a, 99 FROM ends",
        ];
        for failing in run_alone.iter().chain(&stay) {
            let sqls = ["INSERT INTO t VALUES (1)", failing, "INSERT INTO t VALUES (2)"].map(String::from);
            if stay.contains(failing) {
                until_committed_at_once(async || compare(&sqls).await).await;
            } else {
                assert_eq!(compare(&sqls).await, 2, "{failing}");
            }
            let (_dir, pool, _) = pool(false).await;
            assert!(alone(&pool, &sqls).await[1].is_err(), "{failing}");
        }
    });
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    /// A statement. `ends` of a hundred end the transaction that they are in.
    fn statement(&mut self, ends: u64) -> String {
        let [a, b, c] = [30, 30, 30].map(|end| self.below(end));
        if self.below(100) < ends {
            let statements = [
                format!("INSERT OR ROLLBACK INTO item(a, b) VALUES ({a}, 1), ({b}, 2)"),
                format!("INSERT INTO item(a, b) VALUES ({a}, 1), ({b}, 82)"),
                format!("INSERT INTO later VALUES ({a}), ({b})"),
                "INSERT INTO free SELECT refuses(value) FROM json_each('[1,2,3,4]')".into(),
                "PRAGMA user_version = 7".into(),
            ];
            return statements[usize::try_from(self.below(5)).unwrap()].clone();
        }
        let conflict = self.of(&["", "", "OR ABORT", "OR FAIL", "OR FAIL", "OR IGNORE", "OR REPLACE"]);
        let trigger = self.of(&["1", "2", "3", "80", "81", "83", "90"]);
        match self.below(9) {
            0..=2 => format!("INSERT {conflict} INTO item(a, b) VALUES ({a}, 1), ({b}, {trigger}), ({c}, 2)"),
            3 => format!("INSERT {conflict} INTO item(id, a, b) VALUES ({a}, {b}, {trigger})"),
            4 => format!("UPDATE {conflict} item SET a = a + 1 WHERE a BETWEEN {a} AND {b}"),
            5 => format!("DELETE FROM item WHERE a % 7 = {}", a % 7),
            6 => format!("INSERT {conflict} INTO parent VALUES ({}), ({})", a % 10, b % 10),
            7 => format!("INSERT INTO at_once VALUES ({}), ({}), (last_insert_rowid() + 1)", a % 10, b % 10),
            _ => format!("DELETE FROM parent WHERE id IN ({}, {})", a % 10, b % 10),
        }
    }
}

#[test]
fn mixed_statements_have_the_outcomes_and_the_rows_that_they_have_alone() {
    on_both_runtimes(|| async {
        let (mut in_few, mut failed) = (0, 0);
        for seed in 1..=12 {
            let mut random = Random(seed * 0x9e37_79b9);
            let ends = if seed % 2 == 0 { 3 } else { 0 };
            let (_dir, single, _) = pool(false).await;
            let (_other_dir, grouped, commits) = pool(false).await;
            for _ in 0..3 {
                let sqls: Vec<String> = (0..40).map(|_| random.statement(ends)).collect();
                let expected = alone(&single, &sqls).await;
                let (outcomes, number) = together(&grouped, &sqls, &commits).await;
                assert_eq!(outcomes, expected, "seed {seed}: {sqls:#?}");
                assert_same_rows(&grouped, &single, (seed, &sqls)).await;
                failed += outcomes.iter().filter(|outcome| outcome.is_err()).count();
                in_few += usize::from(ends == 0 && number <= 3);
            }
            assert!(grouped.close().await.is_clean());
        }
        // The controls: statements have failed, and were committed together nevertheless.
        assert!(failed > 36 && in_few > 0, "{failed} have failed, {in_few} of 18 in at most three commits");
    });
}
