# The whole developer interface. Every target sets itself up; nothing is set up twice.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.10 python3.9 python3,$(shell command -v $(name))))
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE = d2l_autorec tests notebooks benchmarks

.PHONY: reproduce test lint format notebooks bench constraints fresh dist-check container-check clean

reproduce: $(VENV)/installed
	$(BIN)/d2l-autorec reproduce

test: $(VENV)/developer
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(VENV)/developer
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy

format: $(VENV)/developer
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# Write notebooks/*.ipynb anew from their text form, outputs included.
notebooks: $(VENV)/developer
	cd notebooks && for text in *.py; do ../$(BIN)/jupytext --to ipynb --execute $$text || exit 1; done

# Timings, on a machine with nothing else to do: make bench SIZES=20m PARTS=train TORCH=python
bench: $(VENV)/developer
	$(BIN)/python -m benchmarks.bench $(if $(SIZES),--sizes $(SIZES)) $(if $(PARTS),--parts $(PARTS)) \
		$(if $(TORCH),--torch $(TORCH))

# The README's two commands on stock Debians, in bare roots; as root on Linux, with debootstrap:
# make fresh MACHINES="debian12 debian13" COMMANDS=reproduce OUT=results/fresh
fresh:
	python3 .ci/fresh.py $(if $(MACHINES),--machines $(MACHINES)) \
		$(if $(COMMANDS),--commands $(COMMANDS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(OUT),--out $(OUT))

# Wheel, sdist and notebooks away from any clone, in a bare root; as root on Linux.
dist-check: $(VENV)/developer
	$(BIN)/python .ci/installed.py

# The Dockerfile's own lines in a bare root, as root on Linux; it says what this does not show.
container-check:
	python3 .ci/container.py

# The tested set: what pip resolves in an empty environment today.
constraints:
	rm -rf $(VENV)-constraints
	$(PYTHON) -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip --quiet install -e .[dev]
	$(VENV)-constraints/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools \
		> constraints.txt.new
	mv constraints.txt.new constraints.txt
	rm -rf $(VENV)-constraints

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 12))' || \
		{ echo "Python 3.9 to 3.11 is needed: install it, or name one: make PYTHON=python3.11" >&2; exit 2; }
	@echo "Making $(VENV) and installing the tested set; this takes a minute or two."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .[onnx]
	$(BIN)/d2l-autorec doctor
	touch $@

$(VENV)/developer: $(VENV)/installed
	$(PIP) install -c constraints.txt -e .[dev]
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage
