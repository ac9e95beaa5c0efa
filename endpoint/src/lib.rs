//! HTTP endpoint for the figures of [finalite](https://docs.rs/finalite), a SQLite driver: a page for people, metrics for
//! Prometheus, JSON for programs.
//!
//! A service starts a server:
//!
//! ```
//! let endpoint = finalite_endpoint::serve("127.0.0.1:0")?;
//! println!("SQLite's memory: {}", endpoint.url());
//! # Ok::<(), finalite_endpoint::ServeError>(())
//! ```
//!
//! Or it adds the router to its own axum router: `.nest("/sqlite", finalite_endpoint::router())` serves the page at
//! `/sqlite`, and `.nest("/sqlite/", …)` serves it at `/sqlite/`.
//!
//! | path | response |
//! |---|---|
//! | `/` | a page that shows the figures live |
//! | `/metrics` | OpenMetrics 1.0, or Prometheus text 0.0.4, by the `Accept` header |
//! | `/memory.json` | [`Stats::to_json`](finalite::stats::Stats::to_json) |
//! | `/history.json` | samples of the last 15 minutes, which the page shows when it is opened |
//! | `/handles.json` | the recorded handles, longest open first |
//! | `/handles.txt` | the recorded handles, grouped by the source location that opened them |
//! | `/healthz` | `ok` |
//!
//! `/handles.json?kind=statement&older_than=2.5&limit=100` selects handles by kind and by age in seconds, and limits
//! their number, which is 1,000 by default.
//!
//! Each response is a new [`snapshot`](finalite::stats::snapshot) and waits for no connection. The next use of each
//! connection takes some microseconds longer, because the connection publishes its figures.
//!
//! # Access and privacy
//!
//! No data is shown: bound values are not stored anywhere. The SQL of statements, which may contain literals, is shown
//! only if [`Options::expose_sql`] allows it; source locations and thread names are always shown. By default the server
//! listens only on loopback addresses and accepts only a `Host` that is an IP address or `localhost`, so that a web
//! page elsewhere cannot read it through a domain name that resolves to this machine. Only GET and HEAD are allowed.
//!
//! # Metrics alone
//!
//! [`Collector`] adds the metrics to the program's own registry of the crate `prometheus-client`, and [`to_openmetrics`]
//! returns one snapshot as text.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::ptr_as_ptr
)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]
#![warn(
    clippy::doc_markdown,
    clippy::explicit_iter_loop,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned
)]

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{HeaderMap, Method, Response, Version};

use finalite::handles::Recording;
use finalite::stats::Timings;

mod history;
mod metrics;
mod page;
mod query;
mod respond;
mod router;
mod server;

use history::History;
pub use metrics::{Collector, to_openmetrics};
use respond::Asked;
pub use server::Endpoint;

type Authorize = dyn Fn(&HeaderMap) -> bool + Send + Sync;

