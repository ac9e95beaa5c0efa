//! Snapshots as JSON.

use std::collections::BTreeSet;
use std::mem::forget;
use std::thread;
use std::time::Duration;

use finalite::handles::{self, HandleKind};
use finalite::pool::Pool;
use finalite::stats::{ProvidedStat, snapshot};
use finalite::workspace::provide_stats;
use finalite::{Connection, OpenOptions};
use serde_json::{Value, json};

use super::{after_a_snapshot, database, json_of, named, of};
use crate::runner::cases;

cases![
    within after_a_snapshot:
    json_has_the_keys_it_is_known_for,
    text_survives,
    the_first_of_many_are_listed,
    nothing_of_the_data_is_told,
];

/// Whether a value is as a model says: `"n"` a whole number, `"s"` a text, `"b"` true or false; `"n?"` or null; an
/// array of what its one element says, an object of these keys; `"key?"` may be absent, `"*"` is any key. One with the
/// key `"null?"` may be null.
pub fn compare(value: &Value, model: &Value, at: &str) -> Result<(), String> {
    let wrong = || Err(format!("{at} is {value}, expected is {model}"));
    let is_good = match (model, value) {
        (Value::String(of), Value::Null) => of.ends_with('?'),
        (Value::String(of), value) => match of.trim_end_matches('?') {
            "n" => value.is_u64(),
            "s" => value.is_string(),
            "b" => value.is_boolean(),
            other => panic!("{other}"),
        },
        (Value::Array(models), Value::Array(values)) => {
            let mut all = values.iter().enumerate();
            return all.try_for_each(|(n, value)| compare(value, &models[0], &format!("{at}[{n}]")));
        }
        (Value::Object(model), Value::Null) => model.contains_key("null?"),
        (Value::Object(model), Value::Object(value)) => {
            let known = |key: &str| model.get(key).or_else(|| model.get(&format!("{key}?"))).or_else(|| model.get("*"));
            for (key, value) in value {
                let Some(model) = known(key) else { return Err(format!("{at}.{key} is unknown")) };
                compare(value, model, &format!("{at}.{key}"))?;
            }
            let is_there = |key: &String| key == "*" || key.ends_with('?') || value.contains_key(key);
            match model.keys().find(|key| !is_there(key)) {
                Some(key) => return Err(format!("{at}.{key} is missing")),
                None => true,
            }
        }
        _ => false,
    };
    if is_good { Ok(()) } else { wrong() }
}

pub fn model() -> Value {
    let kinds: Value = HandleKind::ALL.iter().map(|kind| (kind.name().to_owned(), json!("n"))).collect();
    let reasons: Value =
        finalite::pool::DestroyReason::ALL.iter().map(|of| (of.name().to_owned(), json!("n"))).collect();
    json!({
        "taken_at_ms": "n", "finalite": "s", "sqlite": "s", "allocator": {"mode": "s", "backend": "s"},
        "native": {
            "bytes": "n", "peak_bytes": "n", "limit_bytes": "n?", "live": "n", "allocated_bytes": "n", "allocs": "n",
            "reallocs": "n", "frees": "n", "failures": "n", "failures_oom": "n", "failures_limit": "n",
            "failures_injected": "n", "unattributed_bytes": "n", "shared_bytes": "n", "orphaned_bytes": "n",
            "hist_log2": ["n"]
        },
        "process": {"rss_bytes": "n?", "fds": "n?", "threads": "n?", "background_threads": "n"},
        "handles": {"open": kinds, "opened": kinds, "closed": kinds, "forgotten": kinds, "unrecorded": kinds},
        "cache": {
            "pager_hits": "n", "pager_misses": "n", "pager_writes": "n", "pager_spills": "n", "tempbuf_spill_bytes": "n",
            "lookaside_hits": "n", "lookaside_misses_size": "n", "lookaside_misses_full": "n"
        },
        "activity": {
            "executions": "n", "commits": "n", "busy": "n", "slow": "n", "lock_retries": "n", "lock_retry_wait_us": "n",
            "execution_times": {"counts": ["n"], "sum_us": "n"}, "commit_times": {"counts": ["n"], "sum_us": "n"},
            "write_lock_times": {"counts": ["n"], "sum_us": "n"}
        },
        "slow_last": [{
            "connection": "n", "prepared_at": "s", "took_ms": "n", "age_ms": "n", "sql_hash": "s", "sql?": "s"
        }],
        "databases": [{"file": "s", "connections": "n", "wal_bytes": "n?"}],
        "connections": [{
            "id": "n", "name": "s?", "opened_at": "s", "age_ms": "n", "thread": "s?",
            "native": {"bytes": "n", "peak": "n", "live": "n"},
            "db": {
                "null?": "n", "cache": "n", "schema": "n", "stmts": "n?", "lookaside_used": "n", "snapshot_age_ms": "n"
            },
            "children": [{
                "kind": "s", "id": "n", "parent": "n?", "opened_at": "s", "age_ms": "n", "thread": "s?", "state": "s",
                "running_ms?": "n", "mem?": "n?", "runs?": "n?", "sql_hash?": "s", "sql?": "s"
            }],
            "children_omitted": "n"
        }],
        "connections_omitted": "n",
        "pools": [{
            "name": "s",
            "roles": [{
                "role": "s", "size": "n", "idle": "n", "busy": "n", "waiting": "n", "acquired": "n", "timeouts": "n",
                "waits": "n", "wait_us": "n",
                "checked_out": [{"slot": "n", "lent_at": "s", "age_ms": "n", "thread": "s?", "owned": "b"}]
            }],
            "checkpoint": {"null?": "n", "age_ms": "n", "took_us": "n", "frames": "n", "checkpointed": "n"},
            "checkpoints": "n", "checkpoints_skipped": "n", "checkpoints_failed": "n",
            "opened": "n", "open_failures": "n", "destroyed": reasons
        }],
        "failures": {"open": {"*": "n"}, "close": {"*": "n"}},
        "leaks": {
            "orphaned": [{"connection": "n", "opened_at": "s", "bytes": "n", "blocks": "n"}],
            "forgotten": kinds,
            "forgotten_last": [{"kind": "s", "connection": "n", "opened_at": "s?", "sql_hash?": "s", "sql?": "s"}]
        },
        "provided": [{"name": "s", "about": "s", "value": "n", "parts": [{"name": "s", "value": "n"}]}]
    })
}

fn json_has_the_keys_it_is_known_for() {
    provide_stats("test", || {
        let mut stat = ProvidedStat::new("test_places", "Places", false, 3);
        stat.parts.push(("here".to_owned(), 3));
        vec![stat]
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 10);
    let mut left = Some(OpenOptions::recommended().open(&path).unwrap());
    left.as_ref().unwrap().execute_batch("CREATE TABLE u(a)").unwrap();
    let pool = Pool::builder(&path).readers(2).reserved(1).build().unwrap();
    let mut lent = pool.reader().unwrap();
    drop(pool.writer().unwrap());
    drop(left.take());
    let forgetful = named("forgetful");
    forget(forgetful.prepare("SELECT 3").unwrap());
    drop(forgetful);
    let mut statement = lent.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(snapshot());
    rows.next().unwrap();
    let idle = named("idle");
    idle.set_slow_threshold(Some(Duration::ZERO));
    assert!(idle.exists("SELECT 5", ()).unwrap());
    idle.set_slow_threshold(None);
    let cached = idle.prepare_cached("SELECT 4").unwrap();
    for text in [snapshot().to_json(), snapshot().to_json_with_sql()] {
        let json: Value = serde_json::from_str(&text).unwrap();
        compare(&json, &model(), "").unwrap();
        // Nothing in it is empty, so everything in the model was looked at.
        assert_eq!(json["leaks"]["orphaned"].as_array().unwrap().len(), 1);
        assert_eq!(json["pools"][0]["roles"][1]["checked_out"].as_array().unwrap().len(), 1);
        assert_eq!(json["provided"][0]["parts"][0]["value"], 3);
        assert_eq!(json["native"]["hist_log2"].as_array().unwrap().len(), 32);
        assert_eq!(json["activity"]["execution_times"]["counts"].as_array().unwrap().len(), 28);
        assert!(!json["slow_last"].as_array().unwrap().is_empty());
        assert_eq!(json["databases"].as_array().unwrap().len(), 1);
        let conns = json["connections"].as_array().unwrap();
        let children = |kind: &str| {
            let all = conns.iter().flat_map(|conn| conn["children"].as_array().unwrap());
            all.filter(|child| child["kind"] == kind).cloned().collect::<Vec<_>>()
        };
        let [running] = &children("statement")[..] else { panic!("{json:#}") };
        assert_eq!(running["state"], "running");
        assert!(running["running_ms"].is_u64() && running["mem"].is_u64() && running["runs"] == 1);
        assert!(children("cached_statement").iter().any(|child| child["mem"].is_null() && child["runs"].is_null()));
        assert!(conns.iter().any(|conn| conn["db"].is_object()) && conns.iter().any(|conn| conn["name"] == "idle"));
    }
    drop(cached);
    drop(rows);
    drop(statement);
    let tx = lent.transaction().unwrap();
    let json = json_of(&snapshot());
    compare(&json, &model(), "").unwrap();
    let all = json["connections"].as_array().unwrap().iter().flat_map(|conn| conn["children"].as_array().unwrap());
    let [tx_child] = &all.filter(|child| child["kind"] == "transaction").collect::<Vec<_>>()[..] else {
        panic!("{json:#}")
    };
    assert_eq!(tx_child["state"], "open");
    assert_eq!(tx_child.get("mem"), None);
    drop(tx);
    drop(lent);
    drop(pool);
    drop(idle);

    // The check sees what is not so.
    let damage: &[fn(&mut Value)] = &[
        |json| drop(json["native"].as_object_mut().unwrap().remove("peak_bytes")),
        |json| json["native"]["more"] = json!(1),
        |json| json["native"]["bytes"] = json!("1"),
        |json| json["native"]["bytes"] = Value::Null,
        |json| json["native"]["bytes"] = json!(-1),
        |json| json["handles"]["open"]["unknown"] = json!(1),
        |json| json["connections"][0]["children"][0]["sql_text"] = json!("SELECT"),
        |json| json["connections"] = json!({}),
    ];
    assert!(compare(&json, &model(), "").is_ok());
    for damage in damage {
        let mut json = json.clone();
        damage(&mut json);
        assert!(compare(&json, &model(), "").is_err());
    }
}

const AWKWARD: &str = "q\" b\\ \u{1}\u{8}\t\n\r\u{1f}\u{7f}\u{85}\u{2028}\u{2029} é 漢 🙂 </script>";

fn text_survives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(AWKWARD.replace('/', "_"));
    let name = format!("{AWKWARD}\0");
    let conn = thread::scope(|scope| {
        let open = || {
            let conn = OpenOptions::new().name(&name).open(&path).unwrap();
            drop(conn.prepare_cached(&format!("SELECT '{AWKWARD}'")).unwrap());
            conn
        };
        thread::Builder::new().name(AWKWARD.into()).spawn_scoped(scope, open).unwrap().join().unwrap()
    });
    let pool = Pool::builder(&path).readers(1).options(OpenOptions::new()).build().unwrap();
    let reader = pool.reader().unwrap();
    let stats = snapshot();
    let json: Value = serde_json::from_str(&stats.to_json_with_sql()).unwrap();
    assert_eq!(json["connections"][0]["name"], name);
    assert_eq!(json["connections"][0]["thread"], AWKWARD);
    assert_eq!(json["connections"][0]["children"][0]["sql"], format!("SELECT '{AWKWARD}'"));
    assert_eq!(json["pools"][0]["name"], path.file_name().unwrap().to_str().unwrap());
    // What would end a line, or a script, for a reader that is no JSON parser.
    let text = stats.to_json_with_sql();
    assert!(!text.chars().any(|c| c.is_ascii_control() || matches!(c, '\u{2028}' | '\u{2029}')));
    drop(reader);
    drop(pool);
    drop(conn);
}

