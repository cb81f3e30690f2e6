//! `/docs`: the service's schema in Swagger UI, from files inside the binary. Nothing is loaded from another host.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;
use axum::routing::get;

/// The page's files: path, content type and content.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/docs", "text/html; charset=utf-8", include_bytes!("../../docs/index.html")),
    ("/docs/start.js", JAVASCRIPT, include_bytes!("../../docs/start.js")),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css"))),
    ("/docs/swagger-ui-bundle.js", JAVASCRIPT, include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js"))),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const HEADERS: [(HeaderName, &str); 3] = [
    // scripts are files of this service, the only host that the page may talk to; Swagger UI uses inline styles
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Whether the path is the page's or one of its files'.
pub fn has(path: &str) -> bool {
    FILES.iter().any(|(file, _, _)| *file == path)
}

/// Add the page and its files.
pub fn add_to<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    FILES.into_iter().fold(router, |router, (path, kind, content)| {
        router.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], HEADERS, content).into_response() }))
    })
}
