//! HTTP server on a thread of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use finalite::workspace::{Stop, Worker};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time;

use super::respond::{Asked, respond};
use crate::{ServeError, Served, history};

/// Largest size in bytes of a request's head. hyper accepts no smaller limit.
const HEADER_BYTES_MAX: usize = 8192;
const HEADERS_MAX: usize = 64;
/// Time after which a client's connection may be closed if other clients wait.
const SLOW: Duration = Duration::from_secs(1);

/// A running server, returned by [`serve`](crate::serve) or [`Options::serve`](crate::Options::serve).
///
/// Dropping it stops the server: when the drop returns, its thread has ended and its sockets are closed. A forked child
/// process has no such thread and nothing to stop, but shares the port until it ends.
#[must_use = "dropping it stops it"]
pub struct Endpoint {
    address: SocketAddr,
    _worker: Worker,
}

impl Endpoint {
    pub(crate) fn start(addresses: &[SocketAddr], served: Arc<Served>) -> Result<Self, ServeError> {
        let listener = std::net::TcpListener::bind(addresses).map_err(ServeError::Bind)?;
        let address = listener.local_addr().map_err(ServeError::Bind)?;
        listener.set_nonblocking(true).map_err(ServeError::Bind)?;
        let (report, started) = mpsc::channel();
        let work = move |stop: &Stop| match start_runtime(listener) {
            Ok((runtime, listener)) => {
                let _ = report.send(Ok(()));
                run(&runtime, listener, served, stop);
            }
            Err(error) => drop(report.send(Err(error))),
        };
        let worker = Worker::start("finalite-endpoint", work).map_err(ServeError::Start)?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("its thread has ended"))).map_err(ServeError::Start)?;
        tracing::info!(target: "finalite::endpoint", %address, "listening");
        Ok(Self { address, _worker: worker })
    }

    /// Returns the address on which it listens, with the port that was chosen if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Creates the runtime. It is called on the serving thread: a runtime must not be dropped within another runtime, in
/// which the caller may be.
fn start_runtime(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let entered = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    drop(entered);
    Ok((runtime, listener))
}

/// Serves until the stop is set. The tasks end with the runtime, which the caller drops.
fn run(runtime: &Runtime, listener: TcpListener, served: Arc<Served>, stop: &Stop) {
    let (tell, told) = oneshot::channel::<()>();
    stop.on_set(move || drop(tell));
    runtime.block_on(async {
        history::keep(&served);
        drop(tokio::spawn(accept(listener, served)));
        // The stop drops the sender, which completes this receiver.
        let _ = told.await;
    });
}

async fn accept(listener: TcpListener, served: Arc<Served>) {
    let mut clients = Clients(VecDeque::new());
    loop {
        clients.make_room(served.options.connections_max).await;
        match listener.accept().await {
            Ok((stream, _)) => clients.add(tokio::spawn(converse(stream, Arc::clone(&served))).abort_handle()),
            Err(error) => {
                // The likely cause is that no descriptor is left; one may become free.
                tracing::warn!(target: "finalite::endpoint", %error, "a client could not be accepted");
                time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Clients that are being served, in the order of their connecting.
struct Clients(VecDeque<(Instant, AbortHandle)>);

impl Clients {
    fn add(&mut self, client: AbortHandle) {
        self.0.push_back((Instant::now(), client));
    }

    /// Waits until there are fewer than `most` clients. If the oldest has been connected longer than [`SLOW`], it is
    /// aborted.
    async fn make_room(&mut self, most: usize) {
        loop {
            self.0.retain(|(_, client)| !client.is_finished());
            let Some((since, oldest)) = self.0.front().filter(|_| self.0.len() >= most) else {
                return;
            };
            if since.elapsed() >= SLOW {
                oldest.abort();
            }
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Serves one request of a client.
async fn converse(stream: TcpStream, served: Arc<Served>) {
    let longest = served.options.time_max;
    let answer = service_fn(|request: Request<Incoming>| {
        let asked = Asked::new(request.method(), request.version(), request.uri(), request.headers());
        let answer = respond(&served.options, served.history.as_ref(), asked);
        async { Ok::<Response<Full<Bytes>>, Infallible>(answer.map(Full::from)) }
    });
    let mut http = http1::Builder::new();
    // A persistent connection would need monitoring to distinguish an idle client from a slow one.
    http.keep_alive(false).max_buf_size(HEADER_BYTES_MAX).max_headers(HEADERS_MAX);
    http.timer(TokioTimer::new()).header_read_timeout(longest);
    match time::timeout(longest, http.serve_connection(TokioIo::new(stream), answer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(target: "finalite::endpoint", %error, "a client went wrong"),
        Err(_) => tracing::debug!(target: "finalite::endpoint", "a client took too long"),
    }
}
