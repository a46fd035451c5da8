# Every target first makes sure that .venv holds exactly what the lock files say.
#   make demo    the main job, once, on this machine        make test     the fast tests
#   make up      everything, until Ctrl-C                    make check    format, lint, types
#   make bench   the benchmarks (BENCH=--quick: short)       make lock     refresh the lock files
#   make soak    attacks on a real house (SOAK='--minutes 60')
# PYTHON=/path/to/python3.12 chooses another interpreter.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The version is asked of the interpreter itself: a pyenv shim may exist and still not run.
SUITABLE = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do "$$p" -c "$(SUITABLE)" >/dev/null 2>&1 && { echo "$$p"; break; }; done)

.PHONY: help demo up test check format bench soak lock clean

help:
	@sed -n '2,7s/^# *//p' Makefile

demo: $(VENV)/.runtime
	@$(BIN)/waihu demo

up: $(VENV)/.runtime
	@exec $(BIN)/waihu up

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not slow and not integration"

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(BENCH)

soak: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.soak $(SOAK)

# The order matters: the first line that fails says what is missing and what to do.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Waihu needs Python 3.11 or 3.12, and none is on the PATH. Install one, or say where: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c "$(SUITABLE)" || { echo "$(PYTHON) is not Python 3.11 or 3.12. The embedded Redis comes as a wheel for these two only."; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c "$(SUITABLE)" || { rm -rf $(VENV); "$(PYTHON)" -m venv $(VENV); } || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing what the lock file names into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what tests and checks need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
