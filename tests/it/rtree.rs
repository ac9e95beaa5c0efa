//! R-trees: shapes and queries of the program, against a filter of all rows.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use finalite::extend::{
    AggregateFunction, CallbackError, FunctionContext, Replaced, RtreeBox, RtreeMatch, RtreeQuery, WindowFunction,
    Within,
};
use finalite::{Connection, ErrorKind, OpenOptions};

use crate::common::random::Random;

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

type Boxes = BTreeMap<i64, Vec<f64>>;

/// A tree of boxes, whose coordinates are small integers, which a 32-bit number holds.
fn fill(conn: &Connection, module: &str, dimensions: usize, rows: i64) -> Boxes {
    let columns: Vec<String> = (0..dimensions * 2).map(|n| format!("c{n}")).collect();
    conn.execute(&format!("CREATE VIRTUAL TABLE tree USING {module}(id, {})", columns.join(", ")), ()).unwrap();
    let mut random = Random::new(11, dimensions as u64);
    let marks = vec!["?"; dimensions * 2 + 1].join(", ");
    let mut insert = conn.prepare(&format!("INSERT INTO tree VALUES ({marks})")).unwrap();
    let mut boxes = Boxes::new();
    for id in 0..rows {
        let mut coordinates = Vec::new();
        for _ in 0..dimensions {
            let start = random.below(200) as f64 - 100.0;
            coordinates.extend([start, start + random.below(20) as f64]);
        }
        let mut values = vec![id as f64];
        values.extend(&coordinates);
        insert.execute(finalite::params_from_iter(values)).unwrap();
        boxes.insert(id, coordinates);
    }
    boxes
}

/// Distance of a point from a box.
fn distance(coordinates: &[f64], point: &[f64]) -> f64 {
    let of = |(at, range): (&f64, &[f64])| (at - at.clamp(range[0], range[1])).powi(2);
    point.iter().zip(coordinates.chunks(2)).map(of).sum::<f64>().sqrt()
}

/// Greatest distance of a point from a point of a box.
fn farthest(coordinates: &[f64], point: &[f64]) -> f64 {
    let of = |(at, range): (&f64, &[f64])| (at - range[0]).abs().max((at - range[1]).abs()).powi(2);
    point.iter().zip(coordinates.chunks(2)).map(of).sum::<f64>().sqrt()
}

fn ball(area: RtreeBox<'_>, parameters: &[f64]) -> Result<bool, CallbackError> {
    let (radius, point) = parameters.split_last().ok_or("ball(x, .., radius)")?;
    Ok(distance(area.coordinates(), point) <= *radius)
}

#[test]
fn shapes_find_the_rows_that_a_filter_finds() {
    for module in ["rtree", "rtree_i32"] {
        for dimensions in 1..=5 {
            let conn = open();
            let boxes = fill(&conn, module, dimensions, 1500);
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let replaced = conn.create_rtree_geometry("Ball", move |area, parameters| {
                count.fetch_add(1, Ordering::Relaxed);
                assert_eq!(area.dimensions(), dimensions);
                assert_eq!((area.min(0), area.max(0)), (area.coordinates()[0], area.coordinates()[1]));
                ball(area, parameters)
            });
            assert_eq!(replaced.unwrap(), Replaced::Nothing);
            conn.create_rtree_query("judged", |query| {
                let (radius, point) = query.parameters().split_last().unwrap();
                let coordinates = query.area().coordinates();
                assert_eq!(query.rowid().is_some(), query.level() == 0);
                assert!(query.level() < query.level_max() || query.level_max() == 0);
                // Everything within a part that is fully within is; SQLite does not ask about it.
                let within = if farthest(coordinates, point) <= *radius {
                    Within::Fully
                } else if distance(coordinates, point) <= *radius {
                    Within::Partly
                } else {
                    Within::Not
                };
                assert_ne!(query.parent_within(), Within::Not);
                Ok(RtreeMatch::new(within, query.parent_score() + 1.0))
            })
            .unwrap();
            let marks = vec!["?"; dimensions + 1].join(", ");
            let mut random = Random::new(5, 0);
            for _ in 0..20 {
                let point: Vec<f64> = (0..dimensions).map(|_| random.below(240) as f64 - 120.0).collect();
                let radius = random.below(90) as f64 + 0.25;
                let parameters: Vec<f64> = point.iter().copied().chain([radius]).collect();
                let near = |coordinates: &Vec<f64>| distance(coordinates, &point) <= radius;
                let expected: Vec<i64> =
                    boxes.iter().filter(|(_, coordinates)| near(coordinates)).map(|(id, _)| *id).collect();
                for function in ["ball", "judged"] {
                    let sql = format!("SELECT id FROM tree WHERE id MATCH {function}({marks}) ORDER BY id");
                    let found: Vec<i64> = conn.query_all(&sql, finalite::params_from_iter(parameters.clone())).unwrap();
                    assert_eq!(found, expected, "{function} {module} {dimensions}");
                }
                // With other conditions, and two shapes at once.
                let sql = format!("SELECT id FROM tree WHERE id MATCH ball({marks}) AND c0 > 0 ORDER BY id");
                let found: Vec<i64> = conn.query_all(&sql, finalite::params_from_iter(parameters.clone())).unwrap();
                let some: Vec<i64> = expected.iter().copied().filter(|id| boxes[id][0] > 0.0).collect();
                assert_eq!(found, some);
            }
            // The tree spares it most of the rows.
            asked.store(0, Ordering::Relaxed);
            let parameters = finalite::params_from_iter(vec![500.0; dimensions + 1].into_iter().chain(None));
            let _ = conn.query_all::<i64>(&format!("SELECT id FROM tree WHERE id MATCH ball({marks})"), parameters);
            assert!(asked.load(Ordering::Relaxed) > 0);
        }
    }
}

