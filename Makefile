# Every target works from a fresh clone: the environment sets itself up. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
.DEFAULT_GOAL := help

# Variables given on the command line are the options of the Python command that a target runs: TRIALS=5 is --trials 5
# (bundle/command_line.py). They reach it through the environment as they were typed: no `$`, quote or space is read.
GIVEN := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
run = @MAKE_VARIABLES='$(filter-out PYTHON,$(GIVEN))' OMP_WAIT_POLICY=passive $(PY) -m
# Other targets name those that they take.
takes = $(foreach name,$(filter-out PYTHON $1,$(GIVEN)),$(error $(name): `make $@` takes $(if $1,$1,no variables)))

help:
	@awk -F ':.*## ' '/^##@/{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-18s%s\n", $$1, $$2}' Makefile | tail -n +2
	@echo '$(EXPERIMENTS)' | fold -sw 76 | sed 's/^/  /'
	@printf 'Variables are options: make train TRIALS=5. HELP=1 lists those of a command.\n'

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

##@ A model
train: ## data to a published bundle [TRIALS= DATA= DATASET= ENGINE=]
tune-worker: ## help with the study of another `make train` [STORAGE=]
train tune-worker: $(READY)
	$(run) $(if $(filter-out memory,$(ENGINE)),scale,training) train $(if $(filter tune-worker,$@),--tune-only)

package: $(READY) ## your model to a bundle [PIPELINE= ROWS= TARGET= or ONNX=]
	$(run) training package

dashboard: $(READY) ## the study in the browser, on :8080 [STORAGE=]
	$(run) training dashboard

visualize: $(READY) ## the ONNX graph in the browser
	@$(call takes,MODELS)for graph in "$${MODELS:-models}"/*.onnx; do case "$$graph" in *.packed.onnx) packed=$$graph;; \
	  *) test ! -e "$$graph" || exec $(VENV)/bin/netron --browse "$$graph";; esac; done; \
	  test -z "$$packed" || exec $(VENV)/bin/netron --browse "$$packed"; \
	  echo "error: $${MODELS:-models}: no graph there; make train makes one, or name its folder with MODELS=" >&2; exit 1

##@ Services (settings: SERVE_*, as in docs/serving.md; MODELS=folder)
SERVING = $(call takes,SERVE_% MODELS)$(if $(MODELS),SERVE_MODEL_DIR="$$MODELS")
serve-onnx: ## the ONNX graph from Python, on :8001
serve-pickle: ## the pickle, on :8000
serve-onnx serve-pickle: $(READY)
	@$(SERVING) exec $(PY) -m serving.$(@:serve-%=%)_service

AXUM    = serving/axum/target/release/axum-service
RUNTIME = import pathlib, onnxruntime; print(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime*")))
WITH_RUNTIME = ORT_DYLIB_PATH="$$($(PY) -c '$(RUNTIME)')"
serve-axum: build-axum $(READY) ## the ONNX graph from Rust, on :3000
	@$(SERVING) $(WITH_RUNTIME) exec $(AXUM)

build-axum:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust (rustup) to build the Rust service" >&2; exit 1; }
	@cargo build --release --locked --manifest-path serving/axum/Cargo.toml

##@ Load
bench: ## all services under the same load, every answer checked
skew: ## every reference row through every service [HOSTS=]
bench skew: $(READY)
	$(run) load_testing $@

load: $(READY) ## Locust, by its own settings: LOCUST_HOST= LOCUST_USERS= ...
	@$(call takes,LOCUST_% MODELS)MODEL_DIR="$${MODELS:-models}" exec $(VENV)/bin/locust --config load_testing/locust.conf

##@ Files larger than memory, many machines
score: ## score Parquet or CSV [INPUT= OUTPUT=]
synthetic-parquet: ## rows to try it with [ROWS= OUTPUT=]
dask-scheduler: ## for ENGINE=dask [HOST= PORT=]
dask-worker: ## its workers on this machine [SCHEDULER= WORKERS=]
score synthetic-parquet dask-scheduler dask-worker: $(READY)
	$(run) scale $@

##@ Containers
# Compose v2's plugin, or the older tool of its own; a folder to mount needs an absolute path. compose.yaml has more.
TRAINED = TRIALS DATA DATA_DIR SEED DATASET CSV TARGET POSITIVE IGNORE TASK SEPARATOR EMPTY SCORE MODELS REPORTS
FULL    = case "$$$1" in ''|/*) ;; "~"*) $1="$$HOME$${$1\#"~"}";; *) $1="$$PWD/$$$1";; esac;
APART   = test -z "$$MODELS" || : "$${REPORTS:=reports/$$(printf %s "$${MODELS\#/}" | tr / -)}";
COMPOSE = $(call takes,$(TRAINED))$(APART) $(foreach name,DATA_DIR MODELS REPORTS CSV,$(call FULL,$(name))) \
  if test -e "$$CSV"; then DATA_DIR="$${CSV%/*}"; fi; CSV="$${CSV\#\#*/}"; export CSV DATA_DIR MODELS REPORTS; \
  test -z "$$MODELS" || mkdir -p "$$MODELS" "$$REPORTS"; \
  if docker compose version >/dev/null 2>&1; then compose="docker compose"; else compose=docker-compose; fi; $$compose
