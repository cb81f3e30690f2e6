"""The web application around a predictor. Both services are built here, so that a benchmark compares models only."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bundle.manifest import Manifest
from serving.api_keys import ApiKeys
from serving.docs_page import add_docs_page
from serving.endpoints import JSON_HEADERS, Buffers, Headers, PredictEndpoint, Worker, batch_threads, respond
from serving.errors import RequestError, Unauthorized
from serving.expected_answer import check_expected_answer
from serving.inference.errors import error_object
from serving.inference.routes import InferenceProtocol
from serving.metrics import Metrics
from serving.openapi import add_predict_routes, require_key
from serving.predictor import Predictor
from serving.request_ids import HEADER, request_id
from serving.request_schema import RequestSchema
from serving.response_schema import answers_of, assemble_row, assemble_rows
from serving.row_independence import can_share, rows_to_try
from serving.settings import Settings
from serving.shared_runs import RowEndpoint

PRIVATE = ("artifacts", "libraries", "study", "distributions")
"""Parts of the manifest that `/metadata` leaves out: what only those who run the service need."""


class Application(FastAPI):
    """FastAPI, with a shortcut past its middleware and router for the endpoints that need neither.

    The shortcut saves about 15 µs per request, as much as a prediction takes. Middleware that is added to the
    application still sees every request: the shortcut is then closed, and the router, which has the same endpoints,
    takes them.
    """

    direct: Mapping[str, ASGIApp] = {}
    endpoints: Sequence[PredictEndpoint]
    backend: str
    manifest: Manifest
    metrics: Metrics
    worker: Worker
    keys: ApiKeys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}  # the body is left out when the answer is sent
            if self.keys:
                try:
                    self.keys.check(scope)
                except Unauthorized as error:
                    refuse = error_object if f"{scope['path']}/".startswith("/v2/") else RequestError.body
                    headers = (*JSON_HEADERS, *error.headers, *self._identified(scope))
                    return await respond(send, error.status, refuse(error), headers)
            if scope["method"] == "POST" and not self.user_middleware:
                endpoint = self.direct.get(scope["path"])
                if endpoint is not None:
                    return await endpoint(scope, receive, send)
        return await super().__call__(scope, receive, send)

    def _identified(self, scope: Scope) -> Headers:
        """The additional header of a predict route's answers."""
        return ((HEADER, request_id(scope)),) if scope["path"] in self.direct else ()


def create_app(
    predictor: Predictor, manifest: Manifest, settings: Settings, metrics: Metrics | None = None
) -> Application:
    """The application; it is ready once it has started up.

    It counts in `metrics`, those of the process's previous application, or in new ones.

    Raises:
        BundleError: the model does not give the answer that its bundle expects, or lacks a feature that is to be
            recorded.
    """
    if settings.record is not None:
        settings.record.recorded(manifest)
    requests = RequestSchema(manifest, max_rows=settings.max_batch_rows, piece_bytes=predictor.piece_bytes)
    check_expected_answer(predictor, requests, manifest)
    answers = answers_of(manifest)
    worker = Worker(
        predictor=predictor,
        metrics=metrics or Metrics(predictor.backend),
        threads=batch_threads(),
        buffers=Buffers(settings.max_buffered_bytes),
        max_body_bytes=settings.max_body_bytes,
        max_wait=settings.max_wait_ms / 1000,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.metrics.serve(manifest)
        app.state.ready = True
        yield
        # The batch thread still works for the requests in hand; it ends when nothing can use it any more.
        app.state.ready = False
        worker.metrics.publish()

    app = Application(
        title=f"{manifest.name} ({predictor.backend})",
        version=manifest.version,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redirect_slashes=False,
        exception_handlers={405: _refuse_method},
        redoc_url=None,
    )
    app.keys = settings.api_keys
    app.state.ready = False
    shared = predictor.shares_runs and can_share(predictor, rows_to_try(manifest))
    row_endpoint = RowEndpoint if shared else PredictEndpoint
    endpoints = (
        row_endpoint("/predict", requests.decode_row, answers.encode_row, assemble_row, worker),
        PredictEndpoint("/predict/batch", requests.decode_rows, answers.encode_rows, assemble_rows, worker),
    )
    app.backend, app.manifest, app.metrics = predictor.backend, manifest, worker.metrics
    app.endpoints, app.worker = endpoints, worker
    protocol = InferenceProtocol(manifest, requests, worker, max_rows=settings.max_batch_rows)
    app.direct = {**{endpoint.route: endpoint for endpoint in endpoints}, **protocol.direct}
    app.router.routes += [Route(endpoint.route, endpoint, methods=["POST"]) for endpoint in endpoints]
    app.router.routes += [Route("/v2", protocol), Route("/v2/{path:path}", protocol)]
    _add_information(app, predictor.backend, manifest, settings)
    _describe_predict_routes(app, manifest, settings)
    return app


async def _refuse_method(request: Request, error: Exception) -> Response:
    """Starlette's answer, with HEAD, which works wherever GET does, and the request's id added."""
    allowed = cast("HTTPException", error).headers or {}
    methods = allowed.get("Allow", "").replace("GET", "GET, HEAD")
    headers = {"allow": methods, HEADER.decode(): request_id(request.scope).decode()}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, headers=headers)


def _add_information(app: Application, backend: str, manifest: Manifest, settings: Settings) -> None:
    """Routes about the service. None refers to the application: FastAPI keeps path functions for ever in its own
    caches, and would keep with them the model of every bundle that was replaced.
    """
    public = {key: value for key, value in msgspec.to_builtins(manifest).items() if key not in PRIVATE}
    for feature in public["features"]:
        del feature["rare"]
    docs = ("/docs", "/openapi.json") if settings.docs else ()
    links = ("/predict", "/predict/batch", "/v2", *docs, "/metadata", "/health/ready", "/metrics")
    root = {
        "service": f"{manifest.name} over HTTP",
        "backend": backend,
        "model": {"name": manifest.name, "version": manifest.version},
        "links": list(links),
    }

    @app.get("/", tags=["about"], summary="What this service is")
    async def about() -> dict[str, Any]:
        return root

    @app.get("/metadata", tags=["about"], summary="The public part of the model's manifest")
    async def metadata() -> dict[str, Any]:
        return public

    @app.get("/health", tags=["health"], summary="200 while the process runs")
    @app.get("/health/live", tags=["health"], summary="200 while the process runs")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/health/ready",
        tags=["health"],
        summary="200 when the model answers",
        responses={503: {"description": "The model is not loaded, or the service is shutting down."}},
    )
    async def ready(request: Request, response: Response) -> dict[str, str]:
        if request.app.state.ready:
            return {"status": "ready", "model": manifest.name, "version": manifest.version}
        response.status_code = 503
        return {"status": "not ready"}

    @app.get("/metrics", tags=["about"], summary="Prometheus metrics of all workers", response_class=Response)
    async def expose_metrics(request: Request) -> Response:
        return Response(request.app.metrics.expose(), media_type=CONTENT_TYPE_LATEST)

    if settings.docs:
        add_docs_page(app)


def _describe_predict_routes(app: FastAPI, manifest: Manifest, settings: Settings) -> None:
    without_predict_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = without_predict_routes()
        if "/predict" not in document["paths"]:
            add_predict_routes(document, manifest, max_rows=settings.max_batch_rows)
            if settings.api_keys:
                require_key(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend its document
