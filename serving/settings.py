"""Settings of a service, from environment variables, checked once at start."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bundle.cpus import usable_cpus
from bundle.files import read_regular
from serving.api_keys import ApiKeys, InvalidKey
from serving.record_settings import RecordSettings, parse_folder, parse_names, parse_part
from serving.trace_settings import read_tracing

PREFIX = "SERVE_"
NAMES = (
    "API_KEY",
    "API_KEY_FILE",
    "DOCS",
    "GRPC_PORT",
    "HOST",
    "LOG_LEVEL",
    "MANIFEST_SHA256",
    "MAX_BATCH_ROWS",
    "MAX_BODY_BYTES",
    "MAX_BUFFERED_BYTES",
    "MAX_CONCURRENCY",
    "MAX_CONNECTIONS",
    "MAX_WAIT_MS",
    "MODEL_DIR",
    "PORT",
    "RECORD_BYTES",
    "RECORD_DIR",
    "RECORD_FIELDS",
    "RECORD_SAMPLE",
    "REQUEST_SECONDS",
    "SHUTDOWN_SECONDS",
    "WORKERS",
)
MAX_KEY_FILE_BYTES = 1 << 20
"""A longer file of keys is not read."""

KEY_DIGESTS = "SERVING_KEY_DIGESTS"
"""The variable that tells workers where their parent wrote the digests of the keys that it has read: all of them have
the same keys, whatever has happened to the file since.
"""

Parsed = TypeVar("Parsed")

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


class SettingsError(Exception):
    """A setting is wrong. The message names the variable, its value, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`port` 0 takes a free one. `manifest_sha256` pins the bundle; None accepts any.

    `max_body_bytes`, `max_batch_rows` and `request_seconds` (for its arrival) limit a request, the other limits one
    worker process. `record` is None if nothing is recorded; `tracing` is configured by OpenTelemetry's own variables.
    """

    model_dir: Path
    manifest_sha256: str | None
    api_keys: ApiKeys
    docs: bool
    host: str
    port: int
    workers: int
    max_body_bytes: int
    max_batch_rows: int
    max_buffered_bytes: int
    max_concurrency: int
    max_connections: int
    max_wait_ms: int
    request_seconds: int
    shutdown_seconds: int
    log_level: str
    record: RecordSettings | None
    tracing: bool


def read_settings(environment: Mapping[str, str] = os.environ, *, default_port: int) -> Settings:
    """The settings in the environment; those that it doesn't name have defaults.

    Raises:
        SettingsError: a value is not what its variable takes, or a variable with the prefix is not known.
    """
    _refuse_unknown(environment)

    def text(name: str, default: str = "") -> str:
        return environment.get(PREFIX + name, "").strip() or default

    def whole(name: str, default: int, lowest: int, highest: int) -> int:
        value = text(name, str(default))
        if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
            raise SettingsError(f"{PREFIX}{name}={value!r}: a whole number from {lowest:,} to {highest:,} is needed")
        return int(value)

    def one_of(name: str, default: str, allowed: Sequence[str]) -> str:
        value = text(name, default).lower()
        if value not in allowed:
            raise SettingsError(f"{PREFIX}{name}={value!r}: one of {', '.join(allowed)} is needed")
        return value

    def parsed(name: str, parse: Callable[[str], Parsed], default: str = "") -> Parsed:
        value = text(name, default)
        try:
            return parse(value)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{name}={value!r}: {error}") from None

    pin = text("MANIFEST_SHA256").lower()
    if not re.fullmatch("([0-9a-f]{64})?", pin):
        raise SettingsError(f"{PREFIX}MANIFEST_SHA256={pin!r}: 64 hexadecimal digits are needed")
    max_body_bytes = whole("MAX_BODY_BYTES", 16 << 20, 1024, 1 << 30)
    folder = parsed("RECORD_DIR", parse_folder)
    sample = parsed("RECORD_SAMPLE", parse_part, "0.01")
    most_bytes = whole("RECORD_BYTES", 1 << 30, 1 << 20, 1 << 50)
    fields = parsed("RECORD_FIELDS", parse_names)
    return Settings(
        model_dir=Path(text("MODEL_DIR", "models")),
        manifest_sha256=pin or None,
        api_keys=read_keys(environment),
        docs=one_of("DOCS", "on", ("on", "off")) == "on",
        host=text("HOST", "127.0.0.1"),
        port=whole("PORT", default_port, 0, 65_535),
        workers=whole("WORKERS", usable_cpus(), 1, 256),
        max_body_bytes=max_body_bytes,
        max_batch_rows=whole("MAX_BATCH_ROWS", 50_000, 1, 10_000_000),
        # at least two bodies of the longest kind, so that one client alone can't keep all the others out
        max_buffered_bytes=whole("MAX_BUFFERED_BYTES", max(128 << 20, 2 * max_body_bytes), 2 * max_body_bytes, 1 << 40),
        max_concurrency=whole("MAX_CONCURRENCY", 256, 1, 65_536),
        max_connections=whole("MAX_CONNECTIONS", 4096, 1, 1 << 20),
        max_wait_ms=whole("MAX_WAIT_MS", 1000, 1, 3_600_000),
        request_seconds=whole("REQUEST_SECONDS", 30, 1, 3600),
        shutdown_seconds=whole("SHUTDOWN_SECONDS", 10, 1, 3600),
        log_level=one_of("LOG_LEVEL", "info", LOG_LEVELS),
        record=None
        if folder is None
        else RecordSettings(folder=folder, sample=sample, most_bytes=most_bytes, fields=fields),
        tracing=_read_tracing(environment),
    )


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    if environment.get(f"{PREFIX}GRPC_PORT", "").strip():
        raise SettingsError(f"{PREFIX}GRPC_PORT: only the Rust service speaks gRPC")
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in NAMES)
    if unknown:
        raise SettingsError(f"unknown variable {unknown[0]}; known are {', '.join(PREFIX + name for name in NAMES)}")


def _read_tracing(environment: Mapping[str, str]) -> bool:
    try:
        return read_tracing(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def read_keys(environment: Mapping[str, str] = os.environ) -> ApiKeys:
    """The key in the environment, or those in the file that it names, one per line; no keys if it has neither.

    Raises:
        SettingsError: the file can't be read, or what is given is not a key. No message contains a key.
    """
    if KEY_DIGESTS in environment:
        return ApiKeys.from_digests(Path(environment[KEY_DIGESTS]).read_text(encoding="ascii"))
    key, file = (environment.get(PREFIX + name, "").strip() for name in ("API_KEY", "API_KEY_FILE"))
    if not file:
        try:
            return ApiKeys([key] if key else [])
        except InvalidKey as error:
            raise SettingsError(f"{PREFIX}API_KEY: {error}") from None
    if key:
        raise SettingsError(f"{PREFIX}API_KEY and {PREFIX}API_KEY_FILE: only one of them can be given")
    try:
        lines = read_regular(Path(file), most=MAX_KEY_FILE_BYTES).decode("ascii").splitlines()
        keys = ApiKeys(line.strip() for line in lines if line.strip())
    except OSError as error:
        raise SettingsError(f"{PREFIX}API_KEY_FILE={file!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{PREFIX}API_KEY_FILE={file!r}: it has characters other than ASCII") from None
    except InvalidKey as error:
        raise SettingsError(f"{PREFIX}API_KEY_FILE={file!r}: {error}") from None
    if not keys:
        raise SettingsError(f"{PREFIX}API_KEY_FILE={file!r}: there is no key in it")
    return keys
