//! A request and its answer, without I/O.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use finalite::handles::{self, OpenHandle};
use finalite::stats;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version};

use crate::history::{self, History};
use crate::query::Filter;
use crate::{Options, metrics, page, query};

/// Paths that are served.
pub(crate) const PATHS: [&str; 7] =
    ["/", "/metrics", "/memory.json", "/history.json", "/handles.json", "/handles.txt", "/healthz"];

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Content security policy of every response except the page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    /// Additional header of the response.
    header: Option<(HeaderName, &'static str)>,
}

impl Answer {
    fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into(), header: None }
    }

    fn refusal(status: StatusCode, why: &str) -> Self {
        Self { status, ..Self::new(TEXT, format!("{why}\n")) }
    }

    fn with(mut self, header: HeaderName, value: &'static str) -> Self {
        self.header = Some((header, value));
        self
    }

    fn into_response(self, method: &Method) -> Response<Vec<u8>> {
        let length = self.body.len();
        let mut response = Response::new(if method == Method::HEAD { Vec::new() } else { self.body });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let always = [
            (CONTENT_TYPE, self.content_type),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (CONTENT_SECURITY_POLICY, NOTHING),
        ];
        for (name, value) in always.into_iter().chain(self.header) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A request without its body.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// HTTP version; 1.0 if it is not known, because that version does not require a `Host`.
    pub(crate) version: Version,
    /// Host from outside of the headers: of an HTTP/2 request, or of a request to a proxy.
    pub(crate) authority: Option<&'a str>,
    /// Path with the query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(method: &'a Method, version: Version, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Self { method, version, authority: uri.authority().map(Authority::as_str), path, headers }
    }

    /// Whether the number of `Host` headers is valid by RFC 9112, section 3.2: exactly one in HTTP/1.1, at most one
    /// otherwise.
    fn has_valid_host(&self) -> bool {
        match self.headers.get_all(HOST).iter().count() {
            0 => self.version != Version::HTTP_11,
            1 => true,
            _ => false,
        }
    }
}

/// Returns the response to a request. Without a history, there is the sample of this moment.
pub(crate) fn respond(options: &Options, history: Option<&History>, asked: Asked<'_>) -> Response<Vec<u8>> {
    answer(options, history, asked).into_response(asked.method)
}

fn answer(options: &Options, history: Option<&History>, asked: Asked<'_>) -> Answer {
    let Asked { method, path, headers, .. } = asked;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_read = method == Method::GET || method == Method::HEAD;
    if !asked.has_valid_host() {
        return Answer::refusal(StatusCode::BAD_REQUEST, "a request has one Host");
    }
    if path == "/healthz" && is_read {
        return Answer::new(TEXT, "ok\n");
    }
    if !options.has_any_host && !is_host_ours(asked, &options.hosts) {
        let why = "this name is not served: see `Options::host`";
        return Answer::refusal(StatusCode::MISDIRECTED_REQUEST, why);
    }
    if !is_read {
        return Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "there is GET and HEAD").with(ALLOW, "GET, HEAD");
    }
    match authorize(options, headers) {
        Ok(true) => {}
        Ok(false) => {
            let refusal = Answer::refusal(StatusCode::UNAUTHORIZED, "not authorized");
            return refusal.with(WWW_AUTHENTICATE, "Bearer realm=\"finalite\"");
        }
        Err(_) => return Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "who may ask could not be found out"),
    }
    match path {
        "" | "/" => Answer::new("text/html; charset=utf-8", page::PAGE).with(CONTENT_SECURITY_POLICY, page::POLICY),
        "/metrics" => metrics_for(headers),
        "/memory.json" => Answer::new(JSON, memory_json(options.shows_sql)),
        "/history.json" => Answer::new(JSON, history.unwrap_or(&History::default()).to_json()),
        "/handles.json" => match query::filter(query) {
            Ok(filter) => Answer::new(JSON, handles_json(filter, options.shows_sql)),
            Err(wrong) => Answer::refusal(StatusCode::BAD_REQUEST, &wrong),
        },
        "/handles.txt" => Answer::new(TEXT, handles_by_site()),
        _ => Answer::refusal(StatusCode::NOT_FOUND, &format!("there is {}", PATHS.join(", "))),
    }
}

