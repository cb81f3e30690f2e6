# Every target works from a fresh clone: the environment sets itself up. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready

# Variables given on the command line are the options of the Python command that a target runs: TRIALS=5 is --trials 5
# (bundle/command_line.py). They reach it through the environment as they were typed: no `$`, quote or space is read.
GIVEN := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
run = @exec env MAKE_VARIABLES='$(filter-out PYTHON,$(GIVEN))' OMP_WAIT_POLICY=passive $(PY) -m
# Other targets name those that they take.
takes = $(if $(and $1,$(HELP)),$(info `make $@` takes $(subst %,*,$1); docs/ explains them)exit 0; ,$(foreach name,$(filter-out PYTHON $1,$(GIVEN)),$(error $(name): `make $@` takes $(if $1,$(subst %,*,$1),no variables))))

help:
	@$(call takes,)awk -F ':.*## ' '/^##@/{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-18s%s\n", $$1, $$2}' Makefile | tail -n +2
	@echo '$(EXPERIMENTS)' | fold -sw 76 | sed 's/^/  /'
	@printf 'Variables are options: make train TRIALS=5. HELP=1 lists those of a command.\n'

$(READY): requirements/setup.lock requirements/dev.lock
	@PYTHON='$(PYTHON)' requirements/install.sh $(VENV)

##@ A model
train: ## rows to a published bundle [TRIALS= DATA= CSV= TARGET=]
tune-worker: ## help with the study of another `make train` [STORAGE=]
train tune-worker: $(READY)
	$(run) $(if $(filter-out memory,$(ENGINE)),scale,training) train $(if $(filter tune-worker,$@),--tune-only)
package: ## your own model to a bundle [PIPELINE= ROWS= TARGET= ONNX=]
visualize: ## the ONNX graph in the browser, on :8081 [MODELS=]
dashboard: ## the study in the browser, on :8080 [STORAGE=]
package visualize dashboard: $(READY)
	$(run) training $@

##@ Services and their load
SERVING = $(call takes,SERVE_% OTEL_% MODELS)$(if $(MODELS),SERVE_MODEL_DIR="$$MODELS")
serve-onnx: ## the ONNX graph from Python, on :8001 [MODELS= SERVE_*=]
serve-pickle: ## the pickle from Python, on :8000
serve-onnx serve-pickle: $(READY)
	@$(SERVING) exec $(PY) -m serving.$(@:serve-%=%)_service
AXUM    = serving/axum/target/release/axum-service
RUNTIME = import pathlib, onnxruntime; print(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime*")))
WITH_RUNTIME = ORT_DYLIB_PATH="$$($(PY) -c '$(RUNTIME)')"
serve-axum: build-axum $(READY) ## the ONNX graph from Rust, on :3000
	@$(SERVING) $(WITH_RUNTIME) exec $(AXUM)
build-axum:
	@$(if $(filter build-axum,$(MAKECMDGOALS)),$(call takes,))command -v cargo >/dev/null || { echo "error: cargo is missing: install Rust (rustup) for the Rust service" >&2; exit 1; }
	@cargo build --release --locked --manifest-path serving/axum/Cargo.toml
skew: ## every reference row through every service [HOSTS=]
bench: ## all services under the same load: is ONNX worth it?
bench skew: $(READY)
	$(run) load_testing $@
load: $(READY) ## Locust, by its own settings: LOCUST_HOST= LOCUST_USERS= ...
	@$(call takes,LOCUST_% MODELS)MODEL_DIR="$${MODELS:-models}" exec $(VENV)/bin/locust --config load_testing/locust.conf
replay: ## answer recorded rows again [RECORD= HOST= MODELS=]
drift: ## compare recorded rows with training [RECORD= SINCE=]
replay drift: $(READY)
	$(run) monitoring $@

##@ Containers
up: ## train if needed, serve on :8000 :8001 :3000 [CSV= MODELS=]
	@$(COMPOSE) up --build --detach
down: ## stop and remove the containers
	@$(COMPOSE) --profile bench --profile load --profile tune --profile replicas down --remove-orphans
COMPOSE = $(call takes,TRIALS PATIENCE DATA DATA_DIR SEED DATASET CSV TARGET POSITIVE IGNORE TASK SEPARATOR EMPTY SCORE MODELS \
  REPORTS)docker/compose.sh
IMAGES := onnx pickle axum train bench
images: $(READY) ## build the images and print their sizes
	@$(call takes,)docker/build.sh $(IMAGES)
	$(if $(wildcard experiments),$(run) experiments images $(IMAGES))

##@ Files larger than memory, many machines
score: ## score Parquet or CSV [INPUT= OUTPUT=]
synthetic-parquet: ## make rows to try it with [ROWS= OUTPUT=]
dask-scheduler: ## for ENGINE=dask [HOST= PORT=]
dask-worker: ## its workers on this machine [SCHEDULER= WORKERS=]
score synthetic-parquet dask-scheduler dask-worker: $(READY)
	$(run) scale $@

##@ Development
# Two workers: more start more services and train more models than they save. PYTEST_ARGUMENTS come last and win.
PYTEST = $(call takes,DATA_DIR PYTEST_ARGUMENTS)DATA_DIR="$${DATA_DIR:-data/adult}" $(PY) -m pytest -n 2 --dist worksteal
test: $(READY) ## the quick tests [PYTEST_ARGUMENTS=]
	@$(PYTEST) -m 'not slow and not cargo and not real_data and not docker' $(PYTEST_ARGUMENTS)
test-all: $(READY) $(if $(shell command -v cargo),build-axum) ## all but the containers' tests [DATA_DIR=]
	@$(PYTEST) -m 'not docker' $(PYTEST_ARGUMENTS)
check: $(READY) ## lint, format, types, and tables in the documentation
	@$(call takes,)$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
	$(if $(wildcard experiments),$(run) experiments tables --check)
check-axum: build-axum $(READY) ## format, lint and test the Rust service, with traces too
	@$(call takes,)cargo fmt --check --manifest-path serving/axum/Cargo.toml
	@cargo clippy --quiet --locked --release --all-targets --manifest-path serving/axum/Cargo.toml -- -D warnings
	@$(WITH_RUNTIME) cargo test --quiet --locked --release --manifest-path serving/axum/Cargo.toml
	@CARGO_PROFILE_DEV_DEBUG=0 cargo test --quiet --locked --features tracing-otlp --test service --manifest-path serving/axum/Cargo.toml traces
IMAGE_LOCKS := training serving-onnx serving-pickle load-testing
lock: $(READY)
	@$(call takes,)requirements/lock.sh $(VENV)/bin/uv $(IMAGE_LOCKS) tracing setup audit
audit: $(READY) ## vulnerabilities and licences of all packages
	@$(call takes,)PYTHON='$(PYTHON)' .ci/audit $(IMAGE_LOCKS) tracing
# Nothing else imports these: a copy of this repository may leave them out. What docs/ says about them stays.
trim: ## in your copy: remove scale/, experiments/, serving/axum/
	@$(call takes,)git rm -r --quiet $(wildcard scale experiments serving/axum tests/scale tests/experiments tests/serving/test_rust_modules.py)
	@echo "removed; their targets in the Makefile and their parts of README.md and docs/ are yours to delete"

##@ Experiments: docs/measuring.md has the results
EXPERIMENTS := $(if $(wildcard experiments),study session-options tree-costs profile fairness workers protocols overload soak \
  report record tables)
$(EXPERIMENTS): $(READY)
	$(run) experiments $@

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile) $(EXPERIMENTS)
