//! The answers behind axum.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{HeaderMap, Method, Response, Uri};

use super::Served;
use super::respond::{Asked, PATHS, respond};

pub(super) fn router(served: Arc<Served>) -> Router {
    let answer = move |method: Method, uri: Uri, headers: HeaderMap| {
        let answer: Response<Body> = respond(&served.options, Asked::new(&method, &uri, &headers)).map(Body::from);
        async { answer }
    };
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(answer.clone())))
}
