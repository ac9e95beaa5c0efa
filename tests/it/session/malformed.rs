//! Bytes that are no changesets: each call returns an error or a result, and nothing is changed by half.

use finalite::data::{ChangeGroup, Changes, Changeset, ConflictAction, Rebaser};
use finalite::{Connection, ErrorKind, ResultCode};

use crate::common::random::Random;

use super::{changeset_of, open, record, rows};

fn connection() -> Connection {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE w(a TEXT, b TEXT, c, PRIMARY KEY (b, a)) WITHOUT ROWID;
         INSERT INTO t VALUES (1, 'one', 1), (2, 'two', x'0203'), (3, NULL, 2.5); INSERT INTO w VALUES ('a', 'b', 'c')",
    )
    .unwrap();
    conn
}

const SCRIPT: &str =
    "UPDATE t SET a = 'uno' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (4, 'four', 4);
     UPDATE w SET c = 'd'; INSERT INTO w VALUES ('x', 'y', zeroblob(300)); UPDATE t SET b = -1e300 WHERE id = 3";

/// Number of calls in `try_all`.
const CALLS: usize = 11;

/// Passes bytes to each call that reads a changeset. Returns how many succeeded.
fn try_all(bytes: &[u8]) -> usize {
    let changeset = Changeset::from(bytes);
    let mut succeeded = 0;
    let mut count = |is_ok: bool| succeeded += usize::from(is_ok);
    let walk = |mut changes: Changes<'_>| -> finalite::Result<()> {
        while let Some(change) = changes.next()? {
            for column in 0..change.column_count() {
                let _ = (change.old_value(column)?, change.new_value(column)?);
            }
            let _ = change.primary_key()?.count();
        }
        // Behind an error there is nothing.
        assert!(changes.next()?.is_none());
        Ok(())
    };
    count(changeset.changes().and_then(walk).is_ok());
    count(changeset.inverted_changes().and_then(walk).is_ok());
    let mut reader = bytes;
    count(Changes::from_reader(&mut reader).and_then(walk).is_ok());
    count(changeset.invert().is_ok());
    let mut sink = Vec::new();
    count(Changeset::invert_stream(bytes, &mut sink).is_ok());
    let mut group = ChangeGroup::new().unwrap();
    count(group.add(&changeset).is_ok());
    count(group.changeset().is_ok());
    // No changeset is the outcome of conflicts.
    let _ = Rebaser::new().unwrap().add_bytes(bytes);
    count(Rebaser::new().unwrap().rebase(&changeset).is_ok());
    let conn = connection();
    count(changeset.to_sql(&conn).is_ok());
    let before = rows(&conn);
    for action in [ConflictAction::Omit, ConflictAction::Abort] {
        let result = conn.apply_changeset(&changeset, |conflict| {
            let _ = (conflict.change().map(|change| change.table().len()), conflict.row_value(0));
            action
        });
        if result.is_err() {
            assert_eq!(rows(&conn), before);
        }
        count(result.is_ok());
        assert!(conn.is_autocommit());
        if action == ConflictAction::Omit {
            break;
        }
    }
    let options = finalite::data::ApplyOptions::new().skip_unknown_tables(true);
    count(conn.apply_changeset_from(bytes, options, |_| ConflictAction::Omit).is_ok());
    conn.close().unwrap();
    succeeded
}

#[test]
fn damaged_changesets_are_survived() {
    let conn = connection();
    let session = record(&conn);
    conn.execute_batch(SCRIPT).unwrap();
    let whole = [session.changeset().unwrap().into_bytes(), session.patchset().unwrap().into_bytes()];
    drop(session);
    assert!(try_all(&whole[0]) == CALLS, "a changeset is fine");
    let rounds = if cfg!(debug_assertions) { 150 } else { 1_500 };
    let (mut failed, mut fine) = (0, 0);
    for bytes in &whole {
        for cut in 0..bytes.len() {
            if try_all(&bytes[..cut]) < CALLS { failed += 1 } else { fine += 1 }
        }
        let mut random = Random::new(15, 3);
        for _ in 0..rounds {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len());
                damaged[at] = match random.below(3) {
                    0 => 0xff,
                    1 => 0,
                    _ => damaged[at] ^ 1 << random.below(8),
                };
            }
            if try_all(&damaged) < CALLS { failed += 1 } else { fine += 1 }
        }
    }
    // Damage to a value makes another changeset.
    assert!(failed > 100 && fine > 10, "{failed} {fine}");
}

/// What SQLite takes, and returns other bytes for.
#[test]
fn changes_of_no_table_are_malformed() {
    for bytes in [&[23, 0][..], &[18, 0], &[9, 0, 5]] {
        let error = Changeset::from(bytes).invert().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::MalformedChangeset), "{error}");
        assert!(Rebaser::new().unwrap().rebase(&Changeset::from(bytes)).is_err());
        assert!(Rebaser::new().unwrap().add_bytes(bytes).is_err());
    }
}

/// A changeset, and the outcome of its conflicts, damaged apart: a rebaser reads both.
#[test]
fn damaged_outcomes_are_survived() {
    let (here, there) = (connection(), connection());
    let changeset = changeset_of(&here, SCRIPT).into_bytes();
    there.execute_batch("UPDATE t SET a = 'mine', b = 0; UPDATE w SET c = 'mine'").unwrap();
    let applied = there.apply_changeset(&Changeset::from(&*changeset), |_| ConflictAction::Omit).unwrap();
    let (mut random, mut fine) = (Random::new(15, 4), 0);
    for _ in 0..if cfg!(debug_assertions) { 3_000 } else { 100_000 } {
        let mut damage = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for _ in 0..random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] =
                    if random.one_in(2) { bytes[at] ^ 1 << random.below(8) } else { random.next().to_le_bytes()[0] };
            }
            if random.one_in(4) {
                bytes.truncate(random.below(bytes.len()));
            }
            bytes
        };
        let (outcome, changeset) = (damage(applied.rebase_bytes()), damage(&changeset));
        let mut rebaser = Rebaser::new().unwrap();
        if rebaser.add_bytes(&outcome).is_ok() && rebaser.rebase(&Changeset::from(changeset)).is_ok() {
            fine += 1;
        }
    }
    assert!(fine > 100, "{fine}");
}

#[test]
fn an_error_about_bytes_names_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let conn = Connection::open(directory.path().join("app.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)").unwrap();
    let mut bytes = changeset_of(&conn, "INSERT INTO t VALUES (1, 'one', 1)").into_bytes();
    bytes.truncate(bytes.len() - 2);
    let error = conn.apply_changeset(&Changeset::from(bytes), |_| ConflictAction::Omit).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MalformedChangeset), "{error}");
    assert_eq!(error.code(), Some(ResultCode::CORRUPT));
    assert!(!error.to_string().contains("app.db"), "{error}");
}
