"""The ways to set up a session that are compared, as changes of the product's own settings."""

from collections.abc import Callable
from dataclasses import dataclass

import onnxruntime
from onnxruntime import ExecutionMode, GraphOptimizationLevel, SessionOptions

from experiments.study.contestants import open_session, product_options


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A session that is measured: `make` gives new options.

    `saved` sessions load the graph as ONNX Runtime saved it after its optimisations.
    """

    name: str
    make: Callable[[], SessionOptions] = product_options
    saved: bool = False

    def open(self, content: bytes) -> onnxruntime.InferenceSession:
        """A session of the graph."""
        return open_session(content, self.make())


def all_settings() -> tuple[Setting, ...]:
    """The product's settings twice (the second shows the noise), then every change of them."""
    level = GraphOptimizationLevel
    return (
        Setting(name="the product's settings"),
        Setting(name="the same again"),
        Setting(name="ONNX Runtime's defaults", make=SessionOptions),
        Setting(name="graph optimisation: off", make=_with(graph_optimization_level=level.ORT_DISABLE_ALL)),
        Setting(name="graph optimisation: basic", make=_with(graph_optimization_level=level.ORT_ENABLE_BASIC)),
        Setting(name="graph optimisation: extended", make=_with(graph_optimization_level=level.ORT_ENABLE_EXTENDED)),
        Setting(name="saved optimised graph", make=_with(graph_optimization_level=level.ORT_DISABLE_ALL), saved=True),
        Setting(name="two threads, no spinning", make=_with(intra_op_num_threads=2)),
        Setting(name="two threads, spinning", make=_spinning(2)),
        Setting(
            name="parallel execution, two inter-op threads",
            make=_with(execution_mode=ExecutionMode.ORT_PARALLEL, inter_op_num_threads=2),
        ),
        Setting(name="no memory arena", make=_with(enable_cpu_mem_arena=False)),
        Setting(name="no memory pattern", make=_with(enable_mem_pattern=False)),
        Setting(name="no memory reuse", make=_with(enable_mem_reuse=False)),
    )


def _with(**changes: object) -> Callable[[], SessionOptions]:
    def make() -> SessionOptions:
        options = product_options()
        for name, value in changes.items():
            setattr(options, name, value)
        return options

    return make


def _spinning(threads: int) -> Callable[[], SessionOptions]:
    def make() -> SessionOptions:
        options = SessionOptions()  # spinning is the default; ONNX Runtime warns about an option that is set twice
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        return options

    return make
