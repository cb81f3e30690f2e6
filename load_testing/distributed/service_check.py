"""Before any load: does the service serve the model whose answers we are going to expect?"""

import http.client
from contextlib import closing

import msgspec

from load_testing.scenarios import parse_address

_TIMEOUT_SECONDS = 10.0


class WrongService(Exception):
    """There is no service to load, or it serves another model. The message names it."""


class _Metadata(msgspec.Struct):
    version: str


def check_service(url: str | None, version: str) -> None:
    """Ask `/metadata` which version of the model is served.

    Raises:
        WrongService: it is another one than `version`, or nobody answers as the contract says.
    """
    try:
        address = parse_address(url or "")
    except ValueError as error:
        raise WrongService(f"--host: {error}") from error
    with closing(http.client.HTTPConnection(*address, timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", "/metadata")
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise WrongService(f"{url}: no service answers: {error}") from error
    if response.status != 200:
        raise WrongService(f"{url}/metadata: HTTP {response.status}")
    try:
        served = msgspec.json.decode(content, type=_Metadata).version
    except msgspec.DecodeError as error:
        raise WrongService(f"{url}/metadata: not what the services answer: {error}") from error
    if served != version:
        raise WrongService(f"{url} serves model version {served}, but the bundle here is {version}: not the same model")
