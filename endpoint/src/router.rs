//! Router for axum.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{HeaderMap, Method, Response, Uri, Version};

use super::respond::{Asked, PATHS, respond};
use crate::{Served, history};

pub(crate) fn router(served: Arc<Served>) -> Router {
    history::keep(&served);
    let answer = move |method: Method, version: Version, uri: Uri, headers: HeaderMap| {
        // The router may have been made before the runtime.
        history::keep(&served);
        let asked = Asked::new(&method, version, &uri, &headers);
        let answer: Response<Body> = respond(&served.options, served.history.as_ref(), asked).map(Body::from);
        async { answer }
    };
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(answer.clone())))
}
