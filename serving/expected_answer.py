"""Ready means right: a model that doesn't give the answer its bundle expects is not served.

A library version other than the one that a model was made with may load it and give a different answer.
"""

import platform
from importlib.metadata import PackageNotFoundError, version

import msgspec
import numpy as np

from bundle.errors import BundleError
from bundle.manifest import Expected, Manifest
from bundle.tolerance import tolerance_of, value_scale
from serving.errors import RequestError
from serving.predictor import Classes, Predictions, Predictor
from serving.request_schema import RequestSchema


def check_expected_answer(predictor: Predictor, requests: RequestSchema, manifest: Manifest) -> None:
    """Let the model answer the row of the features' examples, as it would answer a request.

    Raises:
        BundleError: it does not give the answer that the bundle expects, or gives none.
    """
    example = {feature.name: feature.example for feature in manifest.features}
    try:
        ((batch, _),) = requests.decode_row(msgspec.json.encode(example))
        answer = _describe(predictor.predict(batch))
    except RequestError as error:
        raise BundleError(f"{manifest.name}: the examples of its features are not a valid row: {error}") from error
    except Exception as error:
        raise model_failed(manifest, predictor.backend, error) from error
    if not _is_expected(answer, manifest):
        raise BundleError(
            f"{_model(manifest, predictor.backend)} answers its example with {_show(answer)}, but its bundle "
            f"expects {_show(manifest.expected)}: {_compare_libraries(manifest)}"
        )


def model_failed(manifest: Manifest, backend: str, error: Exception) -> BundleError:
    """The error for a model that can't be loaded, or can't answer its example."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return BundleError(f"{_model(manifest, backend)} does not work here ({reason}): {_compare_libraries(manifest)}")


def _model(manifest: Manifest, backend: str) -> str:
    return f"the {backend} model of {manifest.name} {manifest.version}"


def _describe(answer: Predictions) -> Expected:
    if isinstance(answer, Classes):
        probabilities = tuple(np.asarray(answer.probabilities[0]).tolist())
        return Expected(prediction=int(answer.labels[0]), probabilities=probabilities)
    return Expected(prediction=float(answer.values.item()))


def _is_expected(answer: Expected, manifest: Manifest) -> bool:
    expected = manifest.expected
    allowed = tolerance_of(manifest)
    if manifest.task == "regression":
        return abs(answer.prediction - expected.prediction) <= allowed * value_scale(expected.prediction)
    return (
        answer.prediction == expected.prediction
        and len(answer.probabilities) == len(expected.probabilities)
        and all(abs(a - b) <= allowed for a, b in zip(answer.probabilities, expected.probabilities, strict=True))
    )


def _show(answer: Expected) -> str:
    if not answer.probabilities:
        return f"{answer.prediction:.9g}"
    return f"class {answer.prediction} ({', '.join(f'{p:.9g}' for p in answer.probabilities)})"


def _compare_libraries(manifest: Manifest) -> str:
    made = ", ".join(f"{name} {number}" for name, number in manifest.libraries.items())
    found = {name: _installed(name) for name in manifest.libraries}
    here = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    return f"made with {made}; running on {here}; serve it with those versions, or make it again with these"


def _installed(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    for distribution in (name, f"{name}-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None
