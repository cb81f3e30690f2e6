# Every target works from a fresh clone: the environment sets itself up. `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
PY      := $(VENV)/bin/python
READY   := $(VENV)/.ready
UV      := $(VENV)/bin/uv

.DEFAULT_GOAL := help
.PHONY: help lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Built beside the final place and moved, so that an interrupted set-up is started afresh, never half used.
$(READY): requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "setting up $(VENV) from requirements/dev.lock (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.lock
	@touch $@

lock: $(READY) ## resolve the versions anew into requirements/*.lock
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev -o requirements/dev.lock pyproject.toml
	@for extra in training serving-onnx serving-pickle load-testing; do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --constraint requirements/dev.lock --extra $$extra -o requirements/$$extra.lock pyproject.toml || exit 1; done

DATASET  ?= training.adult
DATA     ?= auto
DATA_DIR ?= data/adult
TRIALS   ?= 100
SEED     ?= 42
STORAGE  ?=
FRESH    ?=
TRAIN_ARGUMENTS = --dataset $(DATASET) --data $(DATA) --data-dir '$(DATA_DIR)' --trials $(TRIALS) --seed $(SEED) \
  $(if $(STORAGE),--storage '$(STORAGE)') $(if $(FRESH),--fresh)

.PHONY: train visualize
train: $(READY) ## tune, fit, prove parity, publish [TRIALS=100 DATA=auto|uci|synthetic DATA_DIR= SEED=42 STORAGE= FRESH=1 DATASET=module]
	@$(PY) -m training.train $(TRAIN_ARGUMENTS)

visualize: $(READY) ## open the ONNX graph in Netron, in the browser
	@$(PY) -m netron --browse models/*.onnx

.PHONY: serve-onnx serve-pickle check test
serve-onnx: $(READY) ## serve the ONNX graph on :8001 [settings: SERVE_* variables, see the README]
	@exec $(PY) -m serving.onnx_service

serve-pickle: $(READY) ## serve the pickle on :8000 [settings: SERVE_* variables, see the README]
	@exec $(PY) -m serving.pickle_service

check: $(READY) ## lint, format, types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

# What needs the real files, cargo or Docker skips itself where that is missing, and says so.
test: $(READY) ## the tests: hermetic; more of them where DATA_DIR, cargo or Docker are at hand
	@$(PY) -m pytest $(PYTEST_ARGUMENTS)
