//! `respond`: what is answered, without a server.

use std::collections::BTreeSet;
use std::time::Duration;

use finalite::Connection;
use finalite::handles::{self, TrackingLevel};
use finalite_endpoint::{Options, respond};
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use serde_json::Value;

use crate::Case;
use crate::client::PATHS;
use crate::openmetrics::{self, Format};

pub const CASES: &[Case] = &[
    ("every path", every_path_is_answered),
    ("HEAD", head_says_the_same_without_the_body),
    ("methods", other_methods_are_refused),
    ("unknown paths", unknown_paths_are_not_found),
    ("queries", handles_are_filtered),
    ("wrong queries", wrong_queries_are_refused),
    ("handles by site", handles_are_grouped_by_site),
    ("hosts", only_our_names_are_answered),
    ("authorization", who_is_not_authorized_is_refused),
    ("authorization that panics", who_asks_a_panicking_program_is_told_so),
    ("formats", the_format_is_negotiated),
    ("records", handles_are_recorded_while_it_serves),
];

fn with(headers: &[(HeaderName, &str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn get(path: &str) -> Response<Vec<u8>> {
    respond(&Method::GET, path, &HeaderMap::new())
}

fn header<'r>(response: &'r Response<Vec<u8>>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn text(response: Response<Vec<u8>>) -> String {
    String::from_utf8(response.into_body()).unwrap()
}

/// What every answer says, whatever else it is.
#[track_caller]
fn assert_guarded(response: &Response<Vec<u8>>) {
    assert_eq!(header(response, "cache-control"), Some("no-store"));
    assert_eq!(header(response, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(response, "referrer-policy"), Some("no-referrer"));
    assert_eq!(header(response, "cross-origin-resource-policy"), Some("same-origin"));
    let policy = header(response, "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    assert!(header(response, "content-type").is_some());
    assert!(header(response, "access-control-allow-origin").is_none() && header(response, "set-cookie").is_none());
}

fn every_path_is_answered() {
    let types = [
        "text/html; charset=utf-8",
        "text/plain; version=0.0.4; charset=utf-8",
        "application/json",
        "application/json",
        "application/json",
        "text/plain; charset=utf-8",
        "text/plain; charset=utf-8",
    ];
    for (path, of) in PATHS.into_iter().zip(types) {
        let response = get(path);
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), Some(of), "{path}");
        assert_eq!(header(&response, "content-length"), Some(response.body().len().to_string().as_str()), "{path}");
        assert_eq!(header(&response, "vary"), (path == "/metrics").then_some("accept"), "{path}");
        assert_guarded(&response);
        let has_script = header(&response, "content-security-policy").unwrap().contains("script-src");
        assert_eq!(has_script, path == "/", "{path}");
        let answer = crate::client::Answer { status: 200, headers: Default::default(), body: response.into_body() };
        answer.check(path).unwrap();
        // A query that nobody reads harms nothing.
        if path != "/handles.json" {
            assert_eq!(get(&format!("{path}?a=b&&%")).status(), 200, "{path}");
        }
    }
    assert_eq!(text(get("")), text(get("/")));
}

fn head_says_the_same_without_the_body() {
    for path in PATHS.into_iter().chain(["/nowhere", "/handles.json?limit=x"]) {
        let (head, get) = (respond(&Method::HEAD, path, &HeaderMap::new()), get(path));
        assert!(head.body().is_empty(), "{path}");
        assert_eq!(head.status(), get.status(), "{path}");
        let names = |response: &Response<Vec<u8>>| response.headers().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&head), names(&get), "{path}");
        let is_still =
            !path.starts_with("/metrics") && !path.starts_with("/memory") && !path.starts_with("/handles.json");
        for (name, value) in get.headers() {
            if name != "content-length" || is_still {
                assert_eq!(head.headers()[name], value, "{path} {name}");
            }
        }
        assert_ne!(header(&head, "content-length"), Some("0"), "{path}");
    }
}

fn other_methods_are_refused() {
    let methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"];
    for method in methods.map(|method| Method::from_bytes(method.as_bytes()).unwrap()) {
        for path in PATHS {
            let response = respond(&method, path, &HeaderMap::new());
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(header(&response, "allow"), Some("GET, HEAD"));
            assert_guarded(&response);
        }
    }
}

fn unknown_paths_are_not_found() {
    for path in [
        "/nowhere",
        "/metrics/",
        "/Metrics",
        "//metrics",
        "/./metrics",
        "/../metrics",
        "/%6detrics",
        "/metrics%00",
        "/metrics;x",
        "/metrics#x",
        "metrics",
        "*",
        "//",
        "/\0",
        "/metrics\0",
        "http://localhost/metrics",
        "/memory.json/..",
        &format!("/{}", "x".repeat(100_000)),
    ] {
        let response = get(path);
        assert_eq!(response.status(), 404, "{path:?}");
        assert_guarded(&response);
        let text = text(response);
        assert!(text.contains("/handles.json"), "it says what there is: {text}");
        assert!(!text.contains("nowhere") && !text.contains("xxx"), "it does not say what was asked: {text}");
    }
}

/// The ids of the handles that an answer lists, in its order.
fn ids(path: &str) -> Vec<u64> {
    let response = get(path);
    assert_eq!(response.status(), 200, "{path}");
    let json: Value = serde_json::from_slice(response.body()).unwrap();
    json["handles"].as_array().unwrap().iter().map(|handle| handle["id"].as_u64().unwrap()).collect()
}

fn handles_are_filtered() {
    let mut conn = Connection::open_in_memory().unwrap();
    let other = Connection::open_in_memory().unwrap();
    let kept: Vec<_> = (0..5).map(|n| other.prepare(&format!("SELECT {n}")).unwrap()).collect();
    let tx = conn.transaction().unwrap();
    let records = handles::live().records;
    let all = ids("/handles.json");
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), records.iter().map(|record| &record.id).collect());
    // Those open longest are first: an id is given in the order of opening.
    assert!(all.is_sorted(), "{all:?}");
    assert!(ids("/handles.json?kind=statement").len() == 5 && ids("/handles.json?kind=connection").len() == 2);
    assert!(ids("/handles.json?kind=transaction").len() == 1 && ids("/handles.json?kind=savepoint").is_empty());
    assert_eq!(ids("/handles.json?limit=3"), all[..3]);
    assert_eq!(ids("/handles.json?kind=statement&limit=2"), ids("/handles.json?kind=statement")[..2]);
    assert!(ids("/handles.json?limit=0").is_empty());
    let json: Value = serde_json::from_slice(get("/handles.json?limit=2").body()).unwrap();
    assert_eq!(json["omitted"], all.len() - 2);
    assert_eq!(ids("/handles.json?older_than=0"), all);
    assert!(ids("/handles.json?older_than=86400").is_empty());
    // What is opened after a while is younger than what was there by then.
    let oldest = records.iter().find(|record| record.id == all[0]).unwrap();
    while handles::live().records.iter().any(|record| record.age < Duration::from_millis(20)) {
        std::thread::yield_now();
    }
    let young = other.prepare("SELECT 'young'").unwrap();
    let age = handles::live().records.iter().find(|record| record.id == oldest.id).unwrap().age;
    assert!(!ids("/handles.json?older_than=0.02").is_empty());
    let none = ids(&format!("/handles.json?older_than={}", age.as_secs_f64() + 3600.0));
    assert!(none.is_empty());
    assert_eq!(ids("/handles.json?&kind=statement&").len(), 6);
    drop((young, kept));
    drop(tx);
}

