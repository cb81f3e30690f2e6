"""The gate before publishing: it passes a true export, and nothing else."""

import contextlib
import re

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import helper, numpy_helper

from bundle.reference import CASE, HELD_OUT, ROW
from bundle.tolerance import PROBABILITY_TOLERANCE
from tests.training.exporting import predict_onnx, predict_pickle, splits_of
from training.errors import ParityError
from training.export.artifacts import interface_of, make_contents, reference_rows
from training.export.edge_cases import edge_cases
from training.export.graphs import export_graphs, export_pickle, tree_count
from training.export.parity import check_parity

TREES = 12


@pytest.fixture(scope="module")
def model(made_up):
    return made_up.fitted(made_up.rows)


@pytest.fixture(scope="module")
def reference(made_up, model):
    rows = made_up.rows
    interface = interface_of(rows, 0.5)
    edges = edge_cases(interface, rows.training, splits_of(rows, model))
    return reference_rows(interface, rows.held_out, rows.held_out_target, edges)


@pytest.fixture(scope="module")
def interface(made_up, model):
    return interface_of(made_up.rows, model.threshold)


@pytest.fixture(scope="module")
def expected(made_up, model, reference):
    return predict_pickle(export_pickle(model.estimator), made_up.rows.dataset, reference.select(ROW).unnest(ROW))