/// Whether the program's function authorizes the request; the error is the payload of its panic.
fn authorize(options: &Options, headers: &HeaderMap) -> thread::Result<bool> {
    let Some(authorize) = &options.authorize else {
        return Ok(true);
    };
    panic::catch_unwind(AssertUnwindSafe(|| authorize(headers))).inspect_err(|_| {
        tracing::error!(target: "finalite::endpoint", "the function given to `Options::authorize` has panicked");
    })
}

fn metrics_for(headers: &HeaderMap) -> Answer {
    let stats = stats::snapshot();
    let answer = if wants_openmetrics(headers) {
        Answer::new(OPENMETRICS, metrics::to_openmetrics(&stats))
    } else {
        Answer::new(PROMETHEUS, metrics::to_text(&stats))
    };
    answer.with(VARY, "accept")
}

/// Whether the client prefers OpenMetrics to the older text.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let mut best = (0.0, false);
    for accepted in headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).flat_map(|a| a.split(','))
    {
        let mut parts = accepted.split(';').map(str::trim);
        let is_openmetrics = match parts.next() {
            Some("application/openmetrics-text") => true,
            Some("text/plain" | "text/*" | "*/*") => false,
            _ => continue,
        };
        let parameter = |name: &str| parts.clone().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        if is_openmetrics && parameter("version").is_some_and(|version| version != "1.0.0") {
            continue;
        }
        let weight = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if weight > best.0 || (weight == best.0 && is_openmetrics) {
            best = (weight, is_openmetrics);
        }
    }
    best.0 > 0.0 && best.1
}

/// Whether the host is an IP address, `localhost` or an allowed name. This prevents DNS rebinding: a web page elsewhere
/// can make its own domain name resolve to this machine and read the responses, but it cannot do so with an address or
/// `localhost`. A request without a host does not come from a browser.
fn is_host_ours(asked: Asked<'_>, hosts: &[Box<str>]) -> bool {
    let Ok(header) = asked.headers.get(HOST).map(HeaderValue::to_str).transpose() else {
        return false;
    };
    header.into_iter().chain(asked.authority).all(|host| is_name_ours(host, hosts))
}

fn is_name_ours(host: &str, hosts: &[Box<str>]) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_end = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_end && address.parse::<Ipv6Addr>().is_ok();
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    let is_it = |known: &str| name.eq_ignore_ascii_case(known);
    name.parse::<Ipv4Addr>().is_ok() || is_it("localhost") || hosts.iter().any(|host| is_it(host))
}

fn memory_json(shows_sql: bool) -> String {
    let stats = stats::snapshot();
    if shows_sql { stats.to_json_with_sql() } else { stats.to_json() }
}

/// Largest number of handles listed by default.
const HANDLES_MAX: usize = 1000;

