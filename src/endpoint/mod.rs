//! What SQLite holds, over HTTP: a page for people, metrics for Prometheus, JSON for programs (feature `endpoint`).
//!
//! Two lines in a service:
//!
//! ```
//! let endpoint = finalite::endpoint::serve("127.0.0.1:0")?;
//! println!("SQLite's memory: {}", endpoint.url());
//! # Ok::<(), finalite::endpoint::ServeError>(())
//! ```
//!
//! or, in an axum router of the service's own: `.nest("/sqlite", finalite::endpoint::router())` has the page at
//! `/sqlite`, and `.nest("/sqlite/", …)` at `/sqlite/`.
//!
//! | path | what |
//! |---|---|
//! | `/` | a page that shows it live |
//! | `/metrics` | OpenMetrics 1.0, or Prometheus text 0.0.4, as the client asks |
//! | `/memory.json` | [`Stats::to_json`](crate::stats::Stats::to_json) |
//! | `/handles.json?kind=statement&older_than=2.5&limit=100` | the handles that are recorded, longest open first; `older_than` in seconds; 1,000 unless `limit` says otherwise |
//! | `/handles.txt` | the same, by the lines that opened them |
//! | `/healthz` | `ok` |
//!
//! Each answer is a [`snapshot`](crate::stats::snapshot) of its own: no connection is waited for. What a connection
//! does next after it takes some microseconds longer, in which it makes its figures known.
//!
//! # What it shows to whom
//!
//! Nothing of the data: no bound value is kept anywhere. The text of statements, in which literals may stand, is shown
//! if [`Options::expose_sql`] allows it; lines of the program and names of threads are always shown. By default only
//! this machine is listened to, and only a `Host` that is an address or `localhost` is answered, so that a web page
//! elsewhere cannot read it through a name that it points here. Reading is all that can be done: GET and HEAD.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{HeaderMap, Method, Response, Version};

use crate::raw::registry::Demand;
use crate::stats::Privacy;

mod page;
mod query;
mod respond;
mod router;
mod server;

use respond::Asked;
pub use server::Endpoint;

type Authorize = dyn Fn(&HeaderMap) -> bool + Send + Sync;

