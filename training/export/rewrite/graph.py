"""An ONNX graph that can be changed: nodes, constants, and what is known of types and shapes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference

OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
"""Old enough for every ONNX Runtime since 1.18 (2024); nothing newer is needed."""

Shape = tuple[int | None, ...]


class Graph:
    """Nodes in any order. `outputs` maps names to the tensors with their values; `kinds` maps tensors to data types.

    `shapes` has the shapes that are known; None is an unknown length.
    """

    def __init__(self, inputs: Iterable[ValueInfoProto] = ()) -> None:
        self.inputs: list[ValueInfoProto] = []
        self.outputs: dict[str, str] = {}
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.kinds: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        self.domains: dict[str, int] = {}
        self.opset, self.ml_opset = OPSET, ML_OPSET
        self._count = 0
        for value in inputs:
            self.add_input(value)

    @classmethod
    def read(cls, model: onnx.ModelProto) -> "Graph":
        """The graph of a model, with inferred types and shapes."""
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        body = inferred.graph
        constants = {tensor.name: tensor for tensor in body.initializer}
        graph = cls(value for value in body.input if value.name not in constants)
        graph.constants = constants
        graph.nodes = list(body.node)
        graph.outputs = {value.name: value.name for value in body.output}
        graph.domains = {entry.domain: entry.version for entry in model.opset_import}
        for value in [*body.value_info, *body.output]:
            graph._note(value)
        for name, tensor in constants.items():
            graph.kinds[name], graph.shapes[name] = tensor.data_type, tuple(tensor.dims)
        return graph

    def add_input(self, value: ValueInfoProto) -> None:
        """Append an input. A tensor of that name inside the graph is renamed: both together would be a cycle."""
        self._make_room(value.name)
        self.inputs.append(value)
        self._note(value)

    def _make_room(self, name: str) -> None:
        """Rename the constant, or the output of a node, that has the name."""
        if name in self.constants:
            aside = self.set_aside(name)
            self.constants[aside] = self.constants.pop(name)
        for node in self.nodes:
            for i, made in enumerate(node.output):
                if made == name:
                    node.output[i] = self.set_aside(name)

    def _note(self, value: ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        if tensor.elem_type:
            self.kinds[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            self.shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)

    def fresh(self, stem: str) -> str:
        """A tensor name that isn't taken."""
        taken = {name for node in self.nodes for name in node.output} | set(self.kinds) | set(self.constants)
        while True:
            self._count += 1
            name = f"_{stem}_{self._count}"
            if name not in taken:
                return name

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        result: int,
        *,
        domain: str = "",
        shape: Shape | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> str:
        """Append a node of one output of the data type `result`, and return that output's name."""
        output = self.fresh(kind.lower())
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        self.kinds[output] = result
        if shape is not None:
            self.shapes[output] = shape
        return output

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        name = self.fresh("constant")
        self.constants[name] = numpy_helper.from_array(value, name)
        self.kinds[name], self.shapes[name] = self.constants[name].data_type, value.shape
        return name

    def value(self, name: str) -> NDArray[Any] | None:
        """The value of a constant; None for any other tensor."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def replace(self, old: str, new: str) -> None:
        """Let everything that reads `old` read `new`."""
        for node in self.nodes:
            for i, name in enumerate(node.input):
                if name == old:
                    node.input[i] = new
        for name, tensor in self.outputs.items():
            if tensor == old:
                self.outputs[name] = new

    def set_aside(self, name: str) -> str:
        """Let all that reads a tensor read a new name instead, which is returned, so that the old one is free."""
        aside = self.fresh("aside")
        if name in self.kinds:
            self.kinds[aside] = self.kinds.pop(name)
        self.shapes[aside] = self.shapes.pop(name, (None,))
        self.replace(name, aside)
        return aside

    def makers(self) -> dict[str, NodeProto]:
        """Tensor to the node that makes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    def reads(self) -> Counter[str]:
        """Tensor to how often it is read, by nodes and as an output."""
        return Counter([*(name for node in self.nodes for name in node.input), *self.outputs.values()])

    def model(self, name: str, outputs: Sequence[ValueInfoProto]) -> onnx.ModelProto:
        """The checked model; the same graph gives the same bytes when serialized deterministically.

        Tensors inside it are named after the operators that make them, with an underscore in front.
        """
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in self._sorted()]
        names = self._final_names(nodes)
        for node in nodes:
            for field in (node.input, node.output):
                for i, tensor in enumerate(field):
                    field[i] = names.get(tensor, tensor)
            node.name = node.output[0]
        for output, tensor in self.outputs.items():
            if names.get(tensor, tensor) != output:
                nodes.append(helper.make_node("Identity", [names.get(tensor, tensor)], [output], name=output))
        used = {tensor for node in nodes for tensor in node.input}
        constants = []
        for key, tensor in self.constants.items():
            if names[key] in used:
                constants.append(TensorProto.FromString(tensor.SerializeToString()))
                constants[-1].name = names[key]
        body = helper.make_graph(nodes, name, self.inputs, outputs, initializer=constants)
        others = {node.domain for node in nodes} - {"", "ai.onnx.ml"}
        domains = {
            "": self.opset,
            "ai.onnx.ml": self.ml_opset,
            **{domain: self.domains[domain] for domain in sorted(others)},
        }
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="train-to-serve")
        onnx.checker.check_model(model)
        return model

    def _final_names(self, nodes: list[NodeProto]) -> dict[str, str]:
        """The final names of tensors: outputs have their own, others are numbered, and none is named like an input."""
        taken = {value.name for value in self.inputs} | set(self.outputs)
        made = {tensor for node in nodes for tensor in node.output if tensor}
        names: dict[str, str] = {}
        for output, tensor in self.outputs.items():
            if tensor in made:
                names.setdefault(tensor, output)
        numbers: Counter[str] = Counter()
        stems = [(tensor, node.op_type.lower()) for node in nodes for tensor in node.output if tensor]
        for tensor, stem in [*stems, *((constant, "constant") for constant in self.constants)]:
            while tensor not in names:
                numbers[stem] += 1
                candidate = f"_{stem}_{numbers[stem]}"
                if candidate not in taken:
                    names[tensor] = candidate
        return names

    def _sorted(self) -> list[NodeProto]:
        """The nodes, each after those whose outputs it reads."""
        makers = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        done: dict[int, None] = {}
        for start in range(len(self.nodes)):
            pending = [start]
            while pending:
                needed = {makers[name] for name in self.nodes[pending[-1]].input if name in makers} - done.keys()
                if needed:
                    pending += sorted(needed)
                else:
                    done[pending.pop()] = None
        return [self.nodes[i] for i in done]


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:  # noqa: ANN401 - of any type
    """The value of a node's attribute."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)
