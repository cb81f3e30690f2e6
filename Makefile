# Every target works from a fresh clone: the environment sets itself up. `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
PY      := $(VENV)/bin/python
READY   := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help lock audit

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is made last, so that an interrupted set-up is started again and never half used. uv takes its settings from
# UV_*; those of pip that it doesn't know are handed on. Where there is no uv, or it fails, pip installs the same files,
# checked against the same hashes, in several times the time. Python compiles what it loads, when it does; where it may not
# keep that, uv compiles everything at once, as pip does.
INSTALL  := -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
PIP_TO_UV = $${PIP_INDEX_URL:+UV_DEFAULT_INDEX="$$PIP_INDEX_URL"} $${PIP_EXTRA_INDEX_URL:+UV_INDEX="$$PIP_EXTRA_INDEX_URL"} \
  $${PIP_FIND_LINKS:+UV_FIND_LINKS="$$PIP_FIND_LINKS"} $${PIP_CERT:+SSL_CERT_FILE="$$PIP_CERT"}
UV_INSTALL = env $(PIP_TO_UV) $(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes --no-deps \
  $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

$(READY): requirements/setup.lock requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "setting up $(VENV) from requirements/dev.lock (once)"
	@$(PYTHON) -m venv $(VENV)
	@{ $(PY) $(INSTALL) --only-binary :all: -r requirements/setup.lock && $(UV_INSTALL) -r requirements/dev.lock; } || \
	  { echo "uv can't be used here (see above); pip takes its place, and minutes" >&2; $(PY) $(INSTALL) -r requirements/dev.lock; }
	@touch $@

LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(READY) ## resolve the versions anew into requirements/*.lock
	@$(LOCK) --upgrade --extra dev -o requirements/dev.lock pyproject.toml
	@for extra in $(IMAGE_LOCKS) setup audit; do \
	  $(LOCK) --constraint requirements/dev.lock --extra $$extra -o requirements/$$extra.lock pyproject.toml || exit 1; done

AUDIT    := .venv-audit
IMAGE_LOCKS := training serving-onnx serving-pickle load-testing
LICENCES := Apache;BSD;ISC;LGPL;MIT;MPL;Mozilla Public License;PSF;Python Software Foundation;Zlib;ZPL;The Unlicense

$(AUDIT)/.ready: requirements/audit.lock
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python $(INSTALL) -r requirements/audit.lock
	@touch $@

audit: $(READY) $(AUDIT)/.ready ## known vulnerabilities in what the images install; licences of everything
	@for lock in $(IMAGE_LOCKS); do echo "== vulnerabilities: requirements/$$lock.lock"; \
	  $(AUDIT)/bin/pip-audit --disable-pip --require-hashes --progress-spinner off --requirement requirements/$$lock.lock || exit 1; done
	@echo "== licences of the Python packages; one that is not allowed ends this"
	@$(AUDIT)/bin/pip-licenses --python $(PY) --from mixed --order license --partial-match --allow-only '$(LICENCES)'
	@if command -v cargo >/dev/null; then echo "== licences of the crates in the Rust service"; \
	  cargo tree --locked --manifest-path serving/axum/Cargo.toml --edges normal --prefix none --format '{l} | {p}' \
	  | sed 's/ (.*//' | sort -u; fi

# Folders other than models/ and reports/: a second model beside the first one needs both.
MODELS   ?=
REPORTS  ?=
SERVED    = $(if $(MODELS),SERVE_MODEL_DIR='$(MODELS)')
OUTPUTS   = $(if $(MODELS),--models '$(MODELS)') $(if $(REPORTS),--reports '$(REPORTS)')

DATASET  ?= training.adult
DATA     ?= auto
DATA_DIR ?= data/adult
TRIALS   ?= 100
SEED     ?= 42
STORAGE  ?=
FRESH    ?=
ENGINE   ?=
OBJECTIVE ?=
TRIAL    ?=
MAX_US   ?=
SAMPLE_ROWS ?=
SCHEDULER ?=
TRAIN_ARGUMENTS = --dataset $(DATASET) --data-dir '$(DATA_DIR)' --trials $(TRIALS) --seed $(SEED) \
  $(if $(ENGINE),--engine $(ENGINE),--data $(DATA)) $(if $(SAMPLE_ROWS),--sample-rows $(SAMPLE_ROWS)) \
  $(if $(OBJECTIVE),--objective '$(OBJECTIVE)') $(if $(TRIAL),--trial '$(TRIAL)') $(if $(MAX_US),--max-us '$(MAX_US)') \
  $(if $(SCHEDULER),--scheduler '$(SCHEDULER)') \
  $(if $(STORAGE),--storage '$(STORAGE)') $(if $(FRESH),--fresh) $(OUTPUTS)

# Threads that spin while they wait for each other lose several times over as soon as anything else wants a core.
.PHONY: train tune-worker dashboard visualize
train: $(READY) ## tune, fit, prove parity, publish [TRIALS=100 DATA=auto|uci|synthetic DATA_DIR= SEED=42 STORAGE= FRESH=1 DATASET=module ENGINE=external|dask SCHEDULER=tcp://... SAMPLE_ROWS= OBJECTIVE=f2,latency TRIAL= MAX_US= MODELS= REPORTS=]
	@OMP_WAIT_POLICY=passive $(PY) -m $(if $(ENGINE),scale.training.train,training.train) $(TRAIN_ARGUMENTS)

tune-worker: $(READY) ## help with a study that others share, publish nothing [STORAGE=postgresql+psycopg://... and as train]
	@OMP_WAIT_POLICY=passive $(PY) -m $(if $(ENGINE),scale.training.train,training.train) --tune-only $(TRAIN_ARGUMENTS)

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
  $(if $(PART_ROWS),--part-rows $(PART_ROWS)) $(if $(THREADS),--threads $(THREADS)) $(if $(FRESH),--fresh) \
  $(if $(ENGINE),--engine $(ENGINE)) $(if $(SCHEDULER),--scheduler '$(SCHEDULER)') $(if $(MODELS),--models '$(MODELS)')

.PHONY: score census
score: $(READY) ## score files of any size [INPUT=file|folder|glob OUTPUT=folder|file KEEP=id,... SHARD=i/n PART_ROWS= THREADS= FRESH=1 ENGINE=dask SCHEDULER=tcp://...]
	@$(PY) -m scale.scoring.score $(SCORE_ARGUMENTS)

census: $(READY) ## synthetic rows as partitioned Parquet [ROWS=1000000 OUTPUT=folder SEED=42 DATASET=module]
	@$(PY) -m scale.training.synthetic_parquet --dataset $(DATASET) --rows $(ROWS) --output '$(OUTPUT)' --seed $(SEED)

# The project's code, as the commands have it: workers run what a client names. Dask asks nobody who they are, and runs
# what it is sent: keep the port to a trusted network, or use its TLS (docs/scaling.md).
SCHEDULER_HOST ?= 127.0.0.1
SCHEDULER_PORT ?= 8786
WORKERS ?= -1

.PHONY: dask-scheduler dask-worker
dask-scheduler: $(READY) ## a Dask scheduler for ENGINE=dask [SCHEDULER_HOST=127.0.0.1 SCHEDULER_PORT=8786]
	@PYTHONPATH=. exec $(VENV)/bin/dask scheduler --host $(SCHEDULER_HOST) --port $(SCHEDULER_PORT) \
	  --no-dashboard --dashboard-address 127.0.0.1:0

dask-worker: $(READY) ## Dask workers on this machine, until Ctrl-C [SCHEDULER=tcp://127.0.0.1:8786 WORKERS=-1: as many as CPUs]
	@PYTHONPATH=. OMP_WAIT_POLICY=passive exec $(VENV)/bin/dask worker $(or $(SCHEDULER),tcp://127.0.0.1:8786) \
	  --nworkers $(WORKERS) --nthreads 1 --no-dashboard

.PHONY: serve-onnx serve-pickle check test test-all
serve-onnx: $(READY) ## serve the ONNX graph on :8001 [settings: SERVE_* variables, see the README]
	@$(SERVED) exec $(PY) -m serving.onnx_service

serve-pickle: $(READY) ## serve the pickle on :8000 [settings: SERVE_* variables, see the README]
	@$(SERVED) exec $(PY) -m serving.pickle_service

check: $(READY) ## lint, format, types, and the documentation's figures against the recorded results
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(PY) -m experiments.report.tables_command --check

# Two workers: more start more services and train more models than they save. PYTEST_ARGUMENTS come last and win:
# a path, -n 0, -p randomly, -m docker.
FAST   := not slow and not cargo and not real_data and not docker
PYTEST  = DATA_DIR='$(DATA_DIR)' $(PY) -m pytest -n 2 --dist worksteal
PYTEST_ARGUMENTS ?=

test: $(READY) ## the tests that are quick and need nothing but this folder [PYTEST_ARGUMENTS="-p randomly"]
	@$(PYTEST) -m '$(FAST)' $(PYTEST_ARGUMENTS)

test-all: $(READY) $(if $(shell command -v cargo),build-axum) ## all but the containers' tests [DATA_DIR= PYTEST_ARGUMENTS="-m docker" for those]
	@$(PYTEST) -m 'not docker' $(PYTEST_ARGUMENTS)

DURATION  ?= 5
USERS     ?= 32
ROUNDS    ?= 3
SCENARIOS ?=
SERVICES  ?=
BASELINES ?=
HOST      ?= http://127.0.0.1:8001
HOSTS     ?=
SCENARIO  ?= mixed
PROCESSES ?=
WORKERS   ?= 2
MASTER    ?=
HEADLESS  ?=
LOCUST_ARGUMENTS ?=

.PHONY: bench skew load load-master load-worker profile fairness workers soak overload
bench: $(READY) ## all services under the same load, every answer checked [DURATION=5 USERS=32 ROUNDS=3 SCENARIOS= SERVICES= BASELINES=1]
	@$(PY) -m load_testing.benchmark --duration $(DURATION) --users $(USERS) --rounds $(ROUNDS) \
	  $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SERVICES),--services $(SERVICES)) $(if $(BASELINES),--baselines) $(OUTPUTS)

