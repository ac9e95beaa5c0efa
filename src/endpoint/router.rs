//! The answers behind axum.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{HeaderMap, Method, Response, Uri};

use super::Served;
use super::respond::PATHS;

pub(super) fn router(served: Arc<Served>) -> Router {
    let answer = move |method: Method, uri: Uri, headers: HeaderMap| {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let answer: Response<Body> = served.options.respond(&method, path, &headers).map(Body::from);
        async { answer }
    };
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(answer.clone())))
}
