"""An event loop for Dask's clients and clusters, in a thread of its own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

from tornado.ioloop import IOLoop


@contextmanager
def event_loop() -> Iterator[IOLoop]:
    """A running loop, closed with everything that is still open in it when the block ends.

    A loop that distributed starts itself has ten seconds to start, and a lock is held while it does. Closing a client
    takes the same lock. If the garbage collector finds an unclosed client in the new loop's thread, the two wait for
    each other until the ten seconds are over, and the cluster fails with a bare AssertionError.
    """
    running: Future[IOLoop] = Future()
    stop = asyncio.Event()

    async def run() -> None:
        running.set_result(IOLoop.current())
        await stop.wait()

    def target() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if running.done():
                raise
            running.set_exception(error)

    thread = Thread(target=target, name="dask event loop")
    thread.start()
    try:
        loop = running.result()
        yield loop
    finally:
        if running.exception() is None:
            running.result().add_callback(stop.set)
        thread.join()
