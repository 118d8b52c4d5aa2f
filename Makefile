# demo test lint bench site docs: the verbs. Everything happens in .venv; versions makes its own.
PYTHON ?= python3
VENV   := .venv
# See cli.py: without it torch is slow on a machine that does something else, too.
export GOMP_SPINCOUNT ?= 10000
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test versions lint format bench site pictures docs clean browser

help:
	@echo "make demo    the whole job on built-in shapes, ends with demo/report page and figures"
	@echo "make test    everything that must hold"
	@echo "make versions  the quick tests with the oldest and the newest packages that pyproject.toml allows"
	@echo "make lint    ruff and mypy        make format  let ruff rewrite"
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

# The report is tested in a real browser.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } \
	  || { echo "install Chromium (Debian: apt-get install chromium); the report is tested in it" >&2; exit 1; }

# A file's tests share a server, a cluster or a page, so one process runs them.
test: $(VENV)/dev browser
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

versions:
	$(PYTHON) tests/dependency_sets.py

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

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
