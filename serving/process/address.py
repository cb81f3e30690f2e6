"""The address that a service listens on, which no other service can use meanwhile."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from serving.settings import PREFIX, Settings, SettingsError


@contextmanager
def claimed_address(settings: Settings) -> Iterator[None]:
    """Keep other services from the address until the block ends.

    The sockets of several workers may be bound where others listen already, as long as all of them allow it. While two
    services that are started at the same time load their models, neither listens yet; later they would share the
    requests.

    Raises:
        SettingsError: it can't be listened on, or another service has claimed it.
    """
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            _claim(claim, _probe(settings), settings.port)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}HOST={settings.host!r}, {PREFIX}PORT={settings.port}: {error.strerror}"
            ) from error
        yield


def _probe(settings: Settings) -> str:
    """The numeric address. Raises OSError: it can't be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.host, settings.port))
        return str(probe.getsockname()[0])


def _claim(claim: socket.socket, host: str, port: int) -> None:
    """Bind to a name that disappears with the process, and that belongs to this network alone, as the address does.

    Only Linux has such names, and only there can several sockets listen on one address and all get connections.
    """
    if sys.platform == "linux" and port:
        claim.bind(f"\0train-to-serve {host} {port}")
