"""Prints the fields of an InferenceService, as JSON on stdin, that KServe's own models or Kubernetes' don't have.

Runs in KServe's own environment.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import kserve.models
import kubernetes.client


def unknown_fields(value: Any, kind: str, place: str) -> Iterator[str]:
    """`kind` is the name of a type as the generated models write it: V1Container, list[V1Container], str."""
    if kind.startswith("list["):
        for one in value:
            yield from unknown_fields(one, kind.removeprefix("list[").removesuffix("]"), place)
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind, None)
    if not hasattr(model, "openapi_types"):
        return
    kinds = {written: model.openapi_types[name] for name, written in model.attribute_map.items()}
    for name, field in value.items():
        if name in kinds:
            yield from unknown_fields(field, kinds[name], f"{place}.{name}")
        else:
            yield f"{place}.{name}"


service = json.load(sys.stdin)
json.dump(list(unknown_fields(service, "V1beta1InferenceService", service["kind"])), sys.stdout)
