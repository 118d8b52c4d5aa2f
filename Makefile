# Everything happens in .venv; versions makes its own.
PYTHON ?= python3
VENV   := .venv
# See cli.py: without it torch is slow on a machine that does something else, too.
export GOMP_SPINCOUNT ?= 10000
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-slow test-all test-fast versions lint format bench site pictures docs clean browser

help:
	@echo "make demo    the whole job on built-in shapes, ends with demo/report page and figures"
	@echo "make test    the quick tests, in a few minutes"
	@echo "make test-slow  the tests in a browser, on a cluster, with several processes, ...   make test-all  both"
	@echo "make test-fast FILE=tests/test_cli.py  the tests of one file, quick and slow"
	@echo "make versions  the quick tests with the oldest and the newest packages that pyproject.toml allows"
	@echo "make lint    ruff, codespell, and mypy for Linux, Windows and macOS        make format  let ruff rewrite"
	@echo "make bench   speed against the published formulations"
	@echo "make site    the documentation, as pages in site/        make pictures  those of it, after make demo"

# torch first and pinned: otherwise another package may choose a newer one, with gigabytes of CUDA.
$(VENV)/runtime: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	touch $@

$(VENV)/dev: $(VENV)/runtime
	$(PIP) --editable '.[dev]'
	touch $@

demo: $(VENV)/runtime
	$(BIN)/adacross demo

# The report and the search page are tested in a real browser.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || { echo "The slow tests need Chromium. Install it (Debian: apt-get install chromium)." >&2; exit 1; }

# A file's tests share a server, a cluster or a page, so one process runs them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
SPREAD := --numprocesses auto --dist loadfile

test: $(VENV)/dev
	$(PYTEST) $(SPREAD) -m "not slow"

test-slow: $(VENV)/dev browser
	$(PYTEST) $(SPREAD) -m slow

test-all: test test-slow

test-fast: $(VENV)/dev
	$(PYTEST) $(FILE)

versions:
	$(PYTHON) tests/dependency_sets.py

# mypy's caches are of one platform each.
lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell src tests docs examples benchmarks recipes README.md CHANGELOG.md CONTRIBUTING.md mkdocs.yml pyproject.toml
	printf '%s\n' linux win32 darwin | xargs -P 2 -I PLATFORM \
	  $(BIN)/mypy --platform PLATFORM --cache-dir .mypy_cache/PLATFORM

format: $(VENV)/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/dev
	$(BIN)/python benchmarks/run.py

$(VENV)/docs: $(VENV)/runtime
	$(PIP) --editable '.[docs]'
	touch $@

# NO_MKDOCS_2_WARNING: Material's word on the future of MkDocs, which is pinned.
site: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean

pictures: $(VENV)/dev
	$(BIN)/python docs/theme/diagrams.py
	$(BIN)/python docs/make_pictures.py

docs: pictures site

clean:
	rm -rf $(VENV) .versions .mypy_cache .pytest_cache .ruff_cache build dist site
