"""Who is answered: the API keys that a request may have."""

import hmac
from collections.abc import Iterable
from hashlib import sha256

from starlette.types import Scope

from serving.docs_page import PATHS as DOCS_PAGE_PATHS
from serving.errors import Unauthorized

HEALTH_PATHS = ("/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready")
OPEN_PATHS = frozenset((*HEALTH_PATHS, *DOCS_PAGE_PATHS))
"""Paths that need no key: orchestrators have none, and the documentation page asks for the key to load its content."""

MIN_KEY_LENGTH = 16


class InvalidKey(ValueError):
    """A key is not valid. The message says why, without the key."""


class ApiKeys:
    """Keys that give access to the service, kept as SHA-256: the keys themselves are in no dump and no traceback."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Several keys may be valid at once, so that one can be replaced by the next without a gap.

        Raises:
            InvalidKey: a key is shorter than 16 characters, or has characters other than visible ASCII.
        """
        digests = []
        for key in keys:
            if not all("!" <= character <= "~" for character in key):
                raise InvalidKey("a key has visible ASCII characters only, and no spaces")
            if len(key) < MIN_KEY_LENGTH:
                raise InvalidKey(f"a key has at least {MIN_KEY_LENGTH} characters")
            digests.append(sha256(key.encode()).digest())
        self._digests = tuple(digests)

    @classmethod
    def from_digests(cls, text: str) -> "ApiKeys":
        """The keys that `digests` was called on. Raises ValueError: the text is not from `digests`."""
        keys = cls([])
        keys._digests = tuple(bytes.fromhex(line) for line in text.splitlines())
        return keys

    def digests(self) -> str:
        """The keys' SHA-256 in hexadecimal, one per line."""
        return "".join(f"{digest.hex()}\n" for digest in self._digests)

    def __bool__(self) -> bool:
        """Whether a key is required at all."""
        return bool(self._digests)

    def check(self, scope: Scope) -> None:
        """Let the request pass.

        Takes the same time whatever is wrong with a key: it compares all digests, which have the same length.

        Raises:
            Unauthorized: it has no `Authorization: Bearer` header with one of the keys, or more than one such header.
        """
        if scope["path"] in OPEN_PATHS:
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        digest = sha256(token.strip(b" \t")).digest()
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        if scheme.lower() != b"bearer" or not any(known):
            raise Unauthorized
