# Every target works from a fresh clone: the environment sets itself up. `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
PY      := $(VENV)/bin/python
READY   := $(VENV)/.ready
UV      := $(VENV)/bin/uv

.DEFAULT_GOAL := help
.PHONY: help lock audit

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	@for extra in $(IMAGE_LOCKS) audit; do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --constraint requirements/dev.lock --extra $$extra -o requirements/$$extra.lock pyproject.toml || exit 1; done

AUDIT    := .venv-audit
IMAGE_LOCKS := training serving-onnx serving-pickle load-testing
LICENCES := Apache;BSD;ISC;LGPL;MIT;MPL;Mozilla Public License;PSF;Python Software Foundation;Zlib;ZPL;The Unlicense

$(AUDIT)/.ready: requirements/audit.lock
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/audit.lock
	@touch $@

audit: $(READY) $(AUDIT)/.ready ## known vulnerabilities in what the images install; licences of everything
	@for lock in $(IMAGE_LOCKS); do echo "== vulnerabilities: requirements/$$lock.lock"; \
	  $(AUDIT)/bin/pip-audit --disable-pip --require-hashes --progress-spinner off --requirement requirements/$$lock.lock || exit 1; done
	@echo "== licences of the Python packages; one that is not allowed ends this"
	@$(AUDIT)/bin/pip-licenses --python $(PY) --from mixed --order license --partial-match --allow-only '$(LICENCES)'
	@if command -v cargo >/dev/null; then echo "== licences of the crates in the Rust service"; \
	  cargo tree --locked --manifest-path serving/axum/Cargo.toml --edges normal --prefix none --format '{l} | {p}' \
	  | sed 's/ (.*//' | sort -u; fi

DATASET  ?= training.adult
DATA     ?= auto
DATA_DIR ?= data/adult
TRIALS   ?= 100
SEED     ?= 42
STORAGE  ?=
FRESH    ?=
ENGINE   ?=
SAMPLE_ROWS ?=
TRAIN_ARGUMENTS = --dataset $(DATASET) --data $(DATA) --data-dir '$(DATA_DIR)' --trials $(TRIALS) --seed $(SEED) \
  $(if $(ENGINE),--engine $(ENGINE)) $(if $(SAMPLE_ROWS),--sample-rows $(SAMPLE_ROWS)) \
  $(if $(STORAGE),--storage '$(STORAGE)') $(if $(FRESH),--fresh)

# Threads that spin while they wait for each other lose several times over as soon as anything else wants a core.
.PHONY: train tune-worker dashboard visualize
train: $(READY) ## tune, fit, prove parity, publish [TRIALS=100 DATA=auto|uci|synthetic DATA_DIR= SEED=42 STORAGE= FRESH=1 DATASET=module ENGINE=external SAMPLE_ROWS=]
	@OMP_WAIT_POLICY=passive $(PY) -m training.train $(TRAIN_ARGUMENTS)

tune-worker: $(READY) ## help with a study that others share, publish nothing [STORAGE=postgresql+psycopg://... and as train]
	@$(PY) -m training.train --tune-only $(TRAIN_ARGUMENTS)

