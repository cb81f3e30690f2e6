//! Whether OpenTelemetry's own variables ask for traces, and whether they can be sent.

use crate::settings::{Environment, SettingsError};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";
const BUILD: &str = "cargo build --release --features tracing-otlp --manifest-path serving/axum/Cargo.toml";

/// Whether requests are traced: an endpoint is named, and the SDK is not disabled. An error says why they can't be.
pub fn read_tracing(environment: &Environment) -> Result<bool, SettingsError> {
    let text = |name: &str| environment.get(name).map_or("", |value| value.trim());
    let Some(endpoint) = ENDPOINTS.into_iter().find(|name| !text(name).is_empty()) else { return Ok(false) };
    if text("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true") {
        return Ok(false);
    }
    if let Some(name) = PROTOCOLS.into_iter().find(|name| !["", PROTOCOL].contains(&text(name))) {
        return Err(SettingsError::new(format!("{name}={:?}: {PROTOCOL} is what the services speak", text(name))));
    }
    if !cfg!(feature = "tracing-otlp") {
        let message = format!("{endpoint} is set, but OpenTelemetry is not built in: {BUILD}");
        return Err(SettingsError::new(message));
    }
    if !text(endpoint).starts_with("http://") {
        return Err(SettingsError::new(format!("{endpoint}={:?}: an address with http:// is needed", text(endpoint))));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<bool, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        read_tracing(&variables.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_turns_it_on() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for off in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "a"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[endpoint, ("OTEL_SDK_DISABLED", "True")],
        ] {
            assert_eq!(read(off), Ok(false), "{off:?}");
        }
        let on = read(&[endpoint, ("OTEL_SDK_DISABLED", "false"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
        if cfg!(feature = "tracing-otlp") {
            assert_eq!(on, Ok(true));
        } else {
            assert_eq!(
                on,
                Err(format!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not built in: {BUILD}"))
            );
        }
        let grpc = read(&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")]).unwrap_err();
        assert_eq!(grpc, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=\"grpc\": http/protobuf is what the services speak");
    }
}
