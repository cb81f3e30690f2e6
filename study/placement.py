"""Which execution provider runs which nodes of a graph, and what they cost: from ONNX Runtime's own profile."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime
from onnxruntime import SessionOptions

from study.contestants import Batch


@dataclass
class NodeProfile:
    """`placed` is {provider: {operator: nodes}}; `seconds` is {operator: seconds of one call}."""

    placed: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Every provider with its operators."""
        return "; ".join(
            f"{provider}: {', '.join(f'{count} {operator}' for operator, count in sorted(operators.items()))}"
            for provider, operators in self.placed.items()
        )


def profile_nodes(
    content: bytes, make: Callable[[], SessionOptions], providers: tuple[str, ...], batch: Batch, calls: int = 1
) -> NodeProfile:
    """Run the graph with the profiler on; the times are means of `calls`, after one that isn't counted."""
    with tempfile.TemporaryDirectory() as folder:
        options = make()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(content, options, providers=list(providers))
        for _ in range(calls + 1):
            session.run(None, batch.feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _read(events, calls)


def _read(events: list[dict[str, object]], calls: int) -> NodeProfile:
    profile, met = NodeProfile(), Counter[str]()
    for event in events:
        arguments = event.get("args")
        if event.get("cat") != "Node" or not isinstance(arguments, dict) or "provider" not in arguments:
            continue
        name, operator = str(event["name"]), str(arguments["op_name"])
        met[name] += 1
        if met[name] == 1:
            profile.placed.setdefault(str(arguments["provider"]), Counter())[operator] += 1
        else:
            seconds = 1e-6 * float(str(event["dur"])) / calls
            profile.seconds[operator] = profile.seconds.get(operator, 0.0) + seconds
    return profile