fn wrong_queries_are_refused() {
    for query in [
        "kind=statements",
        "kind=",
        "kind",
        "older_than=-1",
        "older_than=x",
        "older_than=NaN",
        "older_than=inf",
        "older_than=1e400",
        "limit=-1",
        "limit=1.5",
        "limit=99999999999999999999999",
        "limit=",
        "sql=1",
        "KIND=statement",
        "kind=%73tatement",
        "limit=1&limit",
        "\0",
    ] {
        let response = get(&format!("/handles.json?{query}"));
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
        assert_guarded(&response);
        assert!(text(response).ends_with('\n'));
    }
}

fn handles_are_grouped_by_site() {
    let conn = Connection::open_in_memory().unwrap();
    let (mut many, line): (Vec<_>, u32) = ((0..7).map(|_| conn.prepare("SELECT 'many'").unwrap()).collect(), line!());
    let one = conn.prepare("SELECT 'one'").unwrap();
    let mut rows = many[0].query(()).unwrap();
    rows.next().unwrap();
    let listed = text(get("/handles.txt"));
    let site = format!("7 statement opened at {}:{line}:", file!());
    let found: Vec<&str> = listed.lines().filter(|line| line.contains(file!())).collect();
    assert!(found[0].starts_with(&site), "the most are first: {listed}");
    assert!(found[0].ends_with(", 1 running"), "{listed}");
    assert!(found.iter().any(|line| line.starts_with("1 statement ")), "{listed}");
    assert!(!listed.contains("SELECT"), "{listed}");
    drop(rows);
    drop(one);
    let line = line!() + 1;
    std::mem::forget(conn.prepare("SELECT 'forgotten'").unwrap());
    drop(many);
    drop(conn);
    let listed = text(get("/handles.txt"));
    assert!(listed.contains("\nforgotten: "), "{listed}");
    assert!(listed.contains(&format!("1 statement opened at {}:{line}:", file!())), "{listed}");
}

