"""Sends a data frame as MLServer's client codec makes it, over HTTP and gRPC. Runs in MLServer's own environment."""

import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse


def frame(rows: list[dict[str, Any]], null: str) -> pd.DataFrame:
    """The codec knows no missing text, and no boolean that is missing."""
    columns = {}
    for name in rows[0]:
        column = pd.Series([row[name] for row in rows], dtype=object)
        if any(isinstance(value, str) for value in column):
            columns[name] = column.where(column.notna(), null)
        else:
            columns[name] = column.astype(float) if column.isna().any() else column.infer_objects()
    return pd.DataFrame(columns)


def as_lists(response: InferenceResponse) -> dict[str, list[Any]]:
    """The codec for frames takes a tensor for a column, and probabilities are several: each output by itself."""
    found = {}
    for one in response.outputs:
        values = (StringCodec if one.datatype == "BYTES" else NumpyCodec).decode_output(one)
        found[one.name] = values if isinstance(values, list) else np.asarray(values).tolist()
    return found


def answers(task: dict[str, Any], request: InferenceRequest) -> Iterator[InferenceResponse]:
    url = f"http://127.0.0.1:{task['port']}/v2/models/{task['model']}/infer"
    content = request.model_dump_json(exclude_none=True).encode()
    with urlopen(Request(url, content, {"content-type": "application/json"})) as answer:
        yield InferenceResponse.model_validate_json(answer.read())
    if not task["grpc_port"]:
        return
    with grpc.insecure_channel(f"127.0.0.1:{task['grpc_port']}") as channel:
        for raw in (False, True):
            message = ModelInferRequestConverter.from_types(request, task["model"], "", use_raw=raw)
            yield ModelInferResponseConverter.to_types(GRPCInferenceServiceStub(channel).ModelInfer(message))


task = json.load(sys.stdin)
request = PandasCodec.encode_request(frame(task["rows"], task["null"]))
request.parameters.null_string = task["null"]
json.dump([as_lists(response) for response in answers(task, request)], sys.stdout)
