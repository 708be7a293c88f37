# Every target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin

# Compiled modules are kept: otherwise each worker of the tests would compile them anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-processes test-lake torture soak cluster browser dist check format dev bench bench-market bench-grid bench-scale screenshots docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 10

.venv/.installed: requirements.txt requirements-cluster.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable '.[dev]'
	@touch $@

setup: .venv/.installed ## Install the project and its development tools into .venv

demo dev: export DERIBIT_HOME = $(CURDIR)
demo dev: export DAGSTER_HOME = $(CURDIR)/dagster_home
demo: setup ## Backfill a fortnight from the built-in sandbox exchange and show it
	$(BIN)/deribit-pipeline demo

test: setup ## Run the tests (6 to 7 minutes)
	$(BIN)/python -m pytest

test-processes: setup ## Run the tests that start and kill commands and the UI (3 minutes)
	$(BIN)/python -m pytest -m "processes and not lake and not torture"

test-lake: setup ## Run the tests of lakes, on a PostgreSQL and an object store of their own (6 minutes)
	$(BIN)/python -m pytest -m "lake and not torture and not cluster"

torture: setup ## Run the long tests: faults, kills, several processes (10 minutes)
	$(BIN)/python -m pytest -m torture --ignore deribit_pipeline_tests/cli/test_signals.py
	$(BIN)/python -m pytest -m torture -n 0 deribit_pipeline_tests/cli/test_signals.py # its seconds count

soak: setup ## Record trades for 20 minutes, through closed sockets, kills and a restart of the exchange
	SOAK_MINUTES=20 $(BIN)/python -m pytest -n 0 -m torture deribit_pipeline_tests/cli/test_live_trades.py

cluster: setup ## Run what deploy/compose.yaml runs, all of it (2 minutes)
	$(BIN)/python -m pytest -n 0 -m cluster

browser: setup ## Click through Dagster's UI in chromium (3 minutes)
	$(BIN)/python -m pytest -m browser

dist: setup ## Build wheel and sdist in dist/, install and use them in a fresh environment (3 minutes)
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/python -m pytest -n 0 -m dist

check: setup ## Run ruff, mypy and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: setup ## Let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: setup ## Start Dagster's UI on http://127.0.0.1:3000
	$(BIN)/deribit-pipeline ui

.venv-bench/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench: setup .venv-bench/.installed ## Measure, beside ccxt, and write docs/benchmarks.md (25 minutes)
	$(BIN)/python benchmarks/run.py --ccxt .venv-bench/bin/python --write docs/benchmarks.md

bench-market: setup ## Fetch a year of all 130 perpetuals, and write its part of docs/benchmarks.md (15 minutes)
	$(BIN)/python benchmarks/market.py --write docs/benchmarks.md

bench-grid: setup ## Measure Dagster's partition grid, 20 to 200 instruments (40 minutes)
	$(BIN)/python benchmarks/grid.py --since 2026-01-01 --layouts 200

bench-scale: setup ## Measure a lake under load, and write its part of docs/benchmarks.md (25 minutes)
	$(BIN)/python benchmarks/scale.py --write docs/benchmarks.md

screenshots: setup ## Take the pictures of the README, with chromium (3 minutes)
	$(BIN)/python -m deribit_pipeline_tests.screenshots docs/images

docs: setup ## Generate the data dictionary, the page of assumptions and the README's datasets
	$(BIN)/python -m deribit_pipeline.warehouse.schema > docs/data-dictionary.md
	$(BIN)/python -m deribit_pipeline.assumptions.every_assumption > docs/assumptions.md
	$(BIN)/python -m deribit_pipeline.datasets.readme_table README.md

clean: ## Remove the environment and caches; data stays
	rm -rf dist .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
