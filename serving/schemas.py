"""JSON Schemas of requests and answers, made from the manifest."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from serving.row_type import EPOCH

Schema = dict[str, Any]

LISTED = 20
"""The most categories or classes that a description lists."""

_TYPES = {bool: "boolean", int: "integer", str: "string"}


def schemas(manifest: Manifest) -> Schema:
    """All schemas, by name."""
    return {
        "Row": _row_schema(manifest),
        "Prediction": _value_schema(manifest) if manifest.task == "regression" else _class_schema(manifest),
        "BatchPrediction": _batch_schema(),
        "Problems": _problems_schema(),
    }


def reference(name: str) -> Schema:
    """A reference to a schema, for use elsewhere in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def example_row(manifest: Manifest) -> dict[str, str | int | float | bool | None]:
    """A row that is valid as it is."""
    return {feature.name: feature.example for feature in manifest.features}


def _row_schema(manifest: Manifest) -> Schema:
    names = [feature.name for feature in manifest.features]
    row = _object({feature.name: _feature_schema(feature) for feature in manifest.features}, names)
    return {**row, "additionalProperties": False, "example": example_row(manifest)}


def _feature_schema(feature: Feature) -> Schema:
    kind = {"numeric": "integer" if feature.integer else "number", "boolean": "boolean"}.get(feature.kind, "string")
    schema: Schema = {"type": [kind, "null"] if feature.nullable else kind, "examples": [feature.example]}
    if feature.kind == "numeric" and not feature.integer:  # an integer just above the largest reads as the largest
        schema |= {"minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
    if feature.kind == "date":
        schema["format"] = "date"
    missing = "null means missing" if feature.nullable else ""
    schema["description"] = "; ".join(part for part in (feature.description, _seen(feature), missing) if part)
    return schema


def _seen(feature: Feature) -> str:
    """The feature's values that training saw. The rare categories are not published."""
    if feature.open:
        return "any string"
    if feature.kind in CATEGORICAL_KINDS:
        return f"seen in training: {_listed(feature.categories)}; others are accepted"
    if feature.minimum is None or feature.maximum is None:
        return ""
    if feature.kind == "date":
        first, last = (date.fromordinal(EPOCH + int(end)).isoformat() for end in (feature.minimum, feature.maximum))
        return f"seen in training: {first} to {last}"
    return f"seen in training: {feature.minimum:g} to {feature.maximum:g}"


def _listed(words: Sequence[str]) -> str:
    """The first of the words, and how many more there are."""
    first, more = ", ".join(words[:LISTED]), len(words) - LISTED
    return f"{first} and {more:,} more" if more > 0 else first


def _value_schema(manifest: Manifest) -> Schema:
    text = f"The model's estimate of {manifest.target}; null where it has no finite one"
    return _object({"prediction": {"type": ["number", "null"], "description": text}}, ["prediction"])


def _class_schema(manifest: Manifest) -> Schema:
    count, label = len(manifest.classes), f"predicted_{manifest.target}"
    properties = {
        "prediction": {"type": "integer", "enum": list(range(count)), "description": f"Class index{_rule(manifest)}"},
        "probabilities": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "minItems": count,
            "maxItems": count,
            "description": f"Probabilities of the classes: {_listed([json.dumps(c) for c in manifest.classes])}",
        },
        label: {"type": _TYPES[type(manifest.classes[0])], "enum": list(manifest.classes)},
    }
    return _object(properties, ["prediction", "probabilities", label])


def _rule(manifest: Manifest) -> str:
    """When the model answers with the positive class."""
    if manifest.positive_class is None or manifest.decision_threshold is None:
        return ""
    return (
        f"; {manifest.classes.index(manifest.positive_class)} where the probability of "
        f"{json.dumps(manifest.positive_class, ensure_ascii=False)} is at least {manifest.decision_threshold:.6g}, "
        "the model's decision threshold"
    )


def _batch_schema() -> Schema:
    rows = {"type": "array", "items": reference("Prediction")}
    return _object({"predictions": rows, "batch_size": {"type": "integer"}}, ["predictions", "batch_size"])


def _problems_schema() -> Schema:
    step = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    properties = {
        "loc": {"type": "array", "items": step},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    }
    problem = _object(properties, list(properties))
    return _object({"detail": {"type": "array", "items": problem}}, ["detail"])


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}
