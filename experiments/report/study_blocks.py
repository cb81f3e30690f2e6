"""docs/study.md's tables, and the sentences around them that say when and where."""

from experiments.report.provenance import by_place
from experiments.report.recorded_results import Results
from experiments.study.results import FamilyFacts, title
from experiments.study.session_report import quantization_table, settings_table
from experiments.study.tables import DISTURBED, speedup_table
from experiments.study.tree_costs_results import shapes_table

QUIET_CPUS = 0.25


def setup(results: Results) -> str:
    """Dates, machines, versions, and how busy the machine was."""
    measured = (results.study, results.tree_costs, results.session_options)
    text = f"Figures below are {by_place(measured)}."
    if max(result.others_cpus for result in measured) <= QUIET_CPUS:
        return text
    text += " Ratios come from alternating calls and bear such company; absolute times are on the high side"
    return (
        f"{text}." if results.study.others_cpus <= QUIET_CPUS else f"{text}, and two threads are not measured fairly."
    )


def families_table(results: Results) -> list[str]:
    """Speed-ups on one thread, and what a mark in it means."""
    return _families(results, 1)


def families_on_two_threads_table(results: Results) -> list[str]:
    """Speed-ups on two threads, and what a mark in it means."""
    return _families(results, 2)


def _families(results: Results, threads: int) -> list[str]:
    lines = speedup_table(results.study, threads)
    marked = any(DISTURBED in line for line in lines)
    return [*lines, "", f"{DISTURBED}: the cell's thread had to share a CPU with other processes."] if marked else lines


def agreement_sentence(results: Results) -> str:
    """Labels and probabilities of all families on the held-out rows."""
    classifiers = [family for family in results.study.families if family.agreement.different_labels is not None]
    differing = [family for family in classifiers if family.agreement.different_labels]
    labels = "no label differs in any family"
    if differing:
        labels = f"labels differ in {', '.join(f'{title(f)} ({f.agreement.different_labels:,})' for f in differing)}"
    above = [family for family in classifiers if family.agreement.beyond_tolerance]
    far = ", ".join(f"{title(family)} ({family.agreement.max_difference:.0e})" for family in above)
    probabilities = f"|Δp| is above 1e-6 in {far}, and below it elsewhere" if above else "|Δp| is nowhere above 1e-6"
    return (
        f"On all {results.study.held_out_rows:,} held-out rows {labels}. {probabilities[0].upper()}{probabilities[1:]}."
    )


def large_numbers_table(results: Results) -> list[str]:
    """A line per family, those of one name together, by the labels that differ."""
    found: dict[str, tuple[int, float]] = {}
    rows = 0
    for family in results.study.families:
        labels, difference = _of_large_numbers(family)
        if labels is not None:
            rows = family.agreement.rows
            most, largest = found.get(family.family, (0, 0.0))
            found[family.family] = max(most, labels), max(largest, difference)
    lines = [f"| family | labels that differ, of {rows:,} | largest difference |", "|---|---:|---:|"]
    for name, (labels, difference) in sorted(found.items(), key=lambda item: item[1][0]):
        lines.append(f"| {name} | {labels:,} | {difference:.2g} |")
    return lines


def _of_large_numbers(family: FamilyFacts) -> tuple[int | None, float]:
    found = family.agreement_of_large_numbers
    return (found.different_labels, found.max_difference) if found else (None, 0.0)


def trees_table(results: Results) -> list[str]:
    """Ensembles by three orders of rows."""
    return shapes_table(results.tree_costs)


def settings(results: Results) -> list[str]:
    """Session options."""
    return settings_table(results.session_options)


def quantized(results: Results) -> list[str]:
    """Quantisation."""
    return quantization_table(results.session_options)
