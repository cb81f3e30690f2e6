"""What watches the requests of one process, from one bundle to the next: the record and traces, if asked for."""

from serving.app import Application
from serving.settings import Settings, SettingsError
from serving.watching import Observer, Together


class Observers:
    """The observers that the settings ask for. Nothing is imported for the others."""

    def __init__(self, settings: Settings, app: Application) -> None:
        """Raises SettingsError: what they ask for can't be done."""
        self._all: list[Observer] = []
        if settings.record is not None:
            from serving.record.recorder import Recorder  # noqa: PLC0415

            self._all.append(Recorder(settings.record, app.backend, app.metrics))
        if settings.tracing:
            from serving.tracing import Tracing  # noqa: PLC0415

            try:
                self._all.append(Tracing(app.backend))
            except ValueError as error:
                raise SettingsError(f"the traces can't be sent as the variables OTEL_… say: {error}") from error

    def watch(self, app: Application) -> None:
        """Let them watch the requests that this application answers."""
        watchers = [observer.watcher(app.manifest) for observer in self._all]
        if watchers:
            app.worker.watcher = watchers[0] if len(watchers) == 1 else Together(watchers)

    def start(self) -> None:
        """Begin to write what is seen."""
        for observer in self._all:
            observer.start()

    def stop(self) -> None:
        """Write what is left."""
        for observer in self._all:
            observer.stop()