skew: $(READY) ## every reference row through every service [HOSTS="http://... ..." for running ones]
	@$(PY) -m load_testing.skew_command $(foreach host,$(HOSTS),--host $(host)) $(OUTPUTS)

# Without a duration Locust's web page is opened, with one (DURATION=, or HEADLESS=1) a run starts by itself and ends in a
# report. One machine's workers are nobody else's business; those of other machines need the port on all interfaces.
GIVEN_DURATION = $(filter command environment,$(firstword $(origin DURATION)))
LOCUST      = $(VENV)/bin/locust -f load_testing/locustfile.py
LOCUST_LOAD = --host $(HOST) --scenario $(SCENARIO) --users $(USERS) --spawn-rate $(USERS) --stop-timeout 60 \
  --expect-workers-max-wait 60 --html reports/load.html \
  $(if $(HEADLESS)$(GIVEN_DURATION),--headless --only-summary --run-time $(DURATION)s)

load: $(READY) ## Locust against a running service: its web page, or a run with a report [HOST= SCENARIO=mixed USERS=32 DURATION= PROCESSES=]
	@$(LOCUST) $(LOCUST_LOAD) $(if $(PROCESSES),--processes $(PROCESSES) --master-bind-host 127.0.0.1) $(LOCUST_ARGUMENTS)

