# Every target makes what it needs. Nothing but Python 3.11+ is expected; the network is used for Python packages only.
# Without a network: make build WHEELS=DIR, with the wheels that nvsx/_vendor/requirements.txt pins in DIR.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null)))
BUILD := $(PYTHON) build.py $(if $(WHEELS),--wheels '$(WHEELS)')
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
SUITE := build/suite/jsonschema-4.26.0.tar.gz
SOURCES := $(shell find nvsx schemas runbooks scripts -type f -not -path '*/__pycache__/*') build.py

.PHONY: build test e2e lint types bench trust demo dist clean

build: nvsx.pyz

nvsx.pyz: $(SOURCES)
	$(BUILD)

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# The official JSON Schema tests; where they cannot be had, the test that wants them says so and is skipped.
$(SUITE): | $(VENV)/ready
	-$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary jsonschema --dest $(@D) jsonschema==4.26.0

test: $(VENV)/ready nvsx.pyz $(SUITE)
	$(BIN)/python -m pytest -n $(WORKERS)

# The cluster tests on a real kube-apiserver and etcd: from KUBEBUILDER_ASSETS or PATH; without them it says how to get them.
e2e: $(VENV)/ready nvsx.pyz
	NVSX_E2E=real $(BIN)/python -m pytest -n 0 tests/e2e

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy
	$(BIN)/mypy build.py

bench: $(VENV)/ready nvsx.pyz
	@$(BIN)/python -m tests.bench

# Kill sweeps, deliveries, hardships, stories, mutants and an hour's soak as figures: for a night. NAMES=kills COUNT=1000 is
# a part of it, SEED repeats one. A day's soak: python -m tests.trust soak --hours 24
trust: $(VENV)/ready nvsx.pyz
	@mkdir -p build
	$(BIN)/python -m tests.trust $(NAMES) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) >build/trust.json
	@cat build/trust.json

TRUST.md: build/trust.json
	$(BIN)/python -m tests.trust.page $< >$@

build/trust.json:
	$(MAKE) trust

demo: nvsx.pyz
	./nvsx.pyz demo

dist:
	rm -rf dist
	$(BUILD) --release --output dist/nvsx.pyz
	cd dist && sha256sum nvsx.pyz | tee SHA256SUMS

clean:
	rm -rf nvsx.pyz dist build $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
