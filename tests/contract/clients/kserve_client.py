"""Sends rows with KServe's clients, over HTTP in JSON and binary and over gRPC. Runs in KServe's own environment."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse
from kserve.inference_client import RESTConfig


def inputs(rows: list[dict[str, Any]], null: str, *, binary: bool) -> list[InferInput]:
    made = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        if any(isinstance(value, str) for value in values):
            array = np.array([null if value is None else value for value in values], dtype=object)
            datatype = "BYTES"
        else:
            array, datatype = np.array([np.nan if value is None else value for value in values], dtype=float), "FP64"
        tensor = InferInput(name, [len(rows), 1], datatype)
        tensor.set_data_from_numpy(array.reshape(-1, 1), binary_data=binary)
        made.append(tensor)
    return made


def as_lists(response: InferResponse) -> dict[str, list[Any]]:
    found = {}
    for one in response.outputs:
        values = one.as_numpy().tolist()
        found[one.name] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return found


async def answers(task: dict[str, Any]) -> AsyncIterator[InferResponse]:
    def request(*, binary: bool) -> InferRequest:
        made = inputs(task["rows"], task["null"], binary=binary)
        return InferRequest(task["model"], made, parameters={"null_string": task["null"]})

    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    url = f"http://127.0.0.1:{task['port']}"
    assert await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, task["model"])
    for binary in (False, True):
        yield await rest.infer(url, request(binary=binary), model_name=task["model"])
    await rest.close()
    if not task["grpc_port"]:
        return
    client = InferenceGRPCClient(f"127.0.0.1:{task['grpc_port']}")
    assert await client.is_server_ready()
    assert await client.is_model_ready(task["model"])
    for binary in (False, True):
        yield await client.infer(request(binary=binary))
    await client.close()


async def main() -> None:
    task = json.load(sys.stdin)
    json.dump([as_lists(response) async for response in answers(task)], sys.stdout)


asyncio.run(main())
