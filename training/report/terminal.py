"""What a person wants to see when a training run ends."""

from dataclasses import replace
from pathlib import Path

from bundle.manifest import Manifest
from bundle.table import to_text
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
        *_classification_report(manifest),
        "",
        *_parity(manifest),
        "",
        *_artifacts(manifest, models),
        "",
        f"report     {reports / 'report.md'}",
        "next       make serve-onnx | make serve-pickle | make bench | make skew | make visualize",
    ]


def _data_and_study(manifest: Manifest) -> list[str]:
    data, study = manifest.record.data, manifest.record.study
    warning = "  (SYNTHETIC ROWS: the scores are not those of the real data)" if data.source == "synthetic" else ""
    parameters = ", ".join(f"{name} {value:.4g}" for name, value in study.best_parameters.items())
    return [
        f"data       {data.source}: {data.rows:,} rows, {data.training_rows:,} to train, {data.held_out_rows:,} held "
        f"out, {data.positive_fraction:.1%} {manifest.positive_class}{warning}",
        f"study      {study.trials} trials ({study.completed} complete, {study.pruned} pruned), seed {study.seed}: "
        f"F2 {study.best_value:.4f} out of fold",
        f"           {parameters}",
        f"threshold  {manifest.decision_threshold:.6f}, chosen on rows unseen by their model; the pickle's predict and "
        "the ONNX label apply it",
    ]


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


def _classification_report(manifest: Manifest) -> list[str]:
    scores = manifest.record.metrics.held_out
    negatives = scores["true_negatives"] + scores["false_positives"]
    positives = scores["true_positives"] + scores["false_negatives"]
    negative_precision = scores["true_negatives"] / max(scores["true_negatives"] + scores["false_negatives"], 1)
    negative_recall = scores["true_negatives"] / negatives
    rows = (
        (manifest.classes[0], negative_precision, negative_recall, negatives),
        (manifest.classes[1], scores["precision"], scores["recall"], positives),
    )
    width = max(8, *(len(str(label)) for label in manifest.classes))
    lines = [f"held out   {'class':{width}}  precision  recall      F1    rows"]
    for name, precision, recall, count in rows:
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        lines.append(f"           {name:{width}}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {int(count):6,}")
    lines.append(
        f"           F2 {scores['f2']:.4f}   PR-AUC {scores['pr_auc']:.4f}   ROC-AUC {scores['roc_auc']:.4f}   "
        f"accuracy {scores['accuracy']:.4f}   Brier {scores['brier']:.4f}"
    )
    return lines


def _parity(manifest: Manifest) -> list[str]:
    parity = manifest.record.parity
    return [
        f"parity     pickle = ONNX on {parity.rows:,} rows ({parity.edge_case_rows:,} edge cases), both graphs, "
        f"{parity.trees} trees",
        f"           labels differing {parity.label_mismatches}, max |Δp| {parity.max_abs_difference:.1e}, "
        f"mean {parity.mean_abs_difference:.1e} (allowed {parity.tolerance:.0e})",
    ]


def _artifacts(manifest: Manifest, models: Path) -> list[str]:
    lines = [f"published  {models / manifest.name}.json"]
    lines += [
        f"           {artifact.file}  {artifact.bytes:,} bytes  sha256 {artifact.sha256[:16]}…"
        for artifact in manifest.artifacts.values()
    ]
    return lines