load-master: $(READY) ## the same with workers on other machines, one report of all [WORKERS=2 and as load]
	@$(LOCUST) $(LOCUST_LOAD) --master --expect-workers $(WORKERS) $(LOCUST_ARGUMENTS)

load-worker: $(READY) ## a machine that makes load, with the same bundle in models/ [MASTER=host PROCESSES=]
	@$(LOCUST) --worker --master-host $(or $(MASTER),$(error MASTER=host is needed: where load-master runs)) \
	  $(if $(PROCESSES),--processes $(PROCESSES)) $(LOCUST_ARGUMENTS)

profile: $(READY) ## where the microseconds of a request go
	@$(PY) -m experiments.load.profile_command

fairness: $(READY) ## what large batches cost the small requests beside them
	@$(PY) -m experiments.load.fairness

workers: $(READY) ## what a second worker is worth, by CPU time per request [USERS=32 DURATION=5 ROUNDS=3 SCENARIOS= SERVICES=]
	@$(PY) -m experiments.load.second_worker --users $(USERS) --duration $(DURATION) --rounds $(ROUNDS) \
	  $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SERVICES),--services $(SERVICES))

overload: $(READY) ## what a service does with far more clients than it can serve [CLIENTS=2000]
	@$(PY) -m experiments.load.overload $(if $(CLIENTS),--clients $(CLIENTS))

