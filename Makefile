# Everything a clone needs, on a machine with Python 3.11 to 3.13 and make.
#
#   make demo              the whole path on sample media, offline
#   make check test        what every change must pass
#   make help              all targets and variables
#
# The environment lies in $(VENV) and is set up by .ci/environment. Two stamp files in it remember what was installed,
# so that pip runs again only after pyproject.toml or constraints.txt changed.
.POSIX:

PYTHON ?=
VENV ?= .venv
WORKERS ?= 2
PORT ?= 3000
ARGS ?=

# Each start imports two thousand modules: without their bytecode on disk that costs six seconds instead of two.
unexport PYTHONDONTWRITEBYTECODE

BIN = $(VENV)/bin
BASE = $(VENV)/.base-stamp
DEV = $(VENV)/.dev-stamp
SET_UP = PYTHON='$(PYTHON)' VENV='$(VENV)' sh .ci/environment

.PHONY: help demo dev test test-slow test-services label-studio check format docs bench chaos hostile audit mutants clean

help:
	@echo 'make demo            run the whole path on sample media, offline'
	@echo 'make dev             open the graph in the Dagster UI, on 127.0.0.1:$(PORT)'
	@echo 'make test            the tests that need nothing but this machine ($(WORKERS) workers)'
	@echo 'make test-slow       those of them that take seven seconds of a processor or more'
	@echo 'make test-services   the tests against real servers, on loopback'
	@echo 'make label-studio    the Label Studio that some of these tests start, in .label-studio (0.8 GB)'
	@echo 'make check           format, lint, types, import direction, docs, licences, forbidden content'
	@echo 'make format          let ruff format the code and mend what it can'
	@echo 'make docs            write what is generated: pages and dependencies in docs/, numbers in README.md'
	@echo 'make bench           measure what the README claims'
	@echo 'make chaos           kill, starve, damage, feed hostile files and fuzz, then compare the tables'
	@echo 'make hostile         of these, the hostile files and servers and the fuzzing alone'
	@echo 'make mutants         break each promise in a copy of the source; a named test must go red each time'
	@echo 'make audit           known problems of dependencies, in a stored database: ARGS="--database all.zip"'
	@echo 'make clean           remove the environment and caches; lakes stay'
	@echo
	@echo 'Variables: PYTHON= interpreter, VENV=$(VENV), WORKERS=$(WORKERS), PORT=$(PORT), DAGSTER_HOME=,'
	@echo '           ARGS= passed on, such as make test ARGS="-k retry"'

demo: $(BASE)
	@$(BIN)/media-assets demo $(ARGS)

# DAGSTER_HOME defaults to a folder beside the lake, as it does for the command line, and belongs to one lake.
dev: $(BASE)
	@DAGSTER_HOME="$$($(BIN)/python -m media_assets.defs)" || exit 1; export DAGSTER_HOME; \
	  exec $(BIN)/dagster dev --host 127.0.0.1 --port $(PORT) $(ARGS)

test: $(DEV)
	@$(BIN)/python -m pytest -n $(WORKERS) -m 'not services and not chaos and not slow' $(ARGS)

test-slow: $(DEV)
	@$(BIN)/python -m pytest -n $(WORKERS) -m slow $(ARGS)

test-services: $(DEV)
	@$(BIN)/python -m pytest -m services $(ARGS)

label-studio:
	@PYTHON='$(PYTHON)' sh .ci/label-studio

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m media_assets_tests.docs.generate --check
	$(BIN)/python -m pytest -q media_assets_tests/docs media_assets_tests/supply --ignore=media_assets_tests/docs/test_readme_runs.py

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEV)
	$(BIN)/python -m media_assets_tests.docs.generate

bench: $(DEV)
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: $(DEV)
	@$(BIN)/python -m media_assets_tests.chaos $(ARGS)

hostile: $(DEV)
	@$(BIN)/python -m media_assets_tests.hostile $(ARGS)

audit: $(DEV)
	@$(BIN)/python -m media_assets_tests.supply.audit $(ARGS)

mutants: $(DEV)
	@$(BIN)/python -m media_assets_tests.mutants $(ARGS)

clean:
	@if [ -f '$(VENV)/pyvenv.cfg' ]; then rm -rf '$(VENV)'; fi
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE): pyproject.toml constraints.txt
	@$(SET_UP)
	@touch $(BASE)

$(DEV): pyproject.toml constraints.txt
	@$(SET_UP) dev
	@touch $(BASE) $(DEV)
