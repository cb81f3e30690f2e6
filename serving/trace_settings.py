"""Whether OpenTelemetry's own variables ask for traces, and whether they can be sent."""

from collections.abc import Mapping
from importlib.util import find_spec

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
MODULES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
INSTALL = "pip install --require-hashes -r requirements/tracing.lock"


def read_tracing(environment: Mapping[str, str]) -> bool:
    """Whether requests are traced: an endpoint is named, and the SDK is not disabled.

    Raises:
        ValueError: they should be traced but can't be: the packages are not installed, or the protocol is not
            supported.
    """
    endpoint = next((name for name in ENDPOINTS if environment.get(name, "").strip()), None)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    for name in PROTOCOLS:
        if environment.get(name, "").strip() not in ("", PROTOCOL):
            raise ValueError(f"{name}={environment[name]!r}: {PROTOCOL} is what the services speak")
    if not all(map(_is_installed, MODULES)):
        raise ValueError(f"{endpoint} is set, but OpenTelemetry is not installed: {INSTALL}")
    return True


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that contains it is missing
        return False