#[test]
fn scores_order_the_rows() {
    let conn = open();
    let boxes = fill(&conn, "rtree", 2, 3000);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    conn.create_rtree_query("near", move |query| {
        count.fetch_add(1, Ordering::Relaxed);
        let waiting: u32 = (0..query.level_max()).map(|level| query.waiting(level)).sum();
        assert!(waiting < 10_000 && query.waiting(usize::MAX) == 0 && query.waiting(query.level_max()) == 0);
        Ok(RtreeMatch::new(Within::Partly, distance(query.area().coordinates(), query.parameters())))
    })
    .unwrap();
    let sql = "SELECT id FROM tree WHERE id MATCH near(?, ?) LIMIT 40";
    for point in [[0.0, 0.0], [150.0, -150.0], [-33.0, 71.0]] {
        asked.store(0, Ordering::Relaxed);
        let found: Vec<i64> = conn.query_all(sql, point).unwrap();
        let distances: Vec<f64> = found.iter().map(|id| distance(&boxes[id], &point)).collect();
        let mut all: Vec<f64> = boxes.values().map(|coordinates| distance(coordinates, &point)).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(distances, all[..40]);
        assert!(asked.load(Ordering::Relaxed) < 2000, "{asked:?}");
    }
}

#[test]
fn parameters_have_their_types() {
    for encoding in ["UTF-8", "UTF-16"] {
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        fill(&conn, "rtree", 1, 5);
        let seen = Arc::new(Mutex::new(None));
        let place = Arc::clone(&seen);
        conn.create_rtree_query("typed", move |query| {
            let (text, number): (&str, i64) = (query.parameter(0)?, query.parameter(1)?);
            let (nothing, bytes): (Option<i64>, &[u8]) = (query.parameter(2)?, query.parameter(3)?);
            *place.lock().unwrap() = Some((text.to_owned(), number, nothing, bytes.to_vec()));
            assert_eq!(query.parameters(), [0.0, 7.0, 0.0, 0.0]);
            assert_eq!(query.parameter::<&str>(0)?, text);
            for beyond in [4, 5, usize::MAX] {
                let error = query.parameter::<i64>(beyond).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            }
            let error = query.parameter::<i64>(0).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::FunctionArgument { argument: 1, .. }), "{error}");
            Ok(RtreeMatch::new(Within::Fully, 0.0))
        })
        .unwrap();
        let sql = "SELECT count(*) FROM tree WHERE id MATCH typed('grüße', 7, NULL, x'0001')";
        assert_eq!(conn.query_one::<i64>(sql, ()).unwrap(), 5);
        assert_eq!(*seen.lock().unwrap(), Some(("grüße".into(), 7, None, vec![0, 1])));
    }
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn rule_27_the_state_of_a_query_is_dropped_once() {
    let (made, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let conn = open();
    fill(&conn, "rtree", 2, 500);
    let (count, counted) = (Arc::clone(&made), Arc::clone(&drops));
    conn.create_rtree_query("kept", move |query| {
        let state = query.state(|| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok((Counted(Arc::clone(&counted)), Cell::new(0)))
        })?;
        state.1.set(state.1.get() + 1);
        assert!(query.state(|| Ok(1)).is_err());
        if query.parameters().first() == Some(&f64::from(state.1.get())) {
            return Err("limit".into());
        }
        Ok(RtreeMatch::new(Within::Partly, 0.0))
    })
    .unwrap();
    let settle = || conn.query_one::<i64>("SELECT 1", ()).unwrap();
    let is_even = || made.load(Ordering::Relaxed) == drops.load(Ordering::Relaxed);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM tree WHERE id MATCH kept()", ()).unwrap(), 500);
    settle();
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert!(is_even());
    // Two queries in one statement, an error, one that is left, and one that is forgotten.
    let sql = "SELECT count(*) FROM tree a, tree b WHERE a.id MATCH kept() AND b.id MATCH kept() AND a.id < 3";
    conn.query_one::<i64>(sql, ()).unwrap();
    settle();
    assert!(made.load(Ordering::Relaxed) > 2 && is_even());
    assert!(conn.query_all::<i64>("SELECT id FROM tree WHERE id MATCH kept(20)", ()).is_err());
    settle();
    assert!(is_even());
    let mut statement = conn.prepare("SELECT id FROM tree WHERE id MATCH kept()").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert!(!is_even());
    drop(rows);
    settle();
    assert!(is_even());
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    conn.close().unwrap();
    assert!(is_even());
}

