# Every task of the project. `make help` lists them; all are idempotent and quick when nothing changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Which kind of build .venv holds: PYPROXY_DEBUG=1 turns the assertions of the C core on.
VARIANT := $(if $(filter 1,$(PYPROXY_DEBUG)),debug,release)

# The folders are prerequisites too, so that an added or removed source is noticed.
CORE := $(wildcard csrc/base csrc/wire csrc/route csrc/io csrc/proxy csrc/worker)
SOURCES := setup.py $(CORE) $(wildcard csrc/*/*.c csrc/*/*.cc csrc/*/*.h pyproxy/*.pyx pyproxy/*.pxd pyproxy/_capi/*.pxd)

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(VENV)/.installed $(VENV)/.extensions ## make .venv with everything built; leaves .venv/bin/pyproxy
	@# A start must never wait for the compiler, whatever PYTHONDONTWRITEBYTECODE says.
	@$(BIN)/python -m compileall -q pyproxy

.PHONY: run
run: build ## build, then serve examples/quickstart.yaml (needs no other server)
	$(BIN)/pyproxy run -c examples/quickstart.yaml

.PHONY: test
test: $(VENV)/.tox ## run every suite (tox); ARGS="-e lint" for one environment
	@sh .ci/packages test $(BIN)/python
	$(BIN)/tox -qq $(ARGS)

.PHONY: bench
bench: build ## measure against other proxies; ARGS are passed on (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: soak
soak: build ## prove that reloads and upgrades lose nothing; ARGS="--help" tells what there is
	$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: dev
dev: build $(VENV)/.dev ## also install the tools that the suites use into .venv

.PHONY: format
format: dev ## format C and Python sources in place
	$(BIN)/clang-format -i $(shell find csrc tests -name '*.[ch]' -o -name '*.cc')
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(VENV) .tox build dist pyproxy.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f pyproxy/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.tools:
	@sh .ci/packages build $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip 'setuptools>=77.0.3' 'cython>=3.1'
	@touch $@

$(VENV)/.extensions: $(SOURCES) $(VENV)/.tools
	$(BIN)/python setup.py -q build_ext --inplace
	@echo $(VARIANT) >$(VENV)/.variant
	@touch $@

ifneq ($(shell cat $(VENV)/.variant 2>/dev/null),$(VARIANT))
$(VENV)/.extensions: FORCE
endif
.PHONY: FORCE
FORCE:

# The extensions first: their compiler's messages are readable there, and pip finds nothing left to do.
$(VENV)/.installed: pyproject.toml | $(VENV)/.extensions
	$(BIN)/python -m pip install -q --no-build-isolation -e .
	@touch $@

$(VENV)/.tox: $(VENV)/.tools
	$(BIN)/python -m pip install -q 'tox>=4.20'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install -q --no-build-isolation -e '.[dev]'
	@touch $@
