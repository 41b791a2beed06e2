# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/sh
BIN := .venv/bin
ROOMS := api control gateway ingest rules simulators tirta
DATA ?= data
HTTP ?= 127.0.0.1:8080
# Not 1883: on many machines another broker is there already.
MQTT ?= 127.0.0.1:18830
SPEED ?= 1
# Most tests wait for a server most of the time: three at once share two cores well. 0 is one after the other, as for a debugger.
JOBS ?= 3
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup run check test faults fuzz wheel lock format clean

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Make .venv with the locked packages, and get mosquitto
	@scripts/setup

run: setup  ## Start Tirta with a simulated pilot (DATA=, HTTP=, MQTT=, SPEED=)
	@exec $(BIN)/tirta up --demo --data $(DATA) --http $(HTTP) --mqtt $(MQTT) --speed $(SPEED)

check: setup  ## Lint, types, layers, formatting, locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_locks.py

test: setup  ## Run all tests (ARGS= for pytest, JOBS= processes)
	@scripts/setup test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

faults: setup  ## Run the fault tests in full (TEST=n QUICK=1 LONG=1 RESUME=1)
	@scripts/setup test
	@$(BIN)/python -m tests.faults $(if $(TEST),--test $(TEST)) $(if $(QUICK),--quick) $(if $(LONG),--long) \
	    $(if $(RESUME),--resume)

fuzz: setup  ## Ask the whole API generated requests as each role and as nobody (EXAMPLES=, SEED=)
	@scripts/setup test
	@$(BIN)/python -m tests.fuzz $(if $(EXAMPLES),--examples $(EXAMPLES)) $(if $(SEED),--seed $(SEED))

wheel: setup  ## Build the wheel into dist/
	@rm -rf build  # or a module that was deleted since the last build would be packed again
	$(BIN)/python -m build --wheel --no-isolation

format: setup  ## Format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## Lock the dependencies anew, with hashes and without any index's address
	$(BIN)/uv pip compile -q --universal -p 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal -p 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev \
	    -c requirements.lock -o requirements-dev.lock

clean:  ## Remove what was built (not data/)
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