fn the_first_of_many_are_listed() {
    let conns: Vec<Connection> = (0..510).map(|n| named(&n.to_string())).collect();
    let statements: Vec<_> = (0..130).map(|_| conns[0].prepare("SELECT 1").unwrap()).collect();
    let stats = snapshot();
    assert_eq!((stats.connections.len(), stats.connections[0].children.len()), (510, 130));
    let json = json_of(&stats);
    let listed = json["connections"].as_array().unwrap();
    assert_eq!((listed.len(), &json["connections_omitted"]), (500, &json!(10)));
    assert!(listed.iter().enumerate().all(|(n, conn)| conn["name"] == format!("{n}")), "those open longest are first");
    assert_eq!(listed[0]["children"].as_array().unwrap().len(), 100);
    assert_eq!((&listed[0]["children_omitted"], &listed[1]["children_omitted"]), (&json!(30), &json!(0)));
    assert_eq!(json["handles"]["open"]["statement"], 130);
    drop(statements);
}

fn nothing_of_the_data_is_told() {
    let conn = named("private");
    conn.execute_batch("CREATE TABLE salaries(who, much)").unwrap();
    conn.execute("INSERT INTO salaries VALUES (?, 'LITERAL')", ("BOUND",)).unwrap();
    let mut statement = conn.prepare("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'").unwrap();
    let mut rows = statement.query(("BOUND",)).unwrap();
    assert!(rows.next().unwrap().is_some());
    let long = format!("SELECT '{}', 'BEYOND'", "é".repeat(130));
    let long = conn.prepare(&long).unwrap();
    let forgetful = named("forgetful");
    forget(forgetful.prepare("SELECT 'LITERAL of the forgotten' FROM (SELECT 'salaries')").unwrap());
    drop(forgetful);
    assert!(Connection::open("/nowhere/BOUND").is_err());
    drop(snapshot());
    rows.next().unwrap();

    let stats = snapshot();
    let records = || handles::live().records.into_iter();
    let hidden = records().map(|record| record.to_json()).chain([stats.to_json()]);
    for text in hidden {
        for word in ["LITERAL", "BOUND", "BEYOND", "salaries", "SELECT * FROM"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    // The same check finds what is shown on demand: SQL, and what stands in it; never what was bound.
    let all = records().map(|record| record.to_json_with_sql()).collect::<String>();
    for text in [stats.to_json_with_sql(), all] {
        assert!(text.contains("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'"), "{text}");
        assert!(!text.contains("BOUND") && !text.contains("BEYOND"), "{text}");
    }
    assert!(stats.to_json_with_sql().contains("LITERAL of the forgotten"));
    // One statement can be told from another, and is the same tomorrow.
    let hashes = |text: &str| {
        let json: Value = serde_json::from_str(text).unwrap();
        let all = json["connections"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|conn| conn["children"].as_array().unwrap().clone());
        all.filter_map(|child| child["sql_hash"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&stats.to_json()), hashes(&stats.to_json_with_sql()));
    let different: BTreeSet<_> = hashes(&stats.to_json()).into_iter().collect();
    assert_eq!(different.len(), of(&stats, "private").children.len());
    drop(long);
}
