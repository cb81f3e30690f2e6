"""`/docs`: the service's schema in Swagger UI, from files of this installation. Nothing is loaded from another host."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.responses import FileResponse

OURS = Path(__file__).with_name("docs")
VENDORED = Path(fastapi_offline.__file__).with_name("static")
"""Swagger UI's files; the package's code is not used."""

PATHS = ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js")
HEADERS = {
    # scripts are files of this service, the only host that the page may talk to; Swagger UI uses inline styles
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add_docs_page(app: FastAPI) -> None:
    """Add the page and its files."""
    files = (OURS / "index.html", OURS / "start.js", VENDORED / "swagger-ui.css", VENDORED / "swagger-ui-bundle.js")
    for path, file in zip(PATHS, files, strict=True):
        app.get(path, include_in_schema=False)(_sender(file))


def _sender(file: Path) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(file, headers=HEADERS)

    return send
