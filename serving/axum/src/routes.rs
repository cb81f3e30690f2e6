//! The paths of the service.

/// A predict route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// One row.
    Predict,
    /// An array of rows.
    PredictBatch,
    /// Rows as the tensors of the Open Inference Protocol.
    Infer,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Predict, Self::PredictBatch, Self::Infer];

    /// The path of the route, or its name in the metrics where the path depends on the model.
    pub fn path(self) -> &'static str {
        match self {
            Self::Predict => "/predict",
            Self::PredictBatch => "/predict/batch",
            Self::Infer => "infer",
        }
    }

    /// The route with this path, whatever model the path names.
    pub fn of(path: &str) -> Option<Self> {
        if path.starts_with("/v2/models/") && path.ends_with("/infer") {
            return Some(Self::Infer);
        }
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

/// Paths that need no key: orchestrators have none, and the documentation page asks for the key to load its content.
pub const OPEN_PATHS: [&str; 6] =
    ["/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/docs"];

/// Whether a path is one of the Open Inference Protocol, which has its own form of errors.
pub fn is_protocol_path(path: &str) -> bool {
    path.strip_prefix("/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What `SERVE_DOCS=off` leaves out.
pub const DOCS_PATHS: [&str; 2] = ["/docs", "/openapi.json"];
