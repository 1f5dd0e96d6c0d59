# make demo   from nothing to a page        make test           quick tests
# make check  linters and house laws        make test-browser   the page in Chromium (apt-get install chromium)
# make bench  all (BENCH=--quick: quickly)  make docs           the documentation, its code executed
# make fuzz   readers under random bytes
# make clean  removes .venv and what was built

PYTHON ?= python3
FUZZ_SECONDS ?= 15
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-slow test-browser check fuzz format docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.package
	$(BIN)/antidrome run --output demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not browser" $(PYTEST)

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -q -m "slow and not browser" $(PYTEST)

test-browser: $(VENV)/.browser
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m browser $(PYTEST)

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python .ci/house_laws.py
	$(BIN)/python -m benchmarks.readme --check
	$(BIN)/python -m benchmarks.comparison --check
	$(BIN)/python -m benchmarks.million --check
	$(BIN)/pyright --project pyproject.toml

# 6 GB: HDF5 reserves up to 4 GiB for a text whose length is damaged before it looks
fuzz: $(VENV)/.fuzz
	set -e; for format in $$($(BIN)/python tests/fuzz/seeds.py); do echo "== $$format"; \
	  $(BIN)/python tests/fuzz/readers.py $$format .fuzz/$$format -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=6144 -verbosity=0; \
	done

format: $(VENV)/.check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "file://$(CURDIR)/docs/_build/html/index.html"

bench: $(VENV)/.bench $(VENV)/.peers
	$(BIN)/python -m benchmarks.everything $(BENCH)

clean:
	rm -rf $(VENV) .fuzz build dist demo docs/_build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The environment: made once; what is installed is remembered by stamp files that follow pyproject.toml.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Antidrome needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	touch $@

$(VENV)/.package: $(VENV)/.made pyproject.toml
	@echo "Installing Antidrome into $(VENV) (once; about 1 GB, JAX being half of it)"
	$(PIP) --editable .
	touch $@

$(VENV)/.test: $(VENV)/.package
	$(PIP) --editable '.[test]'
	touch $@

$(VENV)/.browser: $(VENV)/.test
	$(PIP) --editable '.[test,browser]'
	touch $@

$(VENV)/.check: $(VENV)/.test
	$(PIP) --editable '.[check]'
	touch $@

$(VENV)/.docs: $(VENV)/.package
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/.fuzz: $(VENV)/.package
	$(PIP) --editable '.[fuzz]'
	touch $@

# DADApy wants NumPy 1 and JAX 0.4.30: an environment of its own; where it cannot be installed, benchmarks say so
$(VENV)/.peers: $(VENV)/.made
	$(PYTHON) -m venv $(VENV)/peers && $(VENV)/peers/bin/pip install --quiet dadapy==0.3.4 || true
	touch $@

$(VENV)/.bench: $(VENV)/.package
	$(PIP) --editable '.[bench]'
	touch $@
