"""The application that a worker serves, and its replacement by a newer bundle's while requests are answered."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from bundle.errors import BundleError
from serving.app import Application
from serving.metrics import Metrics
from serving.process.connections import STATE_KEY, ConnectionLimits
from serving.settings import Settings, SettingsError

logger = logging.getLogger("serving")

Build = Callable[[Metrics | None], Application]
"""Reads settings and bundle, and makes their application; it counts in the given metrics, or in new ones."""


class ReloadingApplication:
    """ASGI: hands every request to the current application. SIGHUP builds another one and puts it in its place.

    A request belongs to one application from its first byte to its last, so that no answer is half of each bundle. The
    next one is built in a thread and has answered its example row before it is put in place; if that fails, the log
    says why, and the current one stays.
    """

    def __init__(self, build: Build, settings: Settings) -> None:
        self._build = build
        self._current = build(None)
        self._lives = AsyncExitStack()
        self._reloading = asyncio.Lock()
        self._lifespan = Router(lifespan=self._live)
        self._limits = ConnectionLimits(
            connections=settings.max_connections,
            requests=settings.max_concurrency,
            seconds=settings.request_seconds,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        return self._current(scope, receive, send)

    @asynccontextmanager
    async def _live(self, _: Any) -> AsyncIterator[dict[str, Any]]:  # noqa: ANN401 - whatever the router is
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[None]] = set()

        def start_reload() -> None:
            task = loop.create_task(self.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        await self._lives.enter_async_context(_lifespan_of(self._current))
        enforcement = loop.create_task(self._limits.enforce())
        loop.add_signal_handler(signal.SIGHUP, start_reload)
        try:
            yield {STATE_KEY: self._limits}
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for task in (enforcement, *reloads):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await self._lives.aclose()

    async def reload(self) -> None:
        """Put an application of the bundle that is there now in place of the current one."""
        async with self._reloading:
            try:
                successor = await asyncio.to_thread(self._build, self._current.metrics)
                life = AsyncExitStack()
                await life.enter_async_context(_lifespan_of(successor))
            except (SettingsError, BundleError) as error:
                logger.error("not reloaded: %s; model version %s stays", error, self._current.version)
                return
            except Exception:
                logger.exception("not reloaded; model version %s stays", self._current.version)
                return
            previous, self._current = self._lives, successor
            self._lives = life
            await previous.aclose()
            del previous
            gc.collect()  # applications are full of cycles, and by itself the collector comes round after many reloads
            logger.info("reloaded: model version %s", successor.version)


def _lifespan_of(app: Application) -> contextlib.AbstractAsyncContextManager[Any]:
    return app.router.lifespan_context(app)
