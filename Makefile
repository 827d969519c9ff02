# sunbird-otel: what a contributor runs. `make help` lists it.
# Everything happens in .venv, which is made when it is missing or older than what it is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# More or fewer test processes: make test JOBS=8. Anything else for pytest: make test ARGS="-k golden -x"
JOBS ?= auto
ARGS ?=
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS)

# How many inputs `make fuzz` tries, and where the random numbers begin.
INPUTS ?= 200000
SEED ?= 1

DEMO := demo-output
DEMO_FILES := $(sort $(wildcard examples/telemetry/*.jsonl))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP) ## Show what the bridge makes of the example telemetry, and write it to demo-output/
	@test -n '$(DEMO_FILES)' || { echo 'make demo: examples/telemetry holds no .jsonl file; check that the copy of the project is whole.' >&2; exit 2; }
	@mkdir -p $(DEMO)
	@$(BIN)/sunbird-otel view $(DEMO_FILES) --html $(DEMO)/flows.html --quiet
	@$(BIN)/sunbird-otel view $(DEMO_FILES) --quiet
	@echo
	@$(BIN)/sunbird-otel replay $(DEMO_FILES) --output $(DEMO)/otlp --report $(DEMO)/report.json
	@echo
	@echo 'Open $(DEMO)/flows.html in a browser; $(DEMO)/otlp holds the same as OTLP, $(DEMO)/report.json the full counts.'
	@echo 'To see it in Jaeger:  $(BIN)/sunbird-otel replay $(firstword $(DEMO_FILES)) --endpoint http://localhost:4318'
	@echo '        or the same:  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 $(BIN)/sunbird-otel replay $(firstword $(DEMO_FILES))'

# The Collector and Jaeger are built before the tests that want them, where one can see it. Without Go these tests are
# skipped, but not in CI.
BACKENDS := PYTHONPATH=tests $(BIN)/python -m backends
BUILT = $(BACKENDS) --build >/dev/null || test -z "$$CI"

.PHONY: test
test: $(STAMP) ## Run the tests, without those marked slow
	@$(BUILT)
	@$(PYTEST) -m 'not slow' $(ARGS)

.PHONY: test-slow
test-slow: $(STAMP) ## Run the tests marked slow
	@$(BUILT)
	@$(PYTEST) -m slow $(ARGS)

.PHONY: backends
backends: $(STAMP) ## Send telemetry through a real Collector and Jaeger each way, and show what arrived
	@$(BACKENDS) $(ARGS)

# The oldest OpenTelemetry that pyproject.toml allows, in a virtual environment of its own.
OLDEST := .venv-oldest

.PHONY: test-oldest
test-oldest: $(OLDEST)/.installed ## Run the tests of the emitter and the plugin on the oldest OpenTelemetry that we support
	@$(OLDEST)/bin/python -m pytest -q -n $(JOBS) -m 'not slow' tests/test_plugin_*.py tests/test_emit*.py tests/test_parity.py tests/test_testing.py $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style and types (ruff, mypy, pyright, all strict)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python

.PHONY: format
format: $(STAMP) ## Format the code, and correct what ruff can correct safely
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

# The package as a compiled wheel, in a virtual environment of its own, beside the interpreted one.
COMPILED_VENV := .venv-compiled

# What the core does, and the commands around it. Tests marked `interpreted` reach into a module of the core.
COMPILED_TESTS := $(addprefix tests/test_,$(addsuffix .py,bridge cli_check cli_exits cli_replay compiled decode decode_refusals \
	flows frame golden ids line order pairing parity placing policies properties rules share sinks_encode sinks_files sources_files translate))

# Without a compiler the tests of the compiled form are left out, but not in CI.
COMPILABLE = command -v cc >/dev/null && $(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'

.PHONY: compiled
compiled: $(COMPILED_VENV)/.installed ## Install the package with its core compiled, into .venv-compiled

.PHONY: test-compiled
test-compiled: ## Run the tests of the core on its compiled form
	@if { $(COMPILABLE); } || test -n "$$CI"; then \
		$(MAKE) --no-print-directory $(COMPILED_VENV)/.installed && \
		$(COMPILED_VENV)/bin/python -m pytest -q -n $(JOBS) -m 'not slow and not interpreted' $(COMPILED_TESTS) $(ARGS); \
	else echo 'Skipped: compiling takes a C compiler and the headers of Python (Debian: apt-get install gcc libc6-dev python3-dev).'; fi

# make bench COMPILED=1 measures both forms; RECORD=1 keeps the results and tells them in docs/performance.md.
BENCH := $(if $(RECORD),--record) $(if $(COMPILED),--interpreter $(BIN)/python $(COMPILED_VENV)/bin/python)

.PHONY: bench
bench: $(STAMP) $(if $(COMPILED),$(COMPILED_VENV)/.installed) ## Measure throughput, memory and overhead, as ratios
	@$(BIN)/python benchmarks/run.py $(BENCH) $(ARGS)

.PHONY: profile
profile: $(STAMP) ## Show in which functions the bulk path spends its time
	@$(BIN)/python benchmarks/profiling.py $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## Feed broken input (INPUTS=200000 SEED=1): nothing may crash, every count must add up
	@$(BIN)/python tests/fuzz.py --inputs $(INPUTS) --seed $(SEED) $(ARGS)

.PHONY: golden
golden: $(STAMP) ## Write the golden files anew; read the difference before you commit it
	@$(PYTEST) -n 0 tests/test_golden.py --update-golden $(ARGS)

.PHONY: docs
docs: $(STAMP) ## Write the generated pages of docs/ and the dashboards anew
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/generate_queries.py
	@$(BIN)/python collector_config/grafana/generate.py

.PHONY: constraints
constraints: ## Resolve constraints.txt anew, to the newest versions that pyproject.toml allows
	@rm -rf $(VENV)-constraints
	@$(PYTHON) -m venv $(VENV)-constraints
	@$(VENV)-constraints/bin/python -m pip install --quiet -e '.[dev]'
	@$(VENV)-constraints/bin/python -m pip freeze --exclude-editable > constraints.txt
	@rm -rf $(VENV)-constraints

.PHONY: clean
clean: ## Remove what make and the tools have made
	@rm -rf $(VENV) $(VENV)-constraints $(OLDEST) $(COMPILED_VENV) $(DEMO) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(COMPILED_VENV)/.installed: pyproject.toml constraints.txt hatch_build.py $(shell find src -name '*.py' -o -name '*.toml')
	@echo 'Compiling into $(COMPILED_VENV) ...'
	@test -x $(COMPILED_VENV)/bin/python || $(PYTHON) -m venv $(COMPILED_VENV)
	@rm -rf $(COMPILED_VENV)/wheel
	@SUNBIRD_OTEL_COMPILE=1 PIP_CONSTRAINT=constraints.txt $(COMPILED_VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(COMPILED_VENV)/wheel .
	@for wheel in $(COMPILED_VENV)/wheel/*.whl; do \
		$(COMPILED_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$$wheel" && \
		$(COMPILED_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$wheel[dev]"; done
	@touch $@

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt src/sunbird_otel/_version.py
	@echo 'Installing into $(OLDEST) ...'
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r constraints-oldest.txt hatchling editables
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(STAMP): pyproject.toml constraints.txt src/sunbird_otel/_version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'sunbird-otel needs Python 3.11 or newer; $(PYTHON) is '"$$($(PYTHON) --version 2>&1 || true)"'.' >&2; \
		echo 'Name a newer one: make PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv' >&2; exit 2; }
	@echo 'Installing into $(VENV) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
