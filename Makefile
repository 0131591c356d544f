# Everything that is done with this repository, on a machine that has Python 3.11+, make and git.

PYTHON ?= python3
ARGS ?=
RUNS ?= 200
N ?= 20

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
VENV := .venv/.made
FOR_RUN := .venv/.for-run
FOR_TEST := .venv/.for-test
FOR_FLEET := .venv/.for-fleet
SERVERS := .venv-servers
BENCHES = $(shell grep -l __main__ bench/*.py)

.DEFAULT_GOAL := help
.PHONY: help run fleet test lint types tests test-servers soak services bench clean

help:
	@echo "make run     score 150,000 iris flowers, into out/ (ARGS='--set bad_every=20' for more)"
	@echo "make fleet   probe 20 SSH servers that it starts on this machine (N=169 for more)"
	@echo "make test    all checks: lint, types and tests"
	@echo "make lint    ruff, as linter and as formatter"
	@echo "make types   mypy and basedpyright, both strict"
	@echo "make tests   pytest, with the code in the documents (ARGS='-k words' for a few)"
	@echo "make test-servers  tests with MLServer and MLflow, which it installs (1 GB)"
	@echo "make soak    200 runs of a job that is killed (RUNS=20 for fewer), 2,000 simulated seeds"
	@echo "make services  what tests need and this machine lacks: PostgreSQL, sshd, … (by apt)"
	@echo "make bench   every figure, and whether it is reached"
	@echo "make clean   remove what the others made"
	@echo
	@echo "Each makes what it needs, in .venv; PYTHON=python3.12 names the Python to use."

run: $(FOR_RUN)
	@echo "==> thalweg run graphs/iris_scoring.py $(ARGS)"
	@$(BIN)/thalweg run graphs/iris_scoring.py $(ARGS)

fleet: $(FOR_FLEET)
	@$(BIN)/python -m thalweg.deploy.fleet_farm --machines $(N) $(ARGS)

test: lint types tests
	@echo "==> all is well"

lint: $(FOR_TEST)
	@echo "==> ruff: lint and format"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check

types: $(FOR_TEST)
	@echo "==> mypy, strict"
	@$(BIN)/mypy
	@echo "==> basedpyright, strict"
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

tests: $(FOR_TEST)
	@echo "==> pytest, with the code in the documents and docstrings"
	@$(BIN)/pytest -q -n 2 --ignore=tests/servers $(ARGS)

test-servers: $(FOR_TEST) $(SERVERS)/mlserver/.made $(SERVERS)/mlflow/.made
	@echo "==> pytest, with model servers that the tests start"
	@$(BIN)/pytest -q tests/servers $(ARGS)

soak: $(FOR_TEST)
	@echo "==> pytest, $(RUNS) runs of a job that is killed and started again, and simulated seeds"
	@THALWEG_SOAK_RUNS=$(RUNS) $(BIN)/pytest -q -n 2 tests/soak $(ARGS)

services:
	@.ci/services

bench: $(FOR_TEST)
	@missed=; for bench in $(BENCHES); do \
		echo "==> $$bench --check"; $(BIN)/python $$bench --check || missed="$$missed $$bench"; \
	done; [ -z "$$missed" ] || { echo "==> missed or broken:$$missed" >&2; exit 1; }

clean:
	rm -rf .venv out build dist src/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf bench/.environments $(SERVERS)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed is installed again only when pyproject.toml asks for something else.

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Thalweg needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module; Debian and Ubuntu have it in a package of its own:" >&2; \
		echo "apt install python3-venv" >&2; exit 1; }
	@echo "==> making a virtual environment in .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv
	@touch $@

$(FOR_RUN): pyproject.toml | $(VENV)
	@echo "==> installing Thalweg into .venv (some 30 s the first time)"
	@$(PIP) -e '.[http,onnx]'
	@touch $@

$(FOR_FLEET): pyproject.toml | $(VENV)
	@echo "==> installing Thalweg and its SSH client into .venv (some 30 s the first time)"
	@$(PIP) -e '.[http,ssh]'
	@touch $@

$(FOR_TEST): pyproject.toml | $(VENV)
	@echo "==> installing Thalweg and what checks it into .venv (a minute the first time)"
	@$(PIP) -e '.[test]'
	@touch $@ $(FOR_RUN) $(FOR_FLEET)

# Model servers need much that Thalweg does not, in versions of their own.
$(SERVERS)/%/.made: tests/servers/%.txt | $(VENV)
	@echo "==> installing the model server $* into $(SERVERS)/$* (a minute the first time)"
	@$(PYTHON) -m venv --clear $(SERVERS)/$*
	@$(SERVERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
