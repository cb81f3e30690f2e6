"""Settings of a service, from environment variables, checked once at start."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.cpus import usable_cpus

PREFIX = "SERVE_"
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


class SettingsError(Exception):
    """A setting is wrong. The message names the variable, its value, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`port` 0 takes a free one. `manifest_sha256` pins the bundle; None takes whichever is there.

    The limits hold for a request; `max_concurrency` for one worker process.
    """

    model_dir: Path
    manifest_sha256: str | None
    host: str
    port: int
    workers: int
    max_body_bytes: int
    max_batch_rows: int
    max_concurrency: int
    shutdown_seconds: int
    log_level: str


def read_settings(environment: Mapping[str, str] = os.environ, *, default_port: int) -> Settings:
    """The settings that the environment gives; what it doesn't name has a default.

    Raises:
        SettingsError: a value is not what its variable takes, or a variable with the prefix is not known.
    """
    names = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in names)
    if unknown:
        raise SettingsError(f"unknown variable {unknown[0]}; known are {', '.join(sorted(names))}")

    def whole(name: str, default: int, lowest: int, highest: int) -> int:
        text = environment.get(PREFIX + name, "").strip() or str(default)
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise SettingsError(f"{PREFIX}{name}={text!r}: a whole number from {lowest:,} to {highest:,} is needed")
        return int(text)

    log_level = (environment.get(PREFIX + "LOG_LEVEL", "").strip() or "info").lower()
    if log_level not in LOG_LEVELS:
        raise SettingsError(f"{PREFIX}LOG_LEVEL={log_level!r}: one of {', '.join(LOG_LEVELS)} is needed")
    pin = environment.get(PREFIX + "MANIFEST_SHA256", "").strip().lower()
    if not re.fullmatch("([0-9a-f]{64})?", pin):
        raise SettingsError(f"{PREFIX}MANIFEST_SHA256={pin!r}: 64 hexadecimal digits are needed")
    return Settings(
        model_dir=Path(environment.get(PREFIX + "MODEL_DIR", "").strip() or "models"),
        manifest_sha256=pin or None,
        host=environment.get(PREFIX + "HOST", "").strip() or "127.0.0.1",
        port=whole("PORT", default_port, 0, 65_535),
        workers=whole("WORKERS", usable_cpus(), 1, 256),
        max_body_bytes=whole("MAX_BODY_BYTES", 16 << 20, 1024, 1 << 30),
        max_batch_rows=whole("MAX_BATCH_ROWS", 50_000, 1, 10_000_000),
        max_concurrency=whole("MAX_CONCURRENCY", 256, 1, 65_536),
        shutdown_seconds=whole("SHUTDOWN_SECONDS", 10, 1, 3600),
        log_level=log_level,
    )