dashboard: $(READY) ## the study in the browser, on :8080 [STORAGE=sqlite:///reports/training/study.db]
	@$(VENV)/bin/optuna-dashboard $(or $(STORAGE),sqlite:///reports/training/study.db)

visualize: $(READY) ## open the ONNX graph in Netron, in the browser
	@$(VENV)/bin/netron --browse $(or $(filter-out %.packed.onnx,$(wildcard models/*.onnx)),$(error no model: run make train))

INPUT     ?=
OUTPUT    ?=
KEEP      ?=
SHARD     ?=
PART_ROWS ?=
THREADS   ?=
ROWS      ?= 1000000
SCORE_ARGUMENTS = --input '$(INPUT)' --output '$(OUTPUT)' $(if $(KEEP),--keep '$(KEEP)') $(if $(SHARD),--shard $(SHARD)) \
  $(if $(PART_ROWS),--part-rows $(PART_ROWS)) $(if $(THREADS),--threads $(THREADS)) $(if $(FRESH),--fresh)

.PHONY: score census
score: $(READY) ## score files of any size [INPUT=file|folder|glob OUTPUT=folder|file KEEP=id,... SHARD=i/n PART_ROWS= THREADS= FRESH=1]
	@$(PY) -m scoring.score $(SCORE_ARGUMENTS)

census: $(READY) ## synthetic rows as partitioned Parquet [ROWS=1000000 OUTPUT=folder SEED=42 DATASET=module]
	@$(PY) -m training.census --dataset $(DATASET) --rows $(ROWS) --output '$(OUTPUT)' --seed $(SEED)

.PHONY: serve-onnx serve-pickle check test
serve-onnx: $(READY) ## serve the ONNX graph on :8001 [settings: SERVE_* variables, see the README]
	@exec $(PY) -m serving.onnx_service

serve-pickle: $(READY) ## serve the pickle on :8000 [settings: SERVE_* variables, see the README]
	@exec $(PY) -m serving.pickle_service

check: $(READY) ## lint, format, types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

# What needs the real files or the built Rust service skips itself where that is missing, and says so. The container
# tests take minutes, and run when they are asked for: PYTEST_ARGUMENTS="-m docker".
PYTEST_ARGUMENTS ?= -m "not docker"

test: $(READY) ## the tests: hermetic, in minutes [DATA_DIR= for those on the real files, PYTEST_ARGUMENTS="-m docker"]
	@DATA_DIR='$(DATA_DIR)' $(PY) -m pytest $(PYTEST_ARGUMENTS)

DURATION  ?= 5
USERS     ?= 32
ROUNDS    ?= 3
SCENARIOS ?=
SERVICES  ?=
BASELINES ?=
HOST      ?= http://127.0.0.1:8001
HOSTS     ?=

.PHONY: bench skew load profile fairness workers soak overload
bench: $(READY) ## all services under the same load, every answer checked [DURATION=5 USERS=32 ROUNDS=3 SCENARIOS= SERVICES= BASELINES=1]
	@$(PY) -m load_testing.benchmark --duration $(DURATION) --users $(USERS) --rounds $(ROUNDS) \
	  $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SERVICES),--services $(SERVICES)) $(if $(BASELINES),--baselines)

skew: $(READY) ## every reference row through every service [HOSTS="http://... ..." for running ones]
	@$(PY) -m load_testing.skew_command $(foreach host,$(HOSTS),--host $(host))

load: $(READY) ## Locust's own web page against a running service [HOST=http://127.0.0.1:8001]
	@$(VENV)/bin/locust -f load_testing/locustfile.py --host $(HOST)

profile: $(READY) ## where the microseconds of a request go
	@$(PY) -m load_testing.profile_command

fairness: $(READY) ## what large batches cost the small requests beside them
	@$(PY) -m load_testing.fairness

workers: $(READY) ## what a second worker is worth, by CPU time per request [USERS=32 DURATION=5 ROUNDS=3 SCENARIOS= SERVICES=]
	@$(PY) -m load_testing.workers --users $(USERS) --duration $(DURATION) --rounds $(ROUNDS) \
	  $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SERVICES),--services $(SERVICES))

overload: $(READY) ## what a service does with far more clients than it can serve [CLIENTS=2000]
	@$(PY) -m load_testing.overload $(if $(CLIENTS),--clients $(CLIENTS))

soak: DURATION = 60
soak: $(READY) ## load, hostile input and faults at once, one table [DURATION=60 seconds per service, SERVICES=]
	@$(PY) -m load_testing.soak --duration $(DURATION) $(if $(SERVICES),--services $(SERVICES))

FAST     ?=
STUDY_ARGUMENTS = --dataset $(DATASET) --data $(DATA) --data-dir '$(DATA_DIR)' --seed $(SEED) $(if $(FAST),--fast)

.PHONY: study session-options tree-costs
study: $(READY) ## when ONNX is worth it: model families, batch sizes, threads [FAST=1 DATA=auto|uci|synthetic DATA_DIR= SEED=42 DATASET=module]
	@$(PY) -m study.study_command $(STUDY_ARGUMENTS)

session-options: $(READY) ## what each session option of ONNX Runtime does to the bundle's graph [FAST=1 ORT_PROVIDERS="..." and as study]
	@$(PY) -m study.session_options $(STUDY_ARGUMENTS)

tree-costs: $(READY) ## why ONNX Runtime isn't faster on large batches of tree ensembles [FAST=1 and as study]
	@$(PY) -m study.tree_costs $(STUDY_ARGUMENTS)

.PHONY: report
report: $(READY) ## one page of all reports that are there: reports/index.html, and their key figures here
	@$(PY) -m site_report.report_command

AXUM := serving/axum/target/release/axum-service
ONNXRUNTIME_LIBRARY = $(shell $(PY) -c 'import pathlib, onnxruntime; print(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime*")))')

.PHONY: cargo build-axum check-axum serve-axum
cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust (rustup) to build the Rust service" >&2; exit 1; }

build-axum: cargo ## build the Rust service
	@cargo build --release --locked --manifest-path serving/axum/Cargo.toml

check-axum: cargo $(READY) ## format, lint and test the Rust service
	@cargo fmt --check --manifest-path serving/axum/Cargo.toml
	@cargo clippy --quiet --locked --release --all-targets --manifest-path serving/axum/Cargo.toml -- -D warnings
	@ORT_DYLIB_PATH='$(ONNXRUNTIME_LIBRARY)' cargo test --quiet --locked --release --manifest-path serving/axum/Cargo.toml

serve-axum: build-axum $(READY) ## serve the ONNX graph from Rust on :3000
	@ORT_DYLIB_PATH='$(ONNXRUNTIME_LIBRARY)' exec $(AXUM)

# Compose v2's plugin, or the older tool of its own.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
IMAGES  := onnx pickle axum train bench

TUNERS   ?= 4
REPLICAS ?= 3

.PHONY: up down images tune replicas
up: ## build, train if there is no bundle, serve in containers on :8000 :8001 :3000 [TRIALS=100 DATA=auto DATA_DIR= SEED=42]
	@TRIALS=$(TRIALS) DATA=$(DATA) DATA_DIR='$(abspath $(DATA_DIR))' SEED=$(SEED) $(COMPOSE) up --build --detach

tune: ## train in containers, with helpers that share the study on a PostgreSQL; publish [TUNERS=4 and as up]
	@TRIALS=$(TRIALS) DATA=$(DATA) DATA_DIR='$(abspath $(DATA_DIR))' SEED=$(SEED) \
	  $(COMPOSE) --profile tune up --build --scale tuner=$(TUNERS) trainer

replicas: ## the ONNX service in containers, many times behind HAProxy on :8080 [REPLICAS=3 and as up]
	@ONNX_PORT=0 TRIALS=$(TRIALS) DATA=$(DATA) DATA_DIR='$(abspath $(DATA_DIR))' SEED=$(SEED) \
	  $(COMPOSE) --profile replicas up --build --detach --scale onnx=$(REPLICAS) proxy

down: ## stop the containers and remove them
	@$(COMPOSE) --profile bench --profile tune --profile replicas down --remove-orphans

images: ## build the images and print their sizes
	@for image in $(IMAGES); do \
	  docker build --quiet --file docker/$$image.Dockerfile --tag train-to-serve/$$image \
	    --label org.opencontainers.image.revision="$$(git rev-parse HEAD 2>/dev/null)" . >/dev/null || exit 1; done
	@docker image ls --filter 'reference=train-to-serve/*:latest' --format 'table {{.Repository}}\t{{.Size}}'