/// How to serve. [`serve`], [`router()`] and [`respond`] use what is here by default.
///
/// # Example
///
/// ```
/// use finalite::endpoint::Options;
///
/// let endpoint = Options::new()
///     .expose_sql(true)
///     .authorize(|headers| headers.get("authorization").is_some_and(|given| given == "Bearer secret"))
///     .serve("127.0.0.1:0")?;
/// assert!(endpoint.address().ip().is_loopback());
/// # Ok::<(), finalite::endpoint::ServeError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    privacy: Privacy,
    is_remote: bool,
    has_any_host: bool,
    hosts: Vec<Box<str>>,
    authorize: Option<Arc<Authorize>>,
    has_records: bool,
    connections_max: usize,
    time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// This machine alone, no SQL, no question who asks; handles are recorded as long as it serves; 64 connections at a
    /// time, 10 seconds each.
    pub fn new() -> Self {
        Self {
            privacy: Privacy::HashSql,
            is_remote: false,
            has_any_host: false,
            hosts: Vec::new(),
            authorize: None,
            has_records: true,
            connections_max: 64,
            time_max: Duration::from_secs(10),
        }
    }

    /// Whether the text of statements is shown, up to 256 bytes of each. Literals in it are shown, what was bound is
    /// not. Otherwise a hash of those bytes is, by which a statement can be told from others; who knows all of it but a
    /// short literal can find that by trying.
    pub fn expose_sql(mut self, on: bool) -> Self {
        self.privacy = if on { Privacy::ShowSql } else { Privacy::HashSql };
        self
    }

    /// Whether [`serve`](Self::serve) may listen on an address that other machines reach.
    pub fn allow_remote(mut self, on: bool) -> Self {
        self.is_remote = on;
        self
    }

    /// Answers requests for this host too. The name alone, without a port.
    pub fn host(mut self, name: &str) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Whether requests are answered whatever their `Host` is: for a router behind something that checks it.
    pub fn any_host(mut self, on: bool) -> Self {
        self.has_any_host = on;
        self
    }

    /// Asks this whether a request with these headers is answered. If not, the answer is 401; if it panics, 500.
    /// `/healthz` always is answered.
    pub fn authorize(mut self, authorize: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        self.authorize = Some(Arc::new(authorize));
        self
    }

    /// Whether handles are recorded while this serves, whatever [`handles::level`](crate::handles::level) is: without
    /// records there are only numbers. A record costs a prepared statement some 150 ns, and an execution a look at a
    /// coarse clock: 4 % of a cached lookup by primary key, and nothing to speak of elsewhere.
    pub fn records(mut self, on: bool) -> Self {
        self.has_records = on;
        self
    }

    /// How many clients [`serve`](Self::serve) has at a time. Others wait. While they do, the oldest has to go when it
    /// has been there for a second.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// How long a client of [`serve`](Self::serve) has for its request and our answer together; a day at most.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.time_max = longest.min(Duration::from_secs(24 * 60 * 60));
        self
    }

    /// The answer to a request, without any I/O: for any server.
    ///
    /// `path` is the path below which this is served, with the query. A name that HTTP/2 gives outside of the headers
    /// is to be put into `host`, or it is not looked at.
    #[must_use]
    pub fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        respond::respond(self, Asked { method, version: Version::HTTP_10, authority: None, path, headers })
    }

    /// A router for axum.
    pub fn router(self) -> Router {
        router::router(Served::new(self))
    }

    /// Serves on this address, on a thread of its own, until what this returns is dropped.
    ///
    /// # Errors
    ///
    /// [`ServeError::NotLoopback`] for an address that other machines reach, unless that is
    /// [allowed](Self::allow_remote); [`ServeError::Bind`], [`ServeError::Start`].
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
            .field("privacy", &self.privacy)
            .field("is_remote", &self.is_remote)
            .field("hosts", &self.hosts)
            .field("has_records", &self.has_records)
            .finish_non_exhaustive()
    }
}

/// Options in use. Handles are recorded as long as this lives.
struct Served {
    options: Options,
    _records: Option<Demand>,
}

impl Served {
    fn new(options: Options) -> Arc<Self> {
        let records = options.has_records.then(Demand::new);
        Arc::new(Self { options, _records: records })
    }
}

/// Why nothing is served.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Other machines would reach it, and nobody said that they may.
    #[error("{address} can be reached from other machines: allow it with `Options::allow_remote`")]
    NotLoopback {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address is not to be had.
    #[error("the endpoint cannot listen: {0}")]
    Bind(#[source] io::Error),
    /// There is no thread for it, or no descriptor.
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

/// Serves on this address, as [`Options::new`] says, until what this returns is dropped.
///
/// # Errors
///
/// As [`Options::serve`].
///
/// # Example
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let conn = finalite::Connection::open_in_memory()?;
/// let endpoint = finalite::endpoint::serve("127.0.0.1:0")?;
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

/// A router for axum, as [`Options::new`] says.
///
/// # Example
///
/// ```
/// let app: axum::Router = axum::Router::new().nest("/sqlite", finalite::endpoint::router());
/// ```
pub fn router() -> Router {
    Options::new().router()
}

/// The answer to a request, as [`Options::new`] says. See [`Options::respond`].
///
/// # Example
///
/// ```
/// use http::{HeaderMap, Method};
///
/// let answer = finalite::endpoint::respond(&Method::GET, "/memory.json", &HeaderMap::new());
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.headers()["content-type"], "application/json");
/// assert!(answer.body().starts_with(br#"{"taken_at_ms":"#));
/// ```
#[must_use]
pub fn respond(method: &Method, path: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
    Options::new().respond(method, path, headers)
}
