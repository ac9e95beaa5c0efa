//! Router for axum.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{HeaderMap, Method, Response, Uri, Version};

use super::Served;
use super::respond::{Asked, PATHS, respond};

pub(crate) fn router(served: Arc<Served>) -> Router {
    let answer = move |method: Method, version: Version, uri: Uri, headers: HeaderMap| {
        let asked = Asked::new(&method, version, &uri, &headers);
        let answer: Response<Body> = respond(&served.options, asked).map(Body::from);
        async { answer }
    };
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(answer.clone())))
}
