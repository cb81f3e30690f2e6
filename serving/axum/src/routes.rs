//! The paths of the service.

/// A predict route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// One row.
    Predict,
    /// An array of rows.
    PredictBatch,
}

impl Endpoint {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Predict, Self::PredictBatch];

    /// The path of the route.
    pub fn path(self) -> &'static str {
        match self {
            Self::Predict => "/predict",
            Self::PredictBatch => "/predict/batch",
        }
    }

    /// The one with this path.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

/// What needs no key: orchestrators have none, and the page of the documentation asks for it to load its content.
pub const OPEN_PATHS: [&str; 4] = ["/health", "/health/live", "/health/ready", "/docs"];

/// What `SERVE_DOCS=off` leaves out.
pub const DOCS_PATHS: [&str; 2] = ["/docs", "/openapi.json"];
