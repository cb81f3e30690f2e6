"""What a person wants to see when a training run ends."""

import shlex
from dataclasses import replace
from pathlib import Path

from bundle.command_line import MODELS
from bundle.manifest import Manifest
from bundle.table import to_text
from bundle.training_record import Study
from training.model.score import label_of, number_text, parse_score
from training.report.tables import front_table


def print_summary(manifest: Manifest, models: Path, reports: Path) -> None:
    """Print the run's result and what to run next."""
    print("\n".join(summary_lines(manifest, models, reports)))


def summary_lines(manifest: Manifest, models: Path, reports: Path) -> list[str]:
    """The summary, line by line."""
    return [
        "",
        f"{manifest.name} {manifest.version}",
        "",
        *_data_and_study(manifest),
        "",
        *_front(manifest),
        *_held_out(manifest),
        "",
        *_parity(manifest),
        "",
        *_artifacts(manifest, models),
        "",
        f"report     {reports / 'report.md'}",
        "next       make serve-onnx | make serve-axum | make serve-pickle | make bench | make skew | make visualize",
        *with_models(models),
    ]


def with_models(models: Path) -> list[str]:
    """The line below "next" that says which folder the commands need, if it is not the default."""
    return [f"           each with {shlex.join(where(models))}"] if where(models) else []


def where(models: Path) -> list[str]:
    """The variable that names the folder to a command, if it is not the default."""
    return [] if models == MODELS else [f"MODELS={models}"]


def _data_and_study(manifest: Manifest) -> list[str]:
    data, study = manifest.record.data, manifest.record.study
    warning = "  (SYNTHETIC ROWS: the scores are not those of the real data)" if data.source == "synthetic" else ""
    share = f", {data.positive_fraction:.1%} {manifest.positive_class}" if data.positive_fraction is not None else ""
    values = study.best_parameters.items()
    parameters = ", ".join(f"{name} {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in values)
    lines = [
        f"data       {data.source}: {data.rows:,} rows, {data.training_rows:,} to train, {data.held_out_rows:,} held "
        f"out{share}{warning}",
        f"study      {_trials(study)} ({study.completed} complete, {study.pruned} pruned), seed {study.seed}: "
        f"{label_of(study.score)} {number_text(study.best_value)} out of fold",
        f"           {parameters}",
    ]
    if manifest.decision_threshold is not None:
        score = parse_score(study.score, manifest.task)
        how = (
            "chosen on rows unseen by their model" if score.needs_threshold else f"as {score.label} needs no other one"
        )
        lines.append(
            f"threshold  {manifest.decision_threshold:.6f}, {how}; the pickle's predict and the ONNX label apply it"
        )
    return lines


def _trials(study: Study) -> str:
    return f"{study.trials} of {study.asked} trials" if study.ended else f"{study.trials} trials"


def _front(manifest: Manifest) -> list[str]:
    study = manifest.record.study
    if study.front:
        first, *others = to_text(replace(front_table(study), notes=())).splitlines()
        return [
            f"front      {first}",
            *(f"           {line}" for line in others),
            f"published  trial {study.chosen_trial}: {study.choice}",
            "others     the same command with TRIAL=number or MAX_US=µs/row publishes another one",
            "",
        ]
    return [f"chosen     trial {study.chosen_trial}: {study.choice}", ""] if study.choice else []


def _held_out(manifest: Manifest) -> list[str]:
    """The scores on the held-out rows, beside the score of a model that looks at no feature."""
    metrics, name = manifest.record.metrics, manifest.record.study.score
    others = [
        f"{other} {number_text(value)}"
        for other, value in metrics.held_out.items()
        if other != name and not isinstance(value, int)
    ]
    label, error, trivial = label_of(name), metrics.standard_error or 0.0, metrics.trivial or 0.0
    return [
        f"held out   {label} {number_text(metrics.held_out[name])} ± {number_text(error)}; "
        f"a model that looks at no feature has {number_text(trivial)}",
        *(_classes(manifest) if manifest.task == "binary_classification" else []),
        f"           {'   '.join(others)}",
    ]


def _classes(manifest: Manifest) -> list[str]:
    """Precision and recall of either class."""
    scores = manifest.record.metrics.held_out
    negatives = scores["true_negatives"] + scores["false_positives"]
    positives = scores["true_positives"] + scores["false_negatives"]
    negative_precision = scores["true_negatives"] / max(scores["true_negatives"] + scores["false_negatives"], 1)
    names = [str(label) for label in manifest.classes]
    rows = (
        (names[0], negative_precision, scores["true_negatives"] / max(negatives, 1), negatives),
        (names[1], scores["precision"], scores["recall"], positives),
    )
    width = max(8, *map(len, names))
    lines = [f"           {'class':{width}}  precision  recall      F1    rows"]
    for name, precision, recall, count in rows:
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        lines.append(f"           {name:{width}}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {int(count):6,}")
    return lines


def _parity(manifest: Manifest) -> list[str]:
    parity = manifest.record.parity
    differing = (
        f"labels differing {parity.label_mismatches}, max |Δp| " if manifest.classes else "max relative difference "
    )
    return [
        f"parity     pickle = ONNX on {parity.rows:,} rows ({parity.edge_case_rows:,} edge cases), both graphs, "
        f"{parity.trees} trees",
        f"           {differing}{parity.max_abs_difference:.1e}, "
        f"mean {parity.mean_abs_difference:.1e} (allowed {parity.tolerance:.0e})",
    ]


def _artifacts(manifest: Manifest, models: Path) -> list[str]:
    lines = [f"published  {models / manifest.name}.json"]
    lines += [
        f"           {artifact.file}  {artifact.bytes:,} bytes  sha256 {artifact.sha256[:16]}…"
        for artifact in manifest.artifacts.values()
    ]
    return lines
