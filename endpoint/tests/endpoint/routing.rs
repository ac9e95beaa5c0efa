//! `router()`: in a program's own axum.

use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::routing::{get as on_get, post};
use finalite_endpoint::{Options, router};
use http::StatusCode;
use tokio::sync::oneshot;

use crate::Case;
use crate::client::{PATHS, ask, get};

pub const CASES: &[Case] = &[
    ("at the root", a_router_at_the_root),
    ("nested", a_router_that_is_nested),
    ("merged", a_router_that_is_merged_with_others),
    ("many threads", a_router_on_many_threads),
    ("another authority", a_name_outside_of_the_headers_is_looked_at),
];

/// Stops a server when it is dropped.
struct Server(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Serves this while `work` runs.
fn serving(app: Router, work: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stopped = async { drop(stopped.await) };
            axum::serve(listener, app).with_graceful_shutdown(stopped).await.unwrap();
        });
    });
    let _server = Server(Some((stop, server)));
    work(address);
}

/// `/` is served as `page`, the others below `prefix`.
#[track_caller]
fn assert_served(address: SocketAddr, page: &str, prefix: &str) {
    for path in PATHS {
        let below = if path == "/" { page.into() } else { format!("{prefix}{path}") };
        let answer = get(address, &below);
        answer.check(path).unwrap_or_else(|wrong| panic!("{below}: {wrong}"));
        assert_eq!(answer.headers["cache-control"], "no-store", "{below}");
        assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"), "{below}");

        let head = ask(address, "HEAD", &below);
        assert_eq!(head.status, 200, "{below}");
        assert_eq!(head.headers["content-type"], answer.headers["content-type"]);
        assert_ne!(head.headers["content-length"], "0", "{below}");

        let post = ask(address, "POST", &below);
        assert_eq!((post.status, post.headers["allow"].as_str()), (405, "GET, HEAD"), "{below}");
    }
    let filtered = get(address, &format!("{prefix}/handles.json?kind=statement&limit=0"));
    assert_eq!(filtered.json()["handles"].as_array().unwrap().len(), 0);
    assert_eq!(get(address, &format!("{prefix}/handles.json?kind=x")).status, 400);
}

fn a_router_at_the_root() {
    serving(router(), |address| {
        assert_served(address, "/", "");
        assert_eq!(get(address, "/nowhere").status, 404);
        // A prepared request for another name is refused by the router too.
        let request = "GET /memory.json HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        let (bytes, _) = crate::client::send(address, request.as_bytes());
        assert!(bytes.starts_with(b"HTTP/1.1 421 "), "{}", String::from_utf8_lossy(&bytes));
        let (bytes, _) = crate::client::send(address, b"GET /memory.json HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(bytes.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&bytes));
    });
}

fn a_router_that_is_nested() {
    let app = Router::new().route("/", on_get(|| async { "home" })).nest("/sqlite", router());
    serving(app, |address| {
        assert_served(address, "/sqlite", "/sqlite");
        assert_eq!(get(address, "/").text(), "home");
        for path in ["/metrics", "/sqlite/nowhere", "/sqlite/metrics/", "/sqlitex/metrics"] {
            assert_eq!(get(address, path).status, 404, "{path}");
        }
    });
    // For axum it is another path with a slash at the end.
    serving(Router::new().nest("/sqlite/", router()), |address| assert_served(address, "/sqlite/", "/sqlite"));
    // As deep as it may be, beside a fallback of the program's own.
    let inner = Router::new().nest("/b", Options::new().router());
    let app = Router::new().nest("/a", inner).fallback(|| async { (StatusCode::IM_A_TEAPOT, "mine") });
    serving(app, |address| {
        assert_served(address, "/a/b", "/a/b");
        assert_eq!(get(address, "/a/b/nowhere").status, 418);
        assert_eq!(get(address, "/elsewhere").text(), "mine");
    });
}

fn a_router_that_is_merged_with_others() {
    let app = Router::new()
        .route("/hello", on_get(|| async { "hello" }).post(|| async { "posted" }))
        .route("/only-post", post(|| async { "posted" }))
        .merge(router())
        .fallback(|| async { (StatusCode::NOT_FOUND, "the program's own") });
    serving(app, |address| {
        assert_served(address, "/", "");
        assert_eq!(get(address, "/hello").text(), "hello");
        assert_eq!(ask(address, "POST", "/hello").text(), "posted");
        assert_eq!(get(address, "/only-post").status, 405);
        for path in ["/nowhere", "/metrics/", "/hello/metrics"] {
            let answer = get(address, path);
            assert_eq!((answer.status, answer.text()), (404, "the program's own"), "{path}");
        }
    });
}

fn a_router_on_many_threads() {
    serving(Router::new().nest("/sqlite/", router()), |address| {
        thread::scope(|scope| {
            for n in 0..16 {
                scope.spawn(move || {
                    for m in 0..10 {
                        let path = PATHS[(n + m) % PATHS.len()];
                        get(address, &format!("/sqlite{path}")).check(path).unwrap();
                    }
                });
            }
        });
    });
}

/// HTTP/2 has the name in the URI, and so has a request to a proxy.
fn a_name_outside_of_the_headers_is_looked_at() {
    serving(router(), |address| {
        for (target, status) in [
            ("/memory.json", 200),
            ("http://localhost/memory.json", 200),
            ("http://127.0.0.1:80/memory.json", 200),
            ("http://evil.example/memory.json", 421),
        ] {
            assert_eq!(get(address, target).status, status, "{target}");
        }
    });
}
