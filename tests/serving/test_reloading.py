import asyncio
import gc
import logging
import threading
import weakref

import msgspec
import pytest

from serving.app import Application, create_app
from serving.metrics import Metrics
from serving.process.reloading import ReloadingApplication
from serving.settings import Settings
from tests.serving.test_app import ANSWER, FakePredictor


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_replaced_applications_are_let_go_with_their_models(manifest, settings):
    manifest = msgspec.structs.replace(manifest, expected=ANSWER)
    made: list[weakref.ref[Application]] = []

    def build(settings: Settings, metrics: Metrics | None) -> Application:
        app = create_app(FakePredictor(), manifest, settings, metrics)
        made.append(weakref.ref(app))
        return app

    reloading = ReloadingApplication(build, settings)
    for _ in range(3):
        await reloading.reload()
    await asyncio.sleep(0)
    gc.collect()
    assert [app() is not None for app in made] == [False, False, False, True]


@pytest.mark.anyio
async def test_a_model_that_takes_too_long_is_given_up_and_the_next_one_is_taken(
    manifest, settings, monkeypatch, caplog
):
    manifest = msgspec.structs.replace(manifest, expected=ANSWER)
    caplog.set_level(logging.INFO, "serving")
    numbers = iter(range(3))
    go_on = threading.Event()

    def build(settings: Settings, metrics: Metrics | None) -> Application:
        number = next(numbers)
        if number == 1:
            go_on.wait()
        return create_app(
            FakePredictor(), msgspec.structs.replace(manifest, version=f"model {number}"), settings, metrics
        )

    reloading = ReloadingApplication(build, settings)
    monkeypatch.setattr("serving.process.reloading.LOAD_SECONDS", 0.01)
    await reloading.reload()
    assert reloading.is_building()
    assert "takes longer than 0.01 seconds to be loaded; model version model 0 stays" in caplog.text
    monkeypatch.undo()
    await reloading.reload()
    go_on.set()
    assert "reloaded: model version model 2" in caplog.text
