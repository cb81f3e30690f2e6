//! Answers that don't change while a bundle is served.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::manifest::Manifest;
use crate::openapi;
use crate::routes::DOCS_PATHS;
use crate::settings::Settings;

/// What the service calls itself among the services of a bundle.
pub const BACKEND: &str = "axum";

/// What the service says about itself, as JSON.
pub(crate) struct Documents {
    pub(crate) about: Bytes,
    pub(crate) metadata: Bytes,
    pub(crate) openapi: Option<Bytes>,
    pub(crate) ready: Bytes,
}

impl Documents {
    pub(crate) fn new(manifest: &Manifest, settings: &Settings) -> Self {
        let mut links = vec![
            "/predict",
            "/predict/batch",
            "/v2",
            "/docs",
            "/openapi.json",
            "/metadata",
            "/health/ready",
            "/metrics",
        ];
        links.retain(|link| settings.docs || !DOCS_PATHS.contains(link));
        let (name, version) = (&manifest.name, &manifest.version);
        let about = json!({
            "service": format!("{name} over HTTP"),
            "backend": BACKEND,
            "model": {"name": name, "version": version},
            "links": links,
        });
        let bytes = |document: Value| Bytes::from(document.to_string());
        Self {
            about: bytes(about),
            metadata: bytes(json!(manifest)),
            openapi: settings.docs.then(|| {
                let mut document = openapi::document(manifest, BACKEND, settings.max_batch_rows);
                if !settings.api_keys.is_empty() {
                    openapi::require_key(&mut document);
                }
                bytes(document)
            }),
            ready: bytes(json!({"status": "ready", "model": name, "version": version})),
        }
    }
}
