# install · lint · check · test · bench · quickstart · smoke. Each makes .venv where it is missing or older than its pins.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TOOLS := $(wildcard tools/*.py)
# Two test processes share two cores; more threads than cores make torch slower.
WORKERS ?= 2

export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install lint check test bench quickstart smoke controls starter generated
.SILENT:

help:
	echo "make install     the tested versions (constraints.txt) into .venv, seodang editable"
	echo "make lint        mend what ruff can mend"
	echo "make check       ruff, mypy, import-linter, generated files current"
	echo "make test        every test that needs no network"
	echo "make bench       the benchmarks; results go to benchmarks/results/"
	echo "make quickstart  the whole job on the small Korean model in the box, offline"
	echo "make smoke       every stage on a tiny model from nothing, offline"
	echo "make controls    what the quickstart's figures would look like by chance or form; after make quickstart"
	echo "make starter     the small Korean model anew: text, tokenizer, pretraining (an hour or two), package"
	echo "make generated   rewrite the files that tools/ make"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	# torch first and exactly: a range lets pip fetch gigabytes of CUDA.
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

install: $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	for tool in $(TOOLS); do $(BIN)/python $$tool --check || exit 1; done

generated: $(STAMP)
	for tool in $(TOOLS); do $(BIN)/python $$tool || exit 1; done

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not network"

bench: $(STAMP)
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

quickstart: $(STAMP)
	env -u OMP_NUM_THREADS $(BIN)/seodang quickstart

smoke: $(STAMP)
	$(BIN)/seodang run recipes/smoke

starter: $(STAMP)
	$(BIN)/python -m seodang.tasks.text runs/starter/text.jsonl --documents 118000
	env -u OMP_NUM_THREADS $(BIN)/seodang run recipes/starter
	$(BIN)/python tools/starter.py runs/starter

controls: $(STAMP)
	env -u OMP_NUM_THREADS $(BIN)/seodang run recipes/quickstart-controls
