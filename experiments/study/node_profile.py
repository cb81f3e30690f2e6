"""Which nodes a graph runs, and what they cost: from ONNX Runtime's own profile."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from onnxruntime import SessionOptions

from experiments.study.contestants import StudyBatch, open_session


@dataclass
class NodeProfile:
    """`nodes` is {operator: nodes}; `seconds` is {operator: seconds of one call, the lowest of all}."""

    nodes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Every operator with its number of nodes."""
        return ", ".join(f"{count} {operator}" for operator, count in sorted(self.nodes.items()))


def profile_nodes(content: bytes, make: Callable[[], SessionOptions], batch: StudyBatch, calls: int = 1) -> NodeProfile:
    """Run the graph with the profiler on: once to see its nodes, then `calls` times to time them."""
    with tempfile.TemporaryDirectory() as folder:
        options = make()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = open_session(content, options)
        for _ in range(calls + 1):
            session.run(None, batch.feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _read(events)


def _read(events: list[dict[str, object]]) -> NodeProfile:
    durations: dict[tuple[str, str], list[float]] = {}
    for event in events:
        arguments = event.get("args")
        if event.get("cat") == "Node" and isinstance(arguments, dict) and "provider" in arguments:
            node = (str(arguments["op_name"]), str(event["name"]))
            durations.setdefault(node, []).append(1e-6 * float(str(event["dur"])))
    profile = NodeProfile()
    for (operator, _), (first, *others) in durations.items():
        profile.nodes[operator] += 1
        profile.seconds[operator] = profile.seconds.get(operator, 0.0) + min(others, default=first)
    return profile
