"""The application that a process serves, and how a newer bundle's replaces it while requests are answered."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from bundle.errors import BundleError
from serving.app import Application
from serving.metrics import Metrics
from serving.process.connections import STATE_KEY, ConnectionLimits
from serving.process.observers import Observers
from serving.process.private_folder import of_parent
from serving.settings import Settings, SettingsError, read_keys, read_settings

logger = logging.getLogger("serving")

RELOADING_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
"""Reload keys and bundle, and keys only. They are blocked until a process can handle them, so that none is lost."""

LOAD_SECONDS = 120
"""How long a model that replaces the current one may take to be loaded and to answer its example."""

Build = Callable[[Settings, Metrics | None], Application]
"""Reads the bundle and makes its application; it counts in the given metrics, or in new ones."""


def make_application(build: Build, settings: Settings, metrics: Metrics | None = None) -> Application:
    """The application of the bundle that is there.

    Raises:
        BundleError: the bundle can't be used, whatever its model raised when it was loaded or called.
    """
    try:
        return build(settings, metrics)
    except BundleError:
        raise
    except BaseException as error:  # a pickle may raise anything
        reason = " ".join(str(error).split()) or "no reason is given"
        raise BundleError(
            f"{settings.model_dir}: the model can't be used: {type(error).__name__}: {reason[:500]}"
        ) from error


def start_worker(build: Build, *, default_port: int) -> "ReloadingApplication":
    """What a worker process serves. One that can't start tells its parent why, and ends."""
    try:
        return ReloadingApplication(build, read_settings(default_port=default_port))
    except (SettingsError, BundleError) as error:
        if (private := of_parent()) is not None:
            private.write_failure(str(error))
        sys.exit(1)


class ReloadingApplication:
    """ASGI: hands every request to the current application. SIGHUP rereads the API keys, builds another application,
    and puts it in the current one's place; SIGUSR1 rereads only the keys.

    A request belongs to one application from its first byte to its last, so that no answer mixes two bundles. The next
    application is built in a thread and has answered its example row before it is put in place; if that fails, the log
    says why, and the current one stays. Keys and model change independently: neither waits for the other to be valid.
    """

    def __init__(self, build: Build, settings: Settings) -> None:
        """Raises BundleError: the bundle can't be used."""
        self._build = build
        self._settings = settings
        self._current = make_application(build, settings)
        self._observers = Observers(settings, self._current)
        self._observers.watch(self._current)
        self._lives = AsyncExitStack()
        self._building: threading.Thread | None = None
        self._reloading = asyncio.Lock()
        self._lifespan = Router(lifespan=self._live)
        self._limits = ConnectionLimits(
            connections=settings.max_connections,
            requests=settings.max_concurrency,
            seconds=settings.request_seconds,
        )

    @property
    def version(self) -> str:
        """The version of the model that is served."""
        return self._current.version

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
        self._observers.start()
        enforcement = loop.create_task(self._limits.enforce())
        loop.add_signal_handler(signal.SIGHUP, start_reload)
        loop.add_signal_handler(signal.SIGUSR1, self.reload_keys)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, RELOADING_SIGNALS)
        try:
            yield {STATE_KEY: self._limits}
        finally:
            for number in RELOADING_SIGNALS:
                loop.remove_signal_handler(number)
            for task in (enforcement, *reloads):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await self._lives.aclose()
            self._observers.stop()

    def reload_keys(self) -> None:
        """Reread the API keys."""
        try:
            keys = read_keys()
        except (SettingsError, OSError, ValueError) as error:
            logger.error("not reloaded, the API keys stay: %s", error)
            return
        self._settings = replace(self._settings, api_keys=keys)
        self._current.keys = keys

    async def _build_aside(self) -> Application:
        """The application of the bundle that is there, made in a thread of its own: a pool's thread would keep a
        service from ending while it loads a model that never finishes.

        Raises:
            BundleError: the bundle can't be used, or takes too long.
        """
        loop = asyncio.get_running_loop()
        built: asyncio.Future[Application] = loop.create_future()

        def tell(method: Callable[[Any], None], outcome: object) -> None:
            if not built.done():
                method(outcome)

        def build() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                try:
                    made = make_application(self._build, self._settings, self._current.metrics)
                    loop.call_soon_threadsafe(tell, built.set_result, made)
                except BundleError as error:
                    loop.call_soon_threadsafe(tell, built.set_exception, error)

        self._building = threading.Thread(target=build, name="reload", daemon=True)
        self._building.start()
        try:
            return await asyncio.wait_for(built, LOAD_SECONDS)
        except TimeoutError:
            raise BundleError(f"the new model takes longer than {LOAD_SECONDS} seconds to be loaded") from None

    def is_building(self) -> bool:
        """Whether a model is still being loaded, perhaps one that never finishes."""
        return self._building is not None and self._building.is_alive()

    async def reload(self) -> None:
        """Reread the API keys, and replace the current application by one of the bundle that is there now."""
        self.reload_keys()
        async with self._reloading:
            try:
                successor = await self._build_aside()
                life = AsyncExitStack()
                await life.enter_async_context(_lifespan_of(successor))
            except BundleError as error:
                logger.error("not reloaded: %s; model version %s stays", error, self._current.version)
                return
            except Exception:
                logger.exception("not reloaded; model version %s stays", self._current.version)
                return
            self._observers.watch(successor)
            successor.keys = self._settings.api_keys  # they may have been replaced while it was made
            previous, self._current = self._lives, successor
            self._lives = life
            await previous.aclose()
            del previous
            gc.collect()  # applications are full of cycles, which would otherwise be freed only after many reloads
            logger.info("reloaded: model version %s", successor.version)


def _lifespan_of(app: Application) -> contextlib.AbstractAsyncContextManager[Any]:
    return app.router.lifespan_context(app)