/// Returns the recorded open handles as JSON, those open longest first.
fn handles_json(filter: Filter, shows_sql: bool) -> String {
    let live = handles::live();
    let mut records = live.records;
    records.retain(|record| filter.kind.is_none_or(|kind| kind == record.kind) && record.age >= filter.older_than);
    records.sort_by_key(|record| std::cmp::Reverse(record.age));
    let shown = records.len().min(filter.limit.unwrap_or(HANDLES_MAX));
    let to_json = if shows_sql { OpenHandle::to_json_with_sql } else { OpenHandle::to_json };
    let list = records[..shown].iter().map(to_json).collect::<Vec<_>>().join(",");
    let unrecorded = history::kinds(&live.unrecorded);
    let taken_at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let omitted = records.len() - shown;
    format!(r#"{{"taken_at_ms":{taken_at_ms},"handles":[{list}],"omitted":{omitted},"unrecorded":{unrecorded}}}"#)
}

/// Returns the recorded handles as text, grouped by the source location that opened them.
fn handles_by_site() -> String {
    let live = handles::live();
    let mut sites: BTreeMap<(&str, u32, u32, &str), Vec<&OpenHandle>> = BTreeMap::new();
    for record in &live.records {
        let site = record.opened_at;
        sites.entry((site.file(), site.line(), site.column(), record.kind.name())).or_default().push(record);
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(_, records)| std::cmp::Reverse(records.len()));
    let mut text = String::new();
    let _ = writeln!(text, "open: {}", handles::counts());
    let _ = writeln!(text, "without a record: {}\n", live.unrecorded);
    for ((file, line, column, kind), records) in sites {
        let age = |pick: fn(Duration, Duration) -> Duration| records.iter().map(|record| record.age).reduce(pick);
        let (oldest, youngest) = (age(Duration::max).unwrap_or_default(), age(Duration::min).unwrap_or_default());
        let running = records.iter().filter(|record| record.running.is_some()).count();
        let _ = write!(text, "{} {kind} opened at {file}:{line}:{column}", records.len());
        let _ = write!(text, ", {youngest:.1?} to {oldest:.1?} ago");
        let _ = if running > 0 { writeln!(text, ", {running} running") } else { writeln!(text) };
    }
    let forgotten = handles::forgotten_handles();
    if !forgotten.is_empty() {
        let _ = writeln!(text, "\nforgotten: {}", handles::forgotten());
    }
    let mut sites: BTreeMap<String, usize> = BTreeMap::new();
    for handle in forgotten {
        let site = handle.opened_at.map_or_else(|| "an unknown line".into(), ToString::to_string);
        *sites.entry(format!("{} opened at {site}", handle.kind)).or_default() += 1;
    }
    for (what, count) in sites {
        let _ = writeln!(text, "{count} {what}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_format_is_the_one_asked_for() {
        // The header that Prometheus 2.42 sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(wants_openmetrics(&with(ACCEPT, prometheus)));
        assert!(wants_openmetrics(&with(ACCEPT, "application/openmetrics-text")));
        assert!(wants_openmetrics(&with(
            ACCEPT,
            "text/plain;q=0.5, application/openmetrics-text; version=1.0.0; q=0.5"
        )));
        for other in
            ["*/*", "text/plain", "application/openmetrics-text;q=0", "application/openmetrics-text;version=2.0.0"]
        {
            assert!(!wants_openmetrics(&with(ACCEPT, other)), "{other}");
        }
        assert!(!wants_openmetrics(&with(ACCEPT, "text/plain, application/openmetrics-text;version=1.0.0;q=0.3")));
        assert!(!wants_openmetrics(&HeaderMap::new()));
    }

    #[test]
    fn a_name_that_somebody_points_here_is_not_ours() {
        let hosts = ["metrics.example".into()];
        let ask = |authority: Option<&str>, headers: &HeaderMap| {
            let asked = Asked { method: &Method::GET, version: Version::HTTP_11, authority, path: "/", headers };
            is_host_ours(asked, &hosts)
        };
        let is_ours = |host: &str| {
            let by_header = ask(None, &with(HOST, host));
            assert_eq!(by_header, ask(Some(host), &HeaderMap::new()), "{host}");
            assert!(!ask(Some("evil.example"), &with(HOST, host)), "{host}");
            by_header
        };
        for host in [
            "localhost",
            "LOCALHOST:9100",
            "127.0.0.1",
            "127.0.0.1:9100",
            "[::1]:9100",
            "10.0.0.3",
            "metrics.example:1",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "evil.example:9100", "", "[evil]", "[::1", "127.0.0.1.evil"]
        {
            assert!(!is_ours(host), "{host}");
        }
        assert!(ask(None, &HeaderMap::new()));
    }

    #[test]
    fn a_host_is_named_once_where_http_demands_it() {
        let mut two = with(HOST, "localhost");
        two.append(HOST, HeaderValue::from_static("localhost"));
        for (version, headers, is_valid) in [
            (Version::HTTP_10, HeaderMap::new(), true),
            (Version::HTTP_11, HeaderMap::new(), false),
            (Version::HTTP_2, HeaderMap::new(), true),
            (Version::HTTP_10, two.clone(), false),
            (Version::HTTP_11, two.clone(), false),
            (Version::HTTP_11, with(HOST, "localhost"), true),
        ] {
            let asked = Asked { method: &Method::GET, version, authority: None, path: "/healthz", headers: &headers };
            for options in [Options::new(), Options::new().any_host(true)] {
                let status = respond(&options, None, asked).status();
                assert_eq!(status, if is_valid { StatusCode::OK } else { StatusCode::BAD_REQUEST }, "{version:?}");
            }
        }
    }
}