#[test]
fn functions_are_replaced_and_removed_as_others() {
    let drops = Arc::new(AtomicUsize::new(0));
    let conn = open();
    fill(&conn, "rtree", 1, 50);
    let counted = || Counted(Arc::clone(&drops));
    let shape = |counted: Counted, result: bool| {
        move |_: RtreeBox<'_>, _: &[f64]| {
            let _ = &counted;
            Ok(result)
        }
    };
    assert_eq!(conn.create_rtree_geometry("shape", shape(counted(), true)).unwrap(), Replaced::Nothing);
    assert_eq!(conn.create_rtree_geometry("Shape", shape(counted(), false)).unwrap(), Replaced::Registered);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    let sql = "SELECT count(*) FROM tree WHERE id MATCH shape()";
    assert_eq!(conn.query_one::<i64>(sql, ()).unwrap(), 0);
    let guard = counted();
    let all = move |_: &RtreeQuery<'_>| {
        let _ = &guard;
        Ok(RtreeMatch::new(Within::Fully, 0.0))
    };
    assert_eq!(conn.create_rtree_query("shape", all).unwrap(), Replaced::Registered);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    // Not while a statement runs that may call it.
    let mut statement = conn.prepare("SELECT id FROM tree WHERE id MATCH shape()").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert!(conn.create_rtree_geometry("shape", shape(counted(), true)).unwrap_err().is_busy());
    assert!(conn.remove_function("shape", None).unwrap_err().is_busy());
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    drop(rows);
    drop(statement);
    // A scalar function of any number of arguments has the same place.
    let options = finalite::extend::FunctionOptions::new();
    assert_eq!(conn.create_scalar_function_with("shape", options, |_| Ok(1)).unwrap(), Replaced::Registered);
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    assert!(conn.query_one::<i64>(sql, ()).is_err());
    assert_eq!(conn.create_rtree_geometry("shape", shape(counted(), true)).unwrap(), Replaced::Registered);
    assert!(conn.remove_function("SHAPE", None).unwrap());
    assert_eq!(drops.load(Ordering::Relaxed), 5);
    assert!(conn.prepare(sql).is_err());
    let error = conn.create_rtree_geometry("a\0b", shape(counted(), true)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }));
    conn.create_rtree_geometry("shape", shape(counted(), true)).unwrap();
    conn.close().unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 7);
}

/// A window function of any number of arguments, which is 1.
struct Variadic;

impl AggregateFunction for Variadic {
    type State = ();
    type Output = i64;

    fn start(&self) {}

    fn step(&self, (): &mut (), _: &FunctionContext<'_>) -> Result<(), CallbackError> {
        Ok(())
    }

    fn finish(&self, (): ()) -> i64 {
        1
    }
}

impl WindowFunction for Variadic {
    fn inverse(&self, (): &mut (), _: &FunctionContext<'_>) -> Result<(), CallbackError> {
        Ok(())
    }

    fn value(&self, (): &()) -> i64 {
        1
    }
}

