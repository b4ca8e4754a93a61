# Every target makes what it needs. Nothing but Python 3.11+ is expected; the network is used for Python packages only.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find nvsx schemas runbooks scripts -type f -not -path '*/__pycache__/*') build.py

.PHONY: build test lint types bench demo dist clean

build: nvsx.pyz

nvsx.pyz: $(SOURCES)
	$(PYTHON) build.py

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: nvsx.pyz
	./nvsx.pyz demo

test: $(VENV)/ready
	$(BIN)/python -m pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

bench: $(VENV)/ready nvsx.pyz
	@$(BIN)/python -m tests.bench

dist: clean-dist
	$(PYTHON) build.py --release --output dist/nvsx.pyz
	cd dist && sha256sum nvsx.pyz > SHA256SUMS && cat SHA256SUMS

.PHONY: clean-dist
clean-dist:
	rm -rf dist && mkdir dist


clean:
	rm -rf nvsx.pyz dist build $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