fn only_our_names_are_answered() {
    let options = Options::new().host("metrics.example").host("other.example");
    let status = |options: &Options, path: &str, hosts: &[&str]| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let response = options.respond(&Method::GET, path, &headers);
        assert_guarded(&response);
        response.status().as_u16()
    };
    for path in PATHS {
        for ours in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80", "192.0.2.7:9000"] {
            assert_eq!(status(&Options::new(), path, &[ours]), 200, "{path} {ours}");
        }
        assert_eq!(status(&Options::new(), path, &[]), 200, "HTTP/1.0 knows no name");
        for other in [
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "evil.example@localhost",
            "[::1].evil.example",
            "[::1",
            "localhost, evil.example",
            " ",
            "",
            "é",
        ] {
            // Who looks whether it is well comes by any name.
            let refused = if path == "/healthz" { 200 } else { 421 };
            assert_eq!(status(&Options::new(), path, &[other]), refused, "{path} «{other}»");
            assert_eq!(status(&Options::new().any_host(true), path, &[other]), 200, "{path} «{other}»");
        }
        if path == "/healthz" {
            continue;
        }
        assert_eq!(status(&Options::new(), path, &["localhost", "evil.example"]), 400);
        assert_eq!(status(&Options::new(), path, &["metrics.example"]), 421);
        assert_eq!(status(&options, path, &["METRICS.example:8080"]), 200);
        assert_eq!(status(&options, path, &["other.example"]), 200);
        assert_eq!(status(&options, path, &["more.other.example"]), 421);
    }
}

fn who_asks_a_panicking_program_is_told_so() {
    let options = Options::new().authorize(|_| panic!("on purpose"));
    let response = options.respond(&Method::GET, "/metrics", &HeaderMap::new());
    assert_eq!(response.status(), 500);
    assert_guarded(&response);
    assert_eq!(options.respond(&Method::GET, "/healthz", &HeaderMap::new()).status(), 200);
}

fn who_is_not_authorized_is_refused() {
    let options =
        Options::new().authorize(|headers| headers.get(AUTHORIZATION).is_some_and(|given| given == "Bearer key"));
    for path in PATHS.into_iter().chain(["/nowhere", "/handles.json?limit=x"]) {
        for headers in [HeaderMap::new(), with(&[(AUTHORIZATION, "Bearer other")])] {
            let response = options.respond(&Method::GET, path, &headers);
            if path == "/healthz" {
                assert_eq!(response.status(), 200);
                continue;
            }
            assert_eq!(response.status(), 401, "{path}");
            assert!(header(&response, "www-authenticate").unwrap().starts_with("Bearer"));
            assert_guarded(&response);
            assert_eq!(text(response), "not authorized\n");
        }
        let allowed = options.respond(&Method::GET, path, &with(&[(AUTHORIZATION, "Bearer key")]));
        assert_eq!(allowed.status(), get(path).status(), "{path}");
    }
    // A name that is not ours is not asked for a key, which it would get to know.
    let strange = options.respond(&Method::GET, "/metrics", &with(&[(HOST, "evil.example")]));
    assert_eq!(strange.status(), 421);
}

fn the_format_is_negotiated() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let plain = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, expected) in [
        ("application/openmetrics-text; version=1.0.0", open),
        ("application/openmetrics-text", open),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,*/*;q=0.1",
            open,
        ),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8", open),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.8", plain),
        ("application/openmetrics-text;q=0, */*", plain),
        ("application/openmetrics-text; version=9.9", plain),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", plain),
        ("text/plain", plain),
        ("*/*", plain),
        ("", plain),
        (";;,,;q=", plain),
        ("application/openmetrics-text;q=x", plain),
    ] {
        let response = respond(&Method::GET, "/metrics", &with(&[(ACCEPT, accept)]));
        assert_eq!(header(&response, "content-type"), Some(expected), "{accept}");
        let format = if expected == open { Format::OpenMetrics } else { Format::Text };
        openmetrics::parse(&text(response), format).unwrap_or_else(|wrong| panic!("{accept}: {wrong}"));
    }
    let two = with(&[(ACCEPT, "text/html"), (ACCEPT, "application/openmetrics-text")]);
    assert_eq!(header(&respond(&Method::GET, "/metrics", &two), "content-type"), Some(open));
}

fn handles_are_recorded_while_it_serves() {
    handles::set_level(TrackingLevel::Counters);
    let conn = Connection::open_in_memory().unwrap();
    let is_recorded = || {
        let statement = conn.prepare("SELECT 1").unwrap();
        let listed = handles::live().records.iter().any(|record| record.sql.as_deref() == Some(statement.sql()));
        let unrecorded = handles::live().unrecorded.statements;
        assert_eq!(unrecorded, u64::from(!listed));
        listed
    };
    assert!(!is_recorded());
    let router = Options::new().router();
    assert!(is_recorded());
    let served = Options::new().serve("127.0.0.1:0").unwrap();
    drop(router);
    assert!(is_recorded());
    drop(served);
    assert!(!is_recorded());
    let without = Options::new().records(false).serve("127.0.0.1:0").unwrap();
    assert!(!is_recorded());
    drop(without);
    handles::set_level(TrackingLevel::Records);
}
