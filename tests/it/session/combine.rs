//! Changesets from changesets: inverted, combined, rebased, as SQL.

use finalite::data::{ChangeGroup, Changeset, ConflictAction, Rebaser};
use finalite::{ChangesetObstacle, Connection, ErrorKind, ResultCode, Value, ValueRef};

use crate::common::random::Random;

use super::{changeset_of, lines, lines_of, open, record, rows};

const SCRIPT: &str =
    "INSERT INTO t VALUES (3, 'three', 3.5), (4, x'ff', NULL); UPDATE t SET b = 'x', a = NULL WHERE id = 1;
     DELETE FROM t WHERE id = 2";

fn filled() -> Connection {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (1, 'one', 1), (2, 'it''s', 2)", ()).unwrap();
    conn
}

#[test]
fn an_inverted_changeset_undoes_it() {
    let conn = filled();
    let before = rows(&conn);
    let changeset = changeset_of(&conn, SCRIPT);
    let inverted = changeset.invert().unwrap();
    assert_eq!(lines_of(&inverted), lines(changeset.inverted_changes().unwrap()).unwrap());
    assert_eq!(inverted.invert().unwrap(), changeset);
    let mut streamed = Vec::new();
    Changeset::invert_stream(changeset.as_bytes(), &mut streamed).unwrap();
    assert_eq!(streamed, inverted.as_bytes());
    conn.apply_changeset(&inverted, |_| ConflictAction::Abort).unwrap();
    assert_eq!(rows(&conn), before);
}

#[test]
fn changesets_are_combined() {
    let conn = filled();
    let first =
        changeset_of(&conn, "INSERT INTO t VALUES (5, 'a', 0), (6, 'b', 0); UPDATE t SET a = 'uno' WHERE id = 1");
    let second = changeset_of(
        &conn,
        "DELETE FROM t WHERE id = 5; UPDATE t SET a = 'c' WHERE id = 6; DELETE FROM t WHERE id = 1",
    );
    let both = first.concat(&second).unwrap();
    assert_eq!(lines_of(&both), ["t + _,_,_ -> 6,c,0", "t - 1,one,1 -> _,_,_"]);

    let mut group = ChangeGroup::new().unwrap();
    group.add_from(first.as_bytes()).unwrap();
    group.add_from(second.as_bytes()).unwrap();
    let mut written = Vec::new();
    group.write_to(&mut written).unwrap();
    assert_eq!(Changeset::from(written), both);
}