/// Options of the endpoint. [`serve`], [`router()`] and [`respond`] use the defaults.
///
/// # Example
///
/// ```
/// use finalite_endpoint::Options;
///
/// let endpoint = Options::new()
///     .expose_sql(true)
///     .authorize(|headers| headers.get("authorization").is_some_and(|given| given == "Bearer secret"))
///     .serve("127.0.0.1:0")?;
/// assert!(endpoint.address().ip().is_loopback());
/// # Ok::<(), finalite_endpoint::ServeError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    shows_sql: bool,
    is_remote: bool,
    has_any_host: bool,
    hosts: Vec<Box<str>>,
    authorize: Option<Arc<Authorize>>,
    has_records: bool,
    has_timings: bool,
    has_history: bool,
    connections_max: usize,
    time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Returns the defaults: loopback addresses only, no SQL, no authorization, handles are recorded
    /// and executions timed while the options are in use, a history of 15 minutes, 64 connections at a time, 10 seconds for each.
    pub fn new() -> Self {
        Self {
            shows_sql: false,
            is_remote: false,
            has_any_host: false,
            hosts: Vec::new(),
            authorize: None,
            has_records: true,
            has_timings: true,
            has_history: true,
            connections_max: 64,
            time_max: Duration::from_secs(10),
        }
    }

    /// Sets whether the SQL of statements is shown, at most the first 256 bytes of each. Literals in it are shown,
    /// bound values are not. Otherwise a hash of those bytes is shown, which distinguishes statements; a client that
    /// knows all of the SQL except a short literal can find the literal by trying.
    pub fn expose_sql(mut self, on: bool) -> Self {
        self.shows_sql = on;
        self
    }

    /// Sets whether [`serve`](Self::serve) may listen on an address that other machines can reach.
    pub fn allow_remote(mut self, on: bool) -> Self {
        self.is_remote = on;
        self
    }

    /// Accepts requests for this host name too. The name is given without a port.
    pub fn host(mut self, name: &str) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Sets whether requests with any `Host` are accepted, for a router behind a server that checks it.
    pub fn any_host(mut self, on: bool) -> Self {
        self.has_any_host = on;
        self
    }

    /// Sets a function that decides from the headers whether a request is authorized. If it returns `false`, the
    /// response is 401; if it panics, 500. `/healthz` needs no authorization.
    pub fn authorize(mut self, authorize: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        self.authorize = Some(Arc::new(authorize));
        self
    }

    /// Sets whether handles are recorded while the endpoint serves, at any [`handles::level`](finalite::handles::level).
    /// Without records only counts are available. A record costs about 150 ns for each prepared statement and one read
    /// of a coarse clock for each execution: 4 % of a cached lookup by primary key, and a negligible part elsewhere.
    pub fn records(mut self, on: bool) -> Self {
        self.has_records = on;
        self
    }

    /// Sets whether executions are timed while the endpoint serves ([`stats::Timings`](finalite::stats::Timings)), and
    /// slow ones are listed. Of executions that only read, one in eight is timed.
    pub fn timings(mut self, on: bool) -> Self {
        self.has_timings = on;
        self
    }

    /// Sets whether samples of the last 15 minutes are kept, about 400 KB. [`serve`](Self::serve) takes one every 3
    /// seconds on its own thread. [`router`](Self::router) starts no thread: a task on the program's tokio runtime takes
    /// them, from the call of `router` on, or from the first request if that call is not made within the runtime. The
    /// task ends with the last clone of the router. It needs the runtime's timer, which `#[tokio::main]` has.
    pub fn history(mut self, on: bool) -> Self {
        self.has_history = on;
        self
    }

    /// Sets the largest number of clients that [`serve`](Self::serve) handles at a time. Further clients wait. While
    /// clients wait, the oldest connection is closed once it is one second old.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// Sets the time limit of [`serve`](Self::serve) for a client's request and the response together; a day at most.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.time_max = longest.min(Duration::from_secs(24 * 60 * 60));
        self
    }

    /// Returns the response to a request without any I/O, for use in any server. Nothing is kept between two calls:
    /// handles are not recorded, executions are not timed, and `/history.json` has one sample.
    ///
    /// `path` is the path relative to the endpoint's root, with the query. If HTTP/2 gives the host name outside of the
    /// headers, the caller must copy it into `host`; otherwise it is not checked.
    #[must_use]
    pub fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        respond::respond(self, None, Asked { method, version: Version::HTTP_10, authority: None, path, headers })
    }

    /// Returns a router for axum.
    pub fn router(self) -> Router {
        router::router(Served::new(self))
    }

    /// Serves on this address, on a thread of its own, until the returned [`Endpoint`] is dropped.
    ///
    /// # Errors
    ///
    /// [`ServeError::NotLoopback`] for an address that other machines can reach, unless
    /// [`allow_remote`](Self::allow_remote) is set; [`ServeError::Bind`], [`ServeError::Start`].
    pub fn serve(self, address: impl ToSocketAddrs) -> Result<Endpoint, ServeError> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(ServeError::Bind)?.collect();
        if let Some(&address) = addresses.iter().find(|address| !self.is_remote && !address.ip().is_loopback()) {
            return Err(ServeError::NotLoopback { address });
        }
        Endpoint::start(&addresses, Served::new(self))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("shows_sql", &self.shows_sql)
            .field("is_remote", &self.is_remote)
            .field("hosts", &self.hosts)
            .field("has_records", &self.has_records)
            .field("has_timings", &self.has_timings)
            .field("has_history", &self.has_history)
            .finish_non_exhaustive()
    }
}

/// Options in use. Handles are recorded and executions timed while this value exists, if the options request it.
struct Served {
    options: Options,
    history: Option<History>,
    _records: Option<Recording>,
    _timings: Option<Timings>,
}

impl Served {
    fn new(options: Options) -> Arc<Self> {
        let history = options.has_history.then(History::default);
        let records = options.has_records.then(Recording::start);
        let timings = options.has_timings.then(Timings::start);
        Arc::new(Self { options, history, _records: records, _timings: timings })
    }
}

/// Errors of starting the endpoint.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines, and [`Options::allow_remote`] is not set.
    #[error("{address} can be reached from other machines: allow it with `Options::allow_remote`")]
    NotLoopback {
        /// Address to listen on.
        address: SocketAddr,
    },
    /// The address could not be resolved or bound.
    #[error("the endpoint cannot listen: {0}")]
    Bind(#[source] io::Error),
    /// The thread or its I/O resources could not be created.
    #[error("the endpoint cannot start: {0}")]
    Start(#[source] io::Error),
}

impl fmt::Debug for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; ")?;
        match self {
            Self::NotLoopback { address } => f.debug_struct("NotLoopback").field("address", address).finish(),
            Self::Bind(error) => f.debug_tuple("Bind").field(error).finish(),
            Self::Start(error) => f.debug_tuple("Start").field(error).finish(),
        }
    }
}

/// Serves on this address with the default [`Options`], until the returned [`Endpoint`] is dropped.
///
/// # Errors
///
/// See [`Options::serve`].
///
/// # Example
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let conn = finalite::Connection::open_in_memory()?;
/// let endpoint = finalite_endpoint::serve("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(endpoint.address())?;
/// client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
/// assert!(answer.contains("\nsqlite_handles{kind=\"connection\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn serve(address: impl ToSocketAddrs) -> Result<Endpoint, ServeError> {
    Options::new().serve(address)
}

/// Returns a router for axum with the default [`Options`].
///
/// # Example
///
/// ```
/// let app: axum::Router = axum::Router::new().nest("/sqlite", finalite_endpoint::router());
/// ```
pub fn router() -> Router {
    Options::new().router()
}

/// Returns the response to a request with the default [`Options`]. See [`Options::respond`].
///
/// # Example
///
/// ```
/// use http::{HeaderMap, Method};
///
/// let answer = finalite_endpoint::respond(&Method::GET, "/memory.json", &HeaderMap::new());
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.headers()["content-type"], "application/json");
/// assert!(answer.body().starts_with(br#"{"taken_at_ms":"#));
/// ```
#[must_use]
pub fn respond(method: &Method, path: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
    Options::new().respond(method, path, headers)
}

/// Runs the program of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
