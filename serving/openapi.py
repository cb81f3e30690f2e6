"""The OpenAPI entries of the predict routes, made from the manifest."""

from bundle.manifest import Manifest
from serving.api_keys import OPEN_PATHS
from serving.schemas import Schema, example_row, reference, schemas

ERRORS = {
    "400": "The body is not JSON.",
    "408": "The request took too long to arrive.",
    "413": "The body or the batch is too large.",
    "422": "A field is missing, unknown, null without being nullable, of the wrong type, or out of range.",
    "500": "Something failed inside; the log has the cause.",
    "503": "The service is over capacity; try again after `Retry-After` seconds.",
}


def add_predict_routes(document: Schema, manifest: Manifest, *, max_rows: int) -> Schema:
    """The document that FastAPI made of the other routes, with the predict routes and their schemas added."""
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas(manifest))
    example = example_row(manifest)
    rows = {"type": "array", "items": reference("Row"), "minItems": 1, "maxItems": max_rows}
    document["paths"] |= {
        "/predict": {"post": _operation("predict", "Predict one row", reference("Row"), example, "Prediction")},
        "/predict/batch": {
            "post": _operation("predict_batch", "Predict an array of rows", rows, [example], "BatchPrediction")
        },
    }
    return document


def require_key(document: Schema) -> None:
    """Declare that the document's routes, except those for health, require an API key."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        if path not in OPEN_PATHS:
            for operation in operations.values():
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = _response("The request has no valid API key.", "Problems")


def _operation(name: str, summary: str, body: Schema, example: object, answer: str) -> Schema:
    responses: Schema = {"200": _response("The prediction.", answer)}
    responses |= {status: _response(text, "Problems") for status, text in ERRORS.items()}
    content = {"application/json": {"schema": body, "example": example}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["predict"],
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }


def _response(text: str, schema: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": reference(schema)}}}
