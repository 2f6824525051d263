# Every target makes what it needs in .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check check-style bench docs guests slow clean

run: $(STAMP)
	@$(BIN)/minivm

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

check: check-style test

check-style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python guests/build.py --check

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/run.py
	$(BIN)/python -m pytest -m timing

docs: $(STAMP)
	$(BIN)/python docs/make_pictures.py

guests: $(STAMP)
	$(BIN)/python guests/build.py

slow: $(STAMP)
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -m slow -n auto

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