up: ## train if needed, serve on :8000 :8001 :3000 [CSV= MODELS=]
	@$(COMPOSE) up --build --detach

down: ## stop and remove the containers
	@$(COMPOSE) --profile bench --profile load --profile tune --profile replicas down --remove-orphans

IMAGES := onnx pickle axum train bench
images: $(READY) ## build the images and print their sizes
	@$(call takes,)for image in $(IMAGES); do \
	  docker build --quiet --file docker/$$image.Dockerfile --tag train-to-serve/$$image \
	    --label org.opencontainers.image.revision="$$(git rev-parse HEAD 2>/dev/null)" . >/dev/null || exit 1; done
	$(run) experiments images $(IMAGES)

##@ Development
check: $(READY) ## lint, format, types, and tables in the documentation
	@$(call takes,)$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	$(if $(wildcard experiments),$(run) experiments tables --check)

check-axum: build-axum $(READY) ## format, lint and test the Rust service
	@cargo fmt --check --manifest-path serving/axum/Cargo.toml
	@cargo clippy --quiet --locked --release --all-targets --manifest-path serving/axum/Cargo.toml -- -D warnings
	@$(WITH_RUNTIME) cargo test --quiet --locked --release --manifest-path serving/axum/Cargo.toml

# Two workers: more start more services and train more models than they save. PYTEST_ARGUMENTS come last and win:
# a path, -n 0, -p randomly, -m docker.
PYTEST = $(call takes,DATA_DIR PYTEST_ARGUMENTS)DATA_DIR="$${DATA_DIR:-data/adult}" $(PY) -m pytest -n 2 --dist worksteal
test: $(READY) ## the quick tests [PYTEST_ARGUMENTS=]
	@$(PYTEST) -m 'not slow and not cargo and not real_data and not docker' $(PYTEST_ARGUMENTS)

test-all: $(READY) $(if $(shell command -v cargo),build-axum) ## all but the containers' tests [DATA_DIR=]
	@$(PYTEST) -m 'not docker' $(PYTEST_ARGUMENTS)

LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
IMAGE_LOCKS := training serving-onnx serving-pickle load-testing
lock: $(READY)  # resolves the versions in requirements/*.lock again
	@$(LOCK) --upgrade --extra dev -o requirements/dev.lock pyproject.toml
	@for extra in $(IMAGE_LOCKS) setup audit; do \
	  $(LOCK) --constraint requirements/dev.lock --extra $$extra -o requirements/$$extra.lock pyproject.toml || exit 1; done

audit: $(READY) ## vulnerabilities and licences of all packages
	@PYTHON='$(PYTHON)' .ci/audit $(IMAGE_LOCKS)

# Nothing else imports these: who copies this repository may leave them out. What docs/ says of them stays.
EXTRAS := scale experiments serving/axum tests/scale tests/experiments tests/serving/test_rust_modules.py
trim: ## in your copy: remove scale/, experiments/, serving/axum/
	@$(call takes,)git rm -r --quiet $(wildcard $(EXTRAS))

##@ Experiments: docs/measuring.md has the results
EXPERIMENTS := study session-options tree-costs profile fairness workers overload soak report record tables
$(EXPERIMENTS): $(READY)
	$(run) experiments $@

.PHONY: help train tune-worker dashboard visualize serve-onnx serve-pickle serve-axum build-axum bench skew load score \
  synthetic-parquet dask-scheduler dask-worker up down images check check-axum test test-all lock audit trim $(EXPERIMENTS)