#[test]
fn single_changes_are_combined() {
    let conn = filled();
    let first = changeset_of(&conn, "INSERT INTO t VALUES (5, 'a', 0), (6, 'b', 0); UPDATE t SET a = 'x' WHERE id = 1");
    let second = changeset_of(&conn, "DELETE FROM t WHERE id = 5; UPDATE t SET a = 'c' WHERE id = 6");
    let mut group = ChangeGroup::new().unwrap();
    // Of both, all but those of the row 1.
    for changeset in [&first, &second] {
        let mut changes = changeset.changes().unwrap();
        while let Some(change) = changes.next().unwrap() {
            if change.old_value(0).unwrap() == Some(ValueRef::Integer(1)) {
                continue;
            }
            match group.add_change(&change) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(lines_of(&group.changeset().unwrap()), ["t + _,_,_ -> 6,c,0"]);
    // Those that are inverted while they are read are no changes of a group, which cannot be used afterwards.
    let mut changes = first.inverted_changes().unwrap();
    let change = changes.next().unwrap().unwrap();
    assert_eq!(group.add_change(&change).unwrap_err().code(), Some(ResultCode::ERROR));
    assert!(matches!(group.add_change(&change).unwrap_err().kind(), ErrorKind::Misuse { .. }));
}

#[test]
fn a_group_takes_one_form_and_one_schema() {
    let conn = filled();
    let session = record(&conn);
    conn.execute("INSERT INTO t VALUES (7, 0, 0)", ()).unwrap();
    let (changeset, patchset) = (session.changeset().unwrap(), session.patchset().unwrap());
    drop(session);
    let mut group = ChangeGroup::new().unwrap();
    group.add(&changeset).unwrap();
    assert_eq!(group.add(&patchset).unwrap_err().code(), Some(ResultCode::ERROR));
    // It may have some of the changes.
    for error in [group.add(&changeset).unwrap_err(), group.changeset().unwrap_err()] {
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }
    let other = Connection::open_in_memory().unwrap();
    other.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", ()).unwrap();
    let narrow = changeset_of(&other, "INSERT INTO t VALUES (1, 2)");
    let mut group = ChangeGroup::new().unwrap();
    group.add(&changeset).unwrap();
    assert_eq!(group.add(&narrow).unwrap_err().code(), Some(ResultCode::SCHEMA));
}

/// SQLite compares tables by name alone, and would read past the shorter one.
#[test]
fn a_rebaser_takes_one_form_and_one_schema() {
    let outcome_of = |columns: &str| {
        let (here, there) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        for conn in [&here, &there] {
            conn.execute(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY, {columns})"), ()).unwrap();
            conn.execute("INSERT INTO t(id, a) VALUES (1, 'old')", ()).unwrap();
        }
        let changeset = changeset_of(&here, "UPDATE t SET a = 'new'");
        there.execute("UPDATE t SET a = 'mine'", ()).unwrap();
        let applied = there.apply_changeset(&changeset, |_| ConflictAction::Omit).unwrap();
        (changeset, applied)
    };
    let ((narrow, of_narrow), (wide, of_wide)) = (outcome_of("a"), outcome_of("a, b, c, d, e, f"));
    for (outcome, changeset, other) in [(&of_wide, &wide, &narrow), (&of_narrow, &narrow, &wide)] {
        let mut rebaser = Rebaser::new().unwrap();
        rebaser.add(outcome).unwrap();
        rebaser.rebase(changeset).unwrap();
        let error = rebaser.rebase(other).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        // That has changed nothing.
        rebaser.rebase(changeset).unwrap();
    }
    let mut rebaser = Rebaser::new().unwrap();
    rebaser.add(&of_wide).unwrap();
    assert!(rebaser.add(&of_narrow).is_err());
    assert!(rebaser.rebase(&wide).is_err(), "after an error");
    let conn = filled();
    let session = record(&conn);
    conn.execute_batch(SCRIPT).unwrap();
    let error = Rebaser::new().unwrap().rebase(&session.patchset().unwrap()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MalformedChangeset), "{error}");
}

#[test]
fn a_rebased_changeset_meets_no_conflict() {
    let edit = |conn: &Connection, text: &str| changeset_of(conn, &format!("UPDATE t SET a = '{text}' WHERE id = 1"));
    let (server, client) = (filled(), filled());
    let (remote, local) = (edit(&server, "server"), edit(&client, "client"));
    let applied = client.apply_changeset(&remote, |_| ConflictAction::Omit).unwrap();
    assert_eq!((applied.conflicts(), applied.omitted(), applied.replaced()), (1, 1, 0));

    // As it was, the changeset meets a conflict.
    let mut conflicts = 0;
    server
        .apply_changeset(&local, |_| {
            conflicts += 1;
            ConflictAction::Omit
        })
        .unwrap();
    assert_eq!(conflicts, 1);

    let mut rebaser = Rebaser::new().unwrap();
    assert_eq!(rebaser.rebase(&local).unwrap(), local);
    rebaser.add_bytes(applied.rebase_bytes()).unwrap();
    let rebased = rebaser.rebase(&local).unwrap();
    server.apply_changeset(&rebased, |conflict| panic!("{conflict:?}")).unwrap();
    assert_eq!(rows(&server), rows(&client));
}

#[test]
fn sql_does_what_the_changeset_does() {
    let (one, two) = (filled(), filled());
    let changeset = changeset_of(&one, SCRIPT);
    let sql = changeset.to_sql(&two).unwrap();
    two.execute_batch(&sql).unwrap();
    assert_eq!(rows(&two), rows(&one));
    assert_eq!(sql.lines().count(), 4);
    // A patchset, too.
    let (one, two) = (filled(), filled());
    let session = record(&one);
    one.execute_batch(SCRIPT).unwrap();
    two.execute_batch(&session.patchset().unwrap().to_sql(&two).unwrap()).unwrap();
    assert_eq!(rows(&two), rows(&one));

    let empty = Connection::open_in_memory().unwrap();
    let error = changeset.to_sql(&empty).unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::ChangesetTable { obstacle: ChangesetObstacle::NoSuchTable, .. }), "{error}");
}

/// Random histories on one connection reach another by changesets, patchsets, streams and SQL.
#[test]
fn random_histories_are_the_same_elsewhere() {
    for seed in 0..20 {
        let mut random = Random::new(seed, 15);
        let here = open();
        let others: Vec<Connection> = (0..4).map(|_| open()).collect();
        for _ in 0..5 {
            let session = record(&here);
            for _ in 0..random.below(30) {
                let id = i64::try_from(random.below(20)).unwrap();
                let value = match random.below(5) {
                    0 => Value::Null,
                    1 => Value::Integer(i64::MIN + id),
                    2 => Value::Real(f64::from(u32::try_from(random.below(1_000)).unwrap()) / 7.0),
                    3 => Value::Text(format!("text'{id}\"ß")),
                    _ => Value::Blob(vec![7; random.below(40)]),
                };
                match random.below(4) {
                    0 => here.execute("DELETE FROM t WHERE id = ?", (id,)).unwrap(),
                    1 => here.execute("UPDATE t SET a = ?2 WHERE id = ?1", (id, value)).unwrap(),
                    2 => here.execute("UPDATE t SET b = ?2 WHERE id = ?1", (id, value)).unwrap(),
                    _ => here.execute("INSERT OR REPLACE INTO t VALUES (?1, ?2, ?2)", (id, value)).unwrap(),
                };
            }
            let (changeset, patchset) = (session.changeset().unwrap(), session.patchset().unwrap());
            drop(session);
            let abort = |_: &finalite::data::Conflict<'_>| ConflictAction::Abort;
            others[0].apply_changeset(&changeset, abort).unwrap();
            others[1].apply_changeset(&patchset, abort).unwrap();
            others[2].apply_changeset_from(changeset.as_bytes(), Default::default(), abort).unwrap();
            others[3].execute_batch(&changeset.to_sql(&here).unwrap()).unwrap();
            for (number, other) in others.iter().enumerate() {
                assert_eq!(rows(other), rows(&here), "seed {seed}, way {number}");
            }
        }
    }
}
