"""Who may import whom (design, section 2), and that no code outside the data set's module knows the data set."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from training import adult

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "bundle": ("bundle",),
    "training": ("training", "bundle"),
    "serving": ("serving", "bundle"),
    "load_testing": ("load_testing", "bundle"),
    "monitoring": ("monitoring", "training", "load_testing", "bundle"),
    "scale": ("scale", "training", "bundle"),
    "experiments": (
        "experiments",
        "monitoring",
        "training",
        "serving",
        "load_testing",
        "scale",
        "bundle",
        "tests.contract",
    ),
}
ROOMS = {*ALLOWED, "tests"}
SOURCES = [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The modules that the file imports, by their whole names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names.add(node.module or "")
    return names


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def test_packages_import_only_what_they_may():
    violations = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in SOURCES
        for module in sorted(imported(path))
        if module.partition(".")[0] in ROOMS
        and not any(within(module, allowed) for allowed in ALLOWED[path.relative_to(ROOT).parts[0]])
    ]
    assert not violations


def test_the_bundle_package_needs_msgspec_only():
    modules = set().union(*(imported(path) for path in SOURCES if path.parent.name == "bundle"))
    outside = {module.partition(".")[0] for module in modules}
    assert outside - set(sys.stdlib_module_names) - {"bundle"} == {"msgspec"}


def test_the_onnx_service_imports_no_training_library():
    code = "import sys, serving.onnx_service; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert not loaded & {"sklearn", "scipy", "xgboost", "polars", "pandas", "onnx", "optuna", "training", "pickle5"}


def test_nothing_outside_its_module_knows_the_data_set():
    words = {feature.name for feature in adult.FEATURES} | {adult.TARGET, *adult.CLASSES}
    words |= {category for feature in adult.FEATURES for category in getattr(feature, "categories", ())}
    words -= {"age", "sex", "race", "education"}  # also ordinary words; what is left gives a copy away
    pattern = re.compile("|".join(rf"[\"']{re.escape(word)}[\"']" for word in sorted(words)))
    for path in [*SOURCES, *sorted((ROOT / "serving/axum/src").rglob("*.rs"))]:
        if path.name != "adult.py":
            assert not pattern.search(path.read_text(encoding="utf-8")), path