/// SQLite has a function of any number of arguments for each encoding of text, and R-trees register all three.
#[test]
fn rule_27_a_function_is_replaced_and_removed_in_each_encoding() {
    let sql = "SELECT count(*) FROM tree WHERE id MATCH shape()";
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        let drops = Arc::new(AtomicUsize::new(0));
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        fill(&conn, "rtree", 1, 50);
        let create = |result: bool| {
            let counted = Counted(Arc::clone(&drops));
            conn.create_rtree_geometry("shape", move |_, _| {
                let _ = &counted;
                Ok(result)
            })
        };
        let known = || conn.query_one::<i64>("SELECT count(*) FROM pragma_function_list WHERE name = 'shape'", ());
        let found = || conn.query_one::<i64>(sql, ());
        let dropped = || drops.load(Ordering::Relaxed);
        assert_eq!(create(true).unwrap(), Replaced::Nothing);
        assert_eq!((found().unwrap(), known().unwrap(), dropped()), (50, 3, 0));
        assert!(conn.remove_function("Shape", None).unwrap());
        // What is dropped is unknown to SQLite.
        assert_eq!((known().unwrap(), dropped()), (0, 1), "{encoding}");
        assert!(conn.prepare(sql).is_err(), "{encoding}");
        // A function of the name that was removed is no hindrance while a statement runs.
        let mut statement = conn.prepare("SELECT id FROM tree").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        assert_eq!(create(false).unwrap(), Replaced::Nothing, "{encoding}");
        assert_eq!((known().unwrap(), dropped()), (3, 1));
        assert!(create(true).unwrap_err().is_busy());
        assert!(conn.remove_function("shape", None).unwrap_err().is_busy());
        // The one that was refused.
        assert_eq!((found().unwrap(), known().unwrap(), dropped()), (0, 3, 2));
        drop(rows);
        drop(statement);
        // Functions of other kinds take its place, and it theirs.
        let options = finalite::extend::FunctionOptions::new();
        let scalar = || conn.create_scalar_function_with("shape", options, |_| Ok(7));
        let last = || conn.query_one::<i64>("SELECT shape()", ());
        assert_eq!(scalar().unwrap(), Replaced::Registered);
        assert_eq!((last().unwrap(), dropped()), (7, 3), "{encoding}");
        assert!(found().is_err());
        assert!(conn.remove_function("shape", None).unwrap());
        assert_eq!(known().unwrap(), 0);
        assert_eq!(scalar().unwrap(), Replaced::Nothing);
        assert_eq!(last().unwrap(), 7, "{encoding}");
        assert_eq!(create(true).unwrap(), Replaced::Registered);
        assert_eq!((found().unwrap(), dropped()), (50, 3));
        conn.create_window_function("shape", Variadic).unwrap();
        assert_eq!((last().unwrap(), dropped()), (1, 4), "{encoding}");
        assert!(found().is_err());
        let query = |_: &RtreeQuery<'_>| Ok(RtreeMatch::new(Within::Fully, 0.0));
        assert_eq!(conn.create_rtree_query("shape", query).unwrap(), Replaced::Registered);
        assert_eq!(found().unwrap(), 50);
        conn.close().unwrap();
    }
}

#[test]
fn errors_and_panics_are_those_of_the_statement() {
    let conn = open();
    fill(&conn, "rtree", 2, 300);
    conn.create_rtree_geometry("ball", ball).unwrap();
    let (calls, limit) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (count, at) = (Arc::clone(&calls), Arc::clone(&limit));
    conn.create_rtree_query("panicking", move |query| {
        let call = count.fetch_add(1, Ordering::Relaxed);
        assert!(call != at.load(Ordering::Relaxed), "call {call}");
        match query.parameters() {
            [] => Ok(RtreeMatch::new(Within::Partly, 0.0)),
            [_] => Ok(RtreeMatch::new(Within::Partly, f64::NAN)),
            _ => Err(std::io::Error::other("too many").into()),
        }
    })
    .unwrap();
    for (sql, words) in [
        ("SELECT * FROM tree WHERE id MATCH ball()", "function ball: ball(x, .., radius)"),
        ("SELECT * FROM tree WHERE id MATCH panicking(1)", "function panicking: the score is no number"),
        ("SELECT * FROM tree WHERE id MATCH panicking(1, 2)", "function panicking: too many"),
    ] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Function { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Scores of each kind order, or do not, and end.
    for score in [-1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -0.0] {
        conn.create_rtree_query("scored", move |_| Ok(RtreeMatch::new(Within::Partly, score))).unwrap();
        let sql = "SELECT count(*) FROM tree WHERE id MATCH scored()";
        assert_eq!(conn.query_one::<i64>(sql, ()).unwrap(), 300, "{score}");
    }
    // Without an R-tree they are no functions, and a stranger's value is no shape.
    assert!(conn.query_one::<Option<i64>>("SELECT ball(1)", ()).unwrap().is_none());
    for sql in ["SELECT id FROM tree WHERE id MATCH 1", "SELECT id FROM tree WHERE id MATCH x'0102030405060708'"] {
        assert!(conn.execute(sql, ()).is_err());
    }
    calls.store(0, Ordering::Relaxed);
    let run = || conn.query_one::<i64>("SELECT count(*) FROM tree WHERE id MATCH panicking()", ());
    assert_eq!(run().unwrap(), 300);
    for n in (0..calls.load(Ordering::Relaxed)).step_by(13) {
        calls.store(0, Ordering::Relaxed);
        limit.store(n, Ordering::Relaxed);
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(*payload.downcast::<String>().unwrap(), format!("call {n}"));
        limit.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(run().unwrap(), 300);
    }
    conn.close().unwrap();
}
