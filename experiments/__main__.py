"""`python -m experiments COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "study": ("experiments.study.study_command", "when ONNX is worth it: model families, batch sizes, threads"),
    "session-options": (
        "experiments.study.session_options",
        "what each session option of ONNX Runtime does",
    ),
    "tree-costs": ("experiments.study.tree_costs", "why large batches of trees gain less by ONNX Runtime"),
    "profile": ("experiments.load.profile_command", "where the microseconds of a request go"),
    "fairness": ("experiments.load.fairness", "what large batches cost the small requests beside them"),
    "workers": ("experiments.load.second_worker", "what a second worker is worth"),
    "overload": ("experiments.load.overload", "a service with far more clients than it can serve"),
    "soak": ("experiments.load.soak", "load, hostile input and faults at once"),
    "replicas": ("experiments.load.replicas", "replicas behind a proxy, some of which are killed"),
    "image-sizes": ("experiments.load.image_sizes", "the sizes of the container images"),
    "report": ("experiments.report.report_command", "one page of all reports"),
    "record-results": (
        "experiments.report.record_command",
        "copy the results in reports/ to experiments/results/",
    ),
    "readme-tables": ("experiments.report.tables_command", "write the recorded results into the documentation"),
}

if __name__ == "__main__":
    sys.exit(run("experiments", COMMANDS))
