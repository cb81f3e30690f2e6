"""KServe's clients and MLServer's codec for data frames, as they are, against every service (gRPC: the Rust one)."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from load_testing.services import reserved_port
from tests.contract.any_models import MODELS
from tests.contract.inference import NULL, as_outputs
from tests.foreign import python_of
from tests.hand_made_bundle import HandMade, Row
from tests.services import TestedService, running

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).with_name("clients")


class Session:
    """A bundle's service, and what its clients need to know."""

    def __init__(self, bundle: HandMade, service: TestedService, grpc_port: int | None) -> None:
        self.bundle, self.service, self.grpc_port = bundle, service, grpc_port

    def wanted(self, rows: Sequence[Row]) -> dict[str, Any]:
        answer = self.service.client.post("/predict/batch", json=list(rows))
        return as_outputs(self.bundle, answer.json()["predictions"])

    def answers(self, environment: str, script: str, rows: Sequence[Row], *, grpc: bool = True) -> list[dict[str, Any]]:
        """What the client got, each of the ways that it has."""
        task = {
            "port": self.service.port,
            "grpc_port": self.grpc_port if grpc else None,
            "model": self.bundle.name,
            "rows": list(rows),
            "null": NULL,
        }
        command = [python_of(environment), CLIENTS / script]
        ended = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found: list[dict[str, Any]] = json.loads(ended.stdout)
        return found


@pytest.fixture(scope="module", params=MODELS, ids=[bundle.name for bundle in MODELS])
def session(
    request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp(request.param.name)
    request.param.write(folder / "models")
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(reserved_port()) if backend == "axum" else None
        settings = {"grpc_port": port} if port else {}
        service = stack.enter_context(running(backend, folder / "models", folder, **settings))
        yield Session(request.param, service, port)


def test_kserve_s_clients_get_the_answers_of_predict_batch(session: Session):
    rows = session.bundle.rows
    found = session.answers("kserve", "kserve_client.py", rows)
    assert len(found) == (4 if session.grpc_port else 2)
    assert found == [session.wanted(rows)] * len(found)


def test_mlserver_s_codec_gets_the_answers_of_predict_batch(session: Session):
    """Over gRPC it can't say that a number is missing."""
    rows = session.bundle.rows
    assert session.answers("mlserver", "mlserver_frames.py", rows, grpc=False) == [session.wanted(rows)]
    numbers = [one.name for one in session.bundle.features if one.kind in {"numeric", "boolean"}]
    rows = [row for row in rows if all(row[name] is not None for name in numbers)]
    found = session.answers("mlserver", "mlserver_frames.py", rows)
    assert len(found) == (3 if session.grpc_port else 1)
    assert found == [session.wanted(rows)] * len(found)