@pytest.fixture(scope="module", params=["onnx", "onnx_packed"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def graph(model, interface, kind):
    return export_graphs("orchard", model.estimator, interface)[kind]


@pytest.fixture(scope="module")
def gate(interface, reference, expected, kind, graph):
    """Pass the graph through the gate after `change` was done to it."""

    def check(change=lambda _: None, trees=TREES):
        changed = onnx.load_from_string(graph)
        change(changed.graph)
        content = changed.SerializeToString()
        return check_parity(interface, reference, expected, {kind: content}, trees=trees).parity

    return check


def trees(graph):
    (node,) = (node for node in graph.node if node.op_type == "TreeEnsembleClassifier")
    return node


def attribute(graph, name):
    """The values of an attribute of the trees, to be changed in place."""
    (found,) = (attribute for attribute in trees(graph).attribute if attribute.name == name)
    return found.floats or found.ints or found.strings


def nodes(graph, *modes):
    """Indices of the trees' nodes of the given modes."""
    return [index for index, mode in enumerate(attribute(graph, "nodes_modes")) if mode.decode() in modes]


def test_true_graph_passes_with_its_figures(gate, reference):
    parity = gate()
    assert (parity.rows, parity.trees, parity.tolerance) == (reference.height, TREES, 1e-6)
    assert parity.edge_case_rows == (reference[CASE] != HELD_OUT).sum() > 100
    assert parity.label_mismatches == 0
    assert 0 <= parity.mean_abs_difference <= parity.max_abs_difference <= PROBABILITY_TOLERANCE


def test_figures_are_those_of_both_graphs_together(made_up, model, interface, reference, expected):
    dataset = made_up.rows.dataset
    graphs = export_graphs("orchard", model.estimator, interface)
    assert list(graphs) == ["onnx", "onnx_packed"]
    tokens, rows = made_up.rows.tokens, reference.select(ROW).unnest(ROW)
    parity = check_parity(interface, reference, expected, graphs, trees=TREES).parity
    differences = [
        np.abs(predict_onnx(content, dataset, rows, tokens).probabilities - expected.probabilities).max(axis=1)
        for content in graphs.values()
    ]
    assert parity.max_abs_difference == np.max(differences)
    assert parity.mean_abs_difference == pytest.approx(np.mean(differences))


def test_one_bad_graph_of_two_is_enough(model, interface, reference, expected):
    good, bad = export_graphs("orchard", model.estimator, interface).values()
    changed = onnx.load_from_string(bad)
    drop_the_threshold(changed.graph)
    graphs = {"onnx": good, "onnx_packed": changed.SerializeToString()}
    with pytest.raises(ParityError, match=r"^onnx_packed differs from the pickle"):
        check_parity(interface, reference, expected, graphs, trees=TREES)


def test_held_out_rows_and_edge_cases_are_both_checked(reference, made_up):
    assert reference.height == made_up.rows.held_out.height + (reference[CASE] != HELD_OUT).sum()
    assert (reference[CASE][: made_up.rows.held_out.height] == HELD_OUT).all()


DIFFERS = r"differs from the pickle on \d+ of \d+ rows \(\d+ labels\); first: row \d+ \(\w+(:\w+)?\), label [01] "


def test_any_one_corrupt_leaf_is_found(gate, graph):
    """Of the first tree; these trees have few enough leaves for all to be reached."""
    leaves = [tree for tree in attribute(onnx.load_from_string(graph).graph, "class_treeids") if tree == 0]
    assert len(leaves) > 4
    for number in range(len(leaves)):

        def change(body, number=number):
            attribute(body, "class_weights")[number] += 1e-3

        with pytest.raises(ParityError, match=DIFFERS):
            gate(change)


def numeric_nodes(body):
    return [
        node
        for node in nodes(body, "BRANCH_LT")
        if attribute(body, "nodes_featureids")[node] >= 7 and attribute(body, "nodes_nodeids")[node] == 0
    ]


@pytest.mark.parametrize("side", [-np.inf, np.inf])
def test_split_that_is_wrong_by_one_float32_step_is_found(gate, graph, side):
    """What the rows on both sides of the splits are for: no held-out row needs to be near."""
    roots = numeric_nodes(onnx.load_from_string(graph).graph)
    assert len(roots) >= 3
    for root in roots:

        def change(body, root=root):
            values = attribute(body, "nodes_values")
            values[root] = np.nextafter(np.float32(values[root]), np.float32(side))

        with pytest.raises(ParityError, match=DIFFERS):
            gate(change)


def test_split_that_takes_its_own_value_to_the_other_side_is_found(gate, graph):
    for root in numeric_nodes(onnx.load_from_string(graph).graph):

        def change(body, root=root):
            attribute(body, "nodes_modes")[root] = b"BRANCH_LEQ"

        with pytest.raises(ParityError, match=DIFFERS):
            gate(change)


def constant(body, name):
    (found,) = (tensor for tensor in body.initializer if tensor.name == name)
    return found


def replace_constant(body, name, value):
    constant(body, name).CopyFrom(numpy_helper.from_array(value, name))


def the(body, operator, input_name=None):
    """The one node of an operator (and with that input)."""
    (found,) = (
        node for node in body.node if node.op_type == operator and (input_name is None or input_name in node.input)
    )
    return found


def encoder_of(body, default):
    """The LabelEncoder that has such a default: of floats for the rank, of integers for the one-hot columns."""
    (found,) = (node for node in body.node if any(entry.name == default for entry in node.attribute))
    return found


def one_hot_constants(body):
    """Names of the column numbers and the codes that make the one-hot columns."""
    equal = the(body, "Equal")
    (gather,) = (node for node in body.node if node.output[0] == equal.input[0])
    return gather.input[1], equal.input[1]


def features_of(body):
    """The Concat in front of the trees."""
    (concat,) = (node for node in body.node if node.output[0] == trees(body).input[0])
    return concat


def drop_the_threshold(body):
    replace_constant(body, the(body, "GreaterOrEqual").input[1], np.array(0.5, dtype=np.float32))


def test_dropped_threshold_is_found_by_the_labels(gate):
    """The graph with the trees' own 0.5, as converters make it: every probability is right, and labels are wrong."""
    with pytest.raises(ParityError, match=DIFFERS) as raised:
        gate(drop_the_threshold)
    rows, labels = re.search(r"on (\d+) of .* \((\d+) labels", str(raised.value)).groups()
    assert rows == labels


def swap(sequence, first, second):
    sequence[first], sequence[second] = sequence[second], sequence[first]


def missing_values_that_go_the_other_way(body):
    ways = attribute(body, "nodes_missing_value_tracks_true")
    for node in numeric_nodes(body):
        ways[node] = 1 - ways[node]


def label_that_the_trees_give_instead_of_the_graph(body):
    (cast,) = (node for node in body.node if list(node.output) == ["label"])
    body.node.remove(cast)
    trees(body).output[0] = "label"


def two_swapped_numeric_columns(body):
    features = attribute(body, "nodes_featureids")
    for node, feature in enumerate(features):
        features[node] = {7: 8, 8: 7}.get(feature, feature)


def two_swapped_one_hot_columns(body):
    for name in one_hot_constants(body):
        values = numpy_helper.to_array(constant(body, name)).copy()
        swap(values[0] if values.ndim == 2 else values, 1, -1)
        replace_constant(body, name, values)


def two_swapped_ranks(body):
    encoder = encoder_of(body, "default_float")
    (keys,) = (found.strings for found in encoder.attribute if found.name == "keys_strings")
    swap(keys, 0, 2)


def unknown_rank_that_is_not_missing(body):
    """No held-out row has an unknown rank."""
    encoder = encoder_of(body, "default_float")
    (default,) = (found for found in encoder.attribute if found.name == "default_float")
    default.f = 0.0


def swapped_probabilities(body):
    trees(body).output[1] = "_swapped"
    body.initializer.append(numpy_helper.from_array(np.array([1, 0], dtype=np.int64), "_order"))
    position = list(body.node).index(trees(body)) + 1
    body.node.insert(position, helper.make_node("Gather", ["_swapped", "_order"], ["probabilities"], axis=1))


def probability_that_is_no_number(body):
    attribute(body, "base_values")[0] = float("nan")


def base_score_that_is_off_by_a_little(body):
    attribute(body, "base_values")[0] += 1e-3


@pytest.mark.parametrize(
    "damage",
    [
        missing_values_that_go_the_other_way,
        label_that_the_trees_give_instead_of_the_graph,
        two_swapped_numeric_columns,
        two_swapped_one_hot_columns,
        two_swapped_ranks,
        unknown_rank_that_is_not_missing,
        swapped_probabilities,
        probability_that_is_no_number,
        base_score_that_is_off_by_a_little,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_graph_is_found(gate, damage):
    with pytest.raises(ParityError, match=DIFFERS):
        gate(damage)


def test_two_swapped_inputs_are_found(gate, kind):
    def change(body):
        if kind == "onnx":
            assert list(features_of(body).input[-2:]) == ["weight", "age"]
            swap(features_of(body).input, -2, -1)
        else:
            concat = features_of(body)
            before = concat.input[-1]
            order = np.array([1, 0], dtype=np.int64)
            body.initializer.append(numpy_helper.from_array(order, "_swapped_columns"))
            gather = helper.make_node("Gather", [before, "_swapped_columns"], ["_swapped"], axis=1)
            concat.input[-1] = "_swapped"
            body.node.insert(0, gather)

    with pytest.raises(ParityError, match=DIFFERS):
        gate(change)


def test_unseen_category_that_is_taken_for_a_seen_one_is_found_by_the_edge_cases(gate):
    def change(body):
        encoder = encoder_of(body, "default_int64")
        (default,) = (found for found in encoder.attribute if found.name == "default_int64")
        default.i = int(numpy_helper.to_array(constant(body, one_hot_constants(body)[1]))[0, 1])

    with pytest.raises(ParityError, match=r"first: row \d+ \(unknown_category:\w+\)"):
        gate(change)


def without_tree(body, dropped):
    """Remove a tree's nodes and leaves from the ensemble."""
    for prefix, key in (("nodes_", "nodes_treeids"), ("class_", "class_treeids")):
        keep = [index for index, tree in enumerate(attribute(body, key)) if tree != dropped]
        for found in trees(body).attribute:
            if found.name.startswith(prefix):
                values = found.floats or found.ints or found.strings
                if len(values) > len(keep):
                    values[:] = [values[index] for index in keep]


@pytest.mark.parametrize("dropped", [0, 5, TREES - 1])
def test_dropped_tree_is_found_by_the_count(gate, kind, dropped):
    with pytest.raises(ParityError, match=rf"^{kind}: {TREES - 1} trees, but {TREES} were trained$"):
        gate(lambda body: without_tree(body, dropped))


def test_dropped_tree_is_found_by_the_predictions_too(gate):
    with pytest.raises(ParityError, match=DIFFERS):
        gate(lambda body: without_tree(body, 5), trees=TREES - 1)


def test_additional_tree_is_found(gate):
    with pytest.raises(ParityError, match=rf"{TREES} trees, but {TREES - 1} were trained"):
        gate(trees=TREES - 1)


def test_graph_that_cannot_run_is_refused(gate, kind):
    def change(body):
        trees(body).input[0] = "nowhere"

    with pytest.raises(ParityError, match=f"^{kind}: ONNX Runtime refuses the graph: "):
        gate(change)


@pytest.mark.parametrize(("difference", "passes"), [(5e-7, True), (2e-6, False)])
def test_tolerance_is_one_millionth(made_up, interface, reference, expected, graph, kind, difference, passes):
    rows = made_up.rows
    exact = predict_onnx(graph, rows.dataset, reference.select(ROW).unnest(ROW), rows.tokens)
    shifted = exact._replace(numbers=exact.probabilities.astype(np.float64))
    shifted.probabilities[3] += difference
    message = rf"on 1 of {reference.height} rows \(0 labels\); first: row 3 "
    with contextlib.nullcontext() if passes else pytest.raises(ParityError, match=message):
        parity = check_parity(interface, reference, shifted, {kind: graph}, trees=TREES).parity
        assert parity.max_abs_difference == pytest.approx(difference, rel=0.1)


def test_a_tolerance_of_the_user_s_own_is_recorded_and_marks_the_rows_that_differ(
    interface, reference, expected, graph, kind
):
    """They are within what was asked for, but no service could give both answers: they are no reference rows."""
    moved = expected.numbers.copy()
    moved[3:5] += np.float32(0.01)
    labels = expected.labels.copy()
    labels[3] = 1 - labels[3]
    other = expected._replace(numbers=moved, labels=labels)
    with pytest.raises(ParityError, match="on 2 of"):
        check_parity(interface, reference, other, {kind: graph}, trees=TREES)
    compared = check_parity(interface, reference, other, {kind: graph}, trees=TREES, tolerance=0.02)
    assert (compared.parity.tolerance, compared.parity.label_mismatches) == (0.02, 1)
    assert compared.parity.max_abs_difference == pytest.approx(0.01, rel=1e-3)
    assert np.flatnonzero(~compared.equal).tolist() == [3, 4]
    with pytest.raises(ParityError, match="on 2 of"):
        check_parity(interface, reference, other, {kind: graph}, trees=TREES, tolerance=0.005)


def test_message_names_the_row_the_case_and_both_answers(interface, reference, expected, graph, kind):
    row = int((reference[CASE] != HELD_OUT).arg_max())
    wrong = expected.labels.copy()
    wrong[row] = 1 - wrong[row]
    other = expected._replace(labels=wrong)
    with pytest.raises(ParityError) as raised:
        check_parity(interface, reference, other, {kind: graph}, trees=TREES)
    probability = expected.probabilities[row, 1]
    assert str(raised.value).startswith(
        f"{kind} differs from the pickle on 1 of {reference.height} rows (1 labels); first: row {row} "
        f"({reference[CASE][row]}), label {1 - wrong[row]} instead of {wrong[row]}, P(positive) "
    )
    assert f"instead of {probability:.9f}" in str(raised.value)


def test_reference_artifact_has_the_pickle_s_predictions_of_every_row(made_up, model, reference, expected):
    contents = make_contents(made_up.rows, model)
    stored = pl.read_parquet(contents.artifacts["reference"])
    assert stored.drop("label", "probabilities").equals(reference)
    assert stored["label"].to_list() == expected.labels.tolist()
    assert stored["probabilities"].to_list() == expected.probabilities.tolist()
    held_out = stored.filter(pl.col(CASE) == HELD_OUT)
    assert held_out["target"].to_list() == made_up.rows.held_out_target.tolist()
    assert stored.filter(pl.col(CASE) != HELD_OUT)["target"].null_count() == stored.height - held_out.height
    assert contents.held_out_output.tolist() == [both[1] for both in held_out["probabilities"].to_list()]


def test_trees_are_counted_in_the_graph(graph):
    changed = onnx.load_from_string(graph)
    without_tree(changed.graph, 3)
    assert (tree_count(graph), tree_count(changed.SerializeToString())) == (TREES, TREES - 1)
