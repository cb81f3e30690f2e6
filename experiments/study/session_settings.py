"""The ways to set up a session that are compared, as changes of the product's own settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnxruntime
from onnxruntime import ExecutionMode, GraphOptimizationLevel, SessionOptions

from experiments.study.contestants import product_options

CPU = "CPUExecutionProvider"
PROVIDERS = "ORT_PROVIDERS"
"""Environment variable: names of execution providers, in the order of the fallback chain, with commas between."""

DEFAULT_CHAIN = ("TensorRT", "CUDA", "OpenVINO")
_NAMES = {"tensorrt": "Tensorrt"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A session that is measured: `make` gives new options, `providers` the fallback chain, ending with the CPU.

    `saved` sessions load the graph as ONNX Runtime saved it after its optimisations.
    """

    name: str
    make: Callable[[], SessionOptions] = product_options
    providers: tuple[str, ...] = (CPU,)
    saved: bool = False

    def open(self, content: bytes) -> onnxruntime.InferenceSession:
        """A session of the graph."""
        return onnxruntime.InferenceSession(content, self.make(), providers=list(self.providers))


def all_settings(chain: Sequence[str]) -> tuple[Setting, ...]:
    """The product's settings twice (the second shows the noise), then every change of them; `chain` of providers."""
    level = GraphOptimizationLevel
    settings = [
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
    ]
    settings += [Setting(name=f"provider: {name}", providers=(name, CPU)) for name in chain]
    if len(chain) > 1:
        settings.append(Setting(name=f"providers: {', '.join(chain)}", providers=(*chain, CPU)))
    return tuple(settings)


def _with(**changes: object) -> Callable[[], SessionOptions]:
    def make() -> SessionOptions:
        options = product_options()
        for name, value in changes.items():
            setattr(options, name, value)
        return options

    return make


def _spinning(threads: int) -> Callable[[], SessionOptions]:
    def make() -> SessionOptions:
        options = product_options(threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        return options

    return make


def provider_chain(environment: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The providers that `ORT_PROVIDERS` names (default: `DEFAULT_CHAIN`): those installed, and those that are not.

    A name may leave out `ExecutionProvider`. The CPU ends every chain, named or not.
    """
    given = environment.get(PROVIDERS, "")
    names = [name.strip() for name in given.split(",") if name.strip()] or list(DEFAULT_CHAIN)
    full = [_full_name(name) for name in names]
    available = onnxruntime.get_available_providers()
    wanted = [name for name in dict.fromkeys(full) if name != CPU]
    installed = tuple(name for name in wanted if name in available)
    return installed, tuple(name for name in wanted if name not in available)


def _full_name(name: str) -> str:
    short = name.removesuffix("ExecutionProvider")
    return f"{_NAMES.get(short.lower(), short)}ExecutionProvider"
