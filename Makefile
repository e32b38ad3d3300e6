# Every target does its own set-up. PYTHON chooses the interpreter of the virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test lint bench peers fuzz docs page clean

run: $(VENV)/run.stamp page
	@tools/run $(BIN)/domstats

test: $(VENV)/dev.stamp page
	$(BIN)/python tools/suite.py $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench $(ARGS)

peers: $(VENV)/dev.stamp
	DOMSTATS_PEERS=1 $(BIN)/python -m pytest tests/peers $(ARGS)

SECONDS ?= 60
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --group fuzz
	$(BIN)/python -m fuzz -max_total_time=$(SECONDS) $(ARGS)

# What the live page draws its charts with; nothing where there is no npm.
page:
	@tools/page

docs: $(VENV)/dev.stamp
	$(BIN)/python tools/reference.py

$(VENV)/run.stamp: pyproject.toml tools/environment
	@tools/environment $(PYTHON) $(VENV)
	@touch $@

$(VENV)/dev.stamp: pyproject.toml tools/environment
	@tools/environment $(PYTHON) $(VENV) dev
	@touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