soak: DURATION = 60
soak: $(READY) ## load, hostile input and faults at once, one table [DURATION=60 seconds per service, SERVICES=]
	@$(PY) -m experiments.load.soak --duration $(DURATION) $(if $(SERVICES),--services $(SERVICES))

FAST     ?=
STUDY_ARGUMENTS = --dataset $(DATASET) --data $(DATA) --data-dir '$(DATA_DIR)' --seed $(SEED) $(if $(FAST),--fast)

.PHONY: study session-options tree-costs
study: $(READY) ## when ONNX is worth it: model families, batch sizes, threads [FAST=1 DATA=auto|uci|synthetic DATA_DIR= SEED=42 DATASET=module]
	@$(PY) -m experiments.study.study_command $(STUDY_ARGUMENTS)

session-options: $(READY) ## what each session option of ONNX Runtime does to the bundle's graph [FAST=1 ORT_PROVIDERS="..." and as study]
	@$(PY) -m experiments.study.session_options $(STUDY_ARGUMENTS)

tree-costs: $(READY) ## why ONNX Runtime isn't faster on large batches of tree ensembles [FAST=1 and as study]
	@$(PY) -m experiments.study.tree_costs $(STUDY_ARGUMENTS)

.PHONY: report
report: $(READY) ## one page of all reports that are there: reports/index.html, and their key figures here
	@$(PY) -m experiments.report.report_command

CHECK ?=
LIST  ?=

.PHONY: record-results readme-tables
record-results: $(READY) ## take the results in reports/ over into experiments/results/, with warnings about what doesn't go together
	@$(PY) -m experiments.report.record_command

readme-tables: $(READY) ## write the recorded results into README.md and docs/ [CHECK=1 compares only, LIST=1 names every figure]
	@$(PY) -m experiments.report.tables_command $(if $(CHECK),--check) $(if $(LIST),--list)

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
	@$(SERVED) ORT_DYLIB_PATH='$(ONNXRUNTIME_LIBRARY)' exec $(AXUM)

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
	@$(COMPOSE) --profile bench --profile load --profile tune --profile replicas down --remove-orphans

images: $(READY) ## build the images, print their sizes, and write reports/images.json
	@for image in $(IMAGES); do \
	  docker build --quiet --file docker/$$image.Dockerfile --tag train-to-serve/$$image \
	    --label org.opencontainers.image.revision="$$(git rev-parse HEAD 2>/dev/null)" . >/dev/null || exit 1; done
	@$(PY) -m experiments.load.image_sizes $(IMAGES)
