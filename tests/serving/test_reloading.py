import asyncio
import gc
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
