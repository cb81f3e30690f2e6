"""How every part of this project runs the bundle's graph in ONNX Runtime."""

from typing import Protocol, TypeVar


class SessionOptions(Protocol):
    """`onnxruntime.SessionOptions`, as far as it is used here: this package doesn't need ONNX Runtime."""

    intra_op_num_threads: int
    inter_op_num_threads: int

    def add_session_config_entry(self, key: str, value: str, /) -> object:
        """Set an option that has no attribute."""
        ...


Options = TypeVar("Options", bound=SessionOptions)

PROVIDERS = ("CPUExecutionProvider",)


def as_served(options: Options, threads: int = 1) -> Options:
    """The options, set as the services have them: `threads` threads, one by default, and no spinning.

    A service's process has one CPU. ONNX Runtime's default, a spinning thread for every core of the host, is what makes
    it slow inside a container with a CPU limit.
    """
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
