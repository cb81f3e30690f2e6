"""Exports and predictions by the data set alone: strings reach the graph and the pickle as they are, known or not."""

import pickle

import numpy as np
import onnx

from bundle.manifest import Feature, Tokens
from training.export import predictions
from training.export.artifacts import interface_of
from training.export.graphs import export_graphs
from training.export.interface import Interface
from training.export.splits import split_thresholds

TOKENS = Tokens(missing="<missing>", unseen="<unseen>")


def open_interface(dataset, tokens, threshold=0.5):
    """The data set's model, with every string passed on as it is."""
    numeric = {feature.name for feature in dataset.numeric}
    features = tuple(
        Feature(name=feature.name, kind="numeric", nullable=True, example=0.0)
        if feature.name in numeric
        else Feature(name=feature.name, kind="nominal", nullable=False, example="", open=True)
        for feature in dataset.features
    )
    return Interface(
        task="binary_classification", features=features, tokens=tokens, classes=dataset.classes, threshold=threshold
    )


def export_onnx(dataset, classifier, tokens, *, packed):
    graphs = export_graphs(dataset.name, classifier, open_interface(dataset, tokens, classifier.threshold))
    return graphs["onnx_packed" if packed else "onnx"]


def predict_onnx(content, dataset, rows, tokens):
    interface = open_interface(dataset, tokens)
    return predictions.predict_onnx(content, interface, interface.tensors(rows))


def predict_pickle(content, dataset, rows):
    """The labels are what the pickle's own `predict` says."""
    interface = open_interface(dataset, TOKENS)
    classifier = pickle.loads(content)
    frame = predictions.pickle_frame(interface, interface.tensors(rows))
    probabilities = classifier.predict_proba(frame).astype(np.float32)
    return predictions.Predictions(classifier.predict(frame).astype(np.int64), probabilities)


def splits_of(rows, model):
    """The split thresholds of the model's packed graph."""
    interface = interface_of(rows, model.threshold)
    packed = export_graphs("m", model.estimator, interface)["onnx_packed"]
    return split_thresholds(onnx.load_from_string(packed), interface, rows.training)
