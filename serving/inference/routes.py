"""The paths under `/v2`, as one ASGI application: it answers all of them in the protocol's form, errors included."""

from starlette.types import Receive, Scope, Send

from bundle.graph_names import outputs_of
from bundle.manifest import Manifest
from serving.endpoints import JSON_HEADERS, Headers, Worker, respond
from serving.errors import RequestError
from serving.inference.endpoint import InferEndpoint
from serving.inference.errors import MethodNotAllowed, NotFound, error_object, quoted
from serving.inference.inputs import InputSchema
from serving.inference.metadata import model_metadata, server_metadata
from serving.inference.outputs import OutputSchema
from serving.request_ids import HEADER, request_id
from serving.request_schema import RequestSchema

LIVE = b'{"live":true}'
READY, NOT_READY = b'{"ready":true}', b'{"ready":false}'


class InferenceProtocol:
    """Answers requests about the one model and for its predictions.

    `direct` has the predict routes by their paths, for a caller that recognises requests to them.
    """

    def __init__(self, manifest: Manifest, rows: RequestSchema, worker: Worker, *, max_rows: int) -> None:
        self._name, self._version = manifest.name, manifest.version
        outputs = OutputSchema(manifest)
        infer = InferEndpoint(
            InputSchema(manifest, rows, max_rows=max_rows), outputs, outputs_of(manifest.task), worker
        )
        models = (f"/v2/models/{manifest.name}", f"/v2/models/{manifest.name}/versions/{manifest.version}")
        self.direct = {f"{model}/infer": infer for model in models}
        self._documents = {"/v2": server_metadata(), "/v2/health/live": LIVE}
        self._documents |= dict.fromkeys(
            models, model_metadata(manifest, worker.predictor.backend, outputs.outputs.values())
        )
        self._ready = {"/v2/health/ready", *(f"{model}/ready" for model in models)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        infer = self.direct.get(scope["path"])
        if infer is not None and scope["method"] == "POST":
            await infer(scope, receive, send)
        else:
            await respond(send, *self._describe(scope))

    def _describe(self, scope: Scope) -> tuple[int, bytes, Headers]:
        """Status, body and headers of the answer to all but an inference request."""
        path = scope["path"]
        error: RequestError
        identified: Headers = ()
        if path in self.direct:
            error = MethodNotAllowed("POST")
            identified = ((HEADER, request_id(scope)),)
        elif path not in self._ready and path not in self._documents:
            error = NotFound(f"not here; the model is {quoted(self._name)}, its version {quoted(self._version)}")
        elif scope["method"] != "GET":
            error = MethodNotAllowed("GET, HEAD")
        elif path in self._documents:
            return 200, self._documents[path], JSON_HEADERS
        else:
            ready = scope["app"].state.ready
            return (200, READY, JSON_HEADERS) if ready else (503, NOT_READY, JSON_HEADERS)
        return error.status, error_object(error), (*JSON_HEADERS, *error.headers, *identified)
