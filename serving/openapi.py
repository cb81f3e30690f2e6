"""The OpenAPI entries of the predict routes, as the manifest has them."""

from typing import Any

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import Feature, Manifest
from serving.api_keys import OPEN_PATHS

Schema = dict[str, Any]

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
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {
        "Row": row_schema(manifest),
        "Prediction": _prediction_schema(manifest),
        "BatchPrediction": _batch_schema(),
        "Problems": _problems_schema(),
    }
    example = example_row(manifest)
    rows = {"type": "array", "items": _reference("Row"), "minItems": 1, "maxItems": max_rows}
    document["paths"] |= {
        "/predict": {"post": _operation("predict", "Predict one row", _reference("Row"), example, "Prediction")},
        "/predict/batch": {
            "post": _operation("predict_batch", "Predict an array of rows", rows, [example], "BatchPrediction")
        },
    }
    return document


def require_key(document: Schema) -> None:
    """Say of the document's routes, but those of the health, that they want an API key."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        if path not in OPEN_PATHS:
            for operation in operations.values():
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = _response("The request has no valid API key.", "Problems")


def example_row(manifest: Manifest) -> dict[str, str | int | float | None]:
    """A row that works as it stands."""
    return {feature.name: feature.example for feature in manifest.features}


def row_schema(manifest: Manifest) -> Schema:
    """JSON Schema of one row."""
    return {
        "type": "object",
        "properties": {feature.name: _feature_schema(feature) for feature in manifest.features},
        "required": [feature.name for feature in manifest.features],
        "additionalProperties": False,
        "example": example_row(manifest),
    }


def _feature_schema(feature: Feature) -> Schema:
    kind = "number" if feature.kind == "numeric" else "string"
    schema: Schema = {"type": [kind, "null"] if feature.nullable else kind, "examples": [feature.example]}
    if feature.kind == "numeric":
        schema |= {"minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
        seen = f"seen in training: {feature.minimum:g} to {feature.maximum:g}"
    else:
        seen = "seen in training: " + ", ".join(feature.categories) + "; others are accepted"
    missing = "null means missing" if feature.nullable else ""
    schema["description"] = "; ".join(part for part in (feature.description, seen, missing) if part)
    return schema


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
    return {"description": text, "content": {"application/json": {"schema": _reference(schema)}}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _prediction_schema(manifest: Manifest) -> Schema:
    label = f"predicted_{manifest.target}"
    return {
        "type": "object",
        "properties": {
            "prediction": {
                "type": "integer",
                "enum": [0, 1],
                "description": f"Class index; 1 where the probability of {manifest.positive_class!r} is at least "
                f"{manifest.decision_threshold:.6g}, the model's decision threshold",
            },
            "probabilities": {
                "type": "array",
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "minItems": 2,
                "maxItems": 2,
                "description": f"Probabilities of {manifest.classes[0]!r} and {manifest.classes[1]!r}",
            },
            label: {"type": "string", "enum": list(manifest.classes)},
        },
        "required": ["prediction", "probabilities", label],
    }


def _batch_schema() -> Schema:
    return {
        "type": "object",
        "properties": {
            "predictions": {"type": "array", "items": _reference("Prediction")},
            "batch_size": {"type": "integer"},
        },
        "required": ["predictions", "batch_size"],
    }


def _problems_schema() -> Schema:
    step = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    problem = {
        "type": "object",
        "properties": {
            "loc": {"type": "array", "items": step},
            "msg": {"type": "string"},
            "type": {"type": "string"},
        },
        "required": ["loc", "msg", "type"],
    }
    return {"type": "object", "properties": {"detail": {"type": "array", "items": problem}}, "required": ["detail"]}
