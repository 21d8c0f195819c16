# The verbs of this project. Each sets up what it needs, is safe to repeat and needs no root.
# `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

.PHONY: help setup setup-dev run demo test soak check format codegen bench docs wheel lock clean

help: ## list the verbs
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
		| awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(VENV)/runtime.stamp ## make the virtual environment with what running needs

setup-dev: $(VENV)/dev.stamp ## add what tests and checks need

run: setup ## start the whole network on 127.0.0.1 and print what to try (PORT=8080)
	@$(BIN)/portico serve --announce

demo: setup ## start everything, place an order, explain what happened, stop
	@$(BIN)/portico demo

test: setup-dev ## pass every test
	@$(BIN)/python tests/prerequisites.py
	@$(BIN)/python -m pytest --numprocesses 3

soak: setup-dev ## the long fault and load runs (SOAK_SECONDS=60)
	@SOAK_SECONDS=$${SOAK_SECONDS:-60} $(BIN)/python -m pytest tests/soak -p no:cacheprovider

check: setup-dev ## lint, types, import rules, contracts, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/portico lint
	$(BIN)/python -m portico.codegen --check
	$(BIN)/python -m gateway.config.reference --check

format: setup-dev ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

codegen: setup-dev ## generate models and calls from the contracts
	$(BIN)/python -m portico.codegen

bench: setup-dev ## measure, print a table, write bench/results.json
	@$(BIN)/python -m bench

docs: setup ## write the documents that are generated: docs/configuration.md
	@$(BIN)/python -m gateway.config.reference

wheel: setup-dev ## build the wheel into dist/ and try it in an environment of its own
	@$(BIN)/python tests/wheel_smoke.py

lock: setup-dev ## resolve the dependencies again into the two hashed lock files
	@$(BIN)/python -m uv --version > /dev/null 2>&1 || $(PIP) uv
	$(BIN)/python -m uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --universal --annotation-style line requirements.in -o requirements.lock
	$(BIN)/python -m uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --universal --annotation-style line requirements.in requirements-dev.in \
		-c requirements.lock -o requirements-dev.lock

clean: ## remove the virtual environment, build results and caches; data/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache

# A stamp belongs to one content of its lock file; a changed lock is installed again.
$(VENV)/bin/python:
	@echo "setting up Python in $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or later is needed, $(PYTHON) is older; set PYTHON=" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing what running needs …"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/runtime.stamp
	@echo "installing what tests and checks need …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
