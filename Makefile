# The whole developer interface. Every target sets itself up; nothing is set up twice.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; \
	do $$name -c '$(FITS)' 2>/dev/null && echo $$name && break; done)
FITS = import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 14))
VENV ?= .venv
BIN = $(VENV)/bin
LOCK = requirements.lock
CODE = d2l_autorec tests notebooks benchmarks examples docs .ci

# uv reads its own settings only: hand it the index that pip is set up for
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get \
	global.index-url 2>/dev/null)}}" $(BIN)/uv pip
LOCKED_UV = $$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' $(LOCK))
INSTALL = $(UV) install --quiet --python $(BIN)/python --constraints $(LOCK)

.PHONY: reproduce test coverage lint format mutate notebooks lab course site bench bench-serving netflix attack lock \
	clean test-without-mxnet test-as-root lab-check test-contenders fresh dist-check container-check

reproduce: $(VENV)/installed
	$(BIN)/d2l-autorec reproduce

test: $(VENV)/developer
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST)

coverage:
	$(MAKE) test PYTEST="--cov --cov-report=term:skip-covered"

lint: $(VENV)/developer
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/developer
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# The small changes to recipes, training and statistics that no test notices; 20 minutes or more.
mutate: $(VENV)/developer
	$(INSTALL) mutmut
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mutmut run
	$(BIN)/mutmut results

# Write notebooks/*.ipynb anew from their text form, outputs included: make notebooks LESSONS=01-*.py
notebooks: $(VENV)/developer
	cd notebooks && for text in $(or $(LESSONS),*.py); do \
		../$(BIN)/jupytext --to ipynb --execute $$text || exit 1; done

# The lessons in JupyterLab.
lab: $(VENV)/developer
	$(INSTALL) --editable .[jupyter]
	cd notebooks && ../$(BIN)/jupyter lab

# The course in build/course: student and solution versions and a gradebook. The solution must get
# all points, with another number, and the untouched student version none.
course: $(VENV)/developer
	$(INSTALL) --editable .[grading]
	$(BIN)/python -m d2l_autorec.course.build notebooks build/course grade

# The site in build/site, the lecture's slides with it: every warning is an error, links are checked.
SPHINX = $(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c docs
site: $(VENV)/developer
	$(INSTALL) --editable .[dev,docs]
	rm -rf build/site
	$(SPHINX) -d build/doctrees . build/site
	$(SPHINX) -b revealjs -t slides -d build/doctrees-slides . build/site/slides
	$(BIN)/python .ci/links.py build/site
	@echo "Open build/site/index.html"

# Timings, on a machine with nothing else to do: make bench SIZES=20m PARTS=train TORCH=python
bench: $(VENV)/developer
	$(BIN)/python -m benchmarks.bench $(if $(SIZES),--sizes $(SIZES)) $(if $(PARTS),--parts $(PARTS)) \
		$(if $(TORCH),--torch $(TORCH))

# A minute of 32 clients for each size: make bench-serving SIZES=ml-100k,ml-1m
bench-serving: $(VENV)/developer
	$(BIN)/python -m benchmarks.serving $(if $(SIZES),--sizes $(SIZES))

# A hundred million ratings within 16 GB of memory; half an hour: make netflix OUT=results/netflix
netflix: $(VENV)/developer
	$(BIN)/python -m benchmarks.netflix $(if $(OUT),--out $(OUT))

# Thousands of hostile inputs at random, for a quarter of an hour: make attack SEED=1 MINUTES=5
attack: $(VENV)/developer
	$(BIN)/python -m benchmarks.attack $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(OUT),--out $(OUT))

# The newest releases that fit together, for Python 3.9.0 and later on every platform.
lock: $(BIN)/uv
	$(UV) compile --quiet --universal --python-version 3.9 --no-annotate --no-header setup.cfg \
		--extra dev --extra docs --extra grading --extra jupyter --output-file $(LOCK).new
	mv $(LOCK).new $(LOCK)

$(BIN)/uv:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' || \
		{ echo "Python 3.9 to 3.14 is needed: install it, or name one: make PYTHON=python3.11" >&2; exit 2; }
	@echo "Making $(VENV) for $$($(PYTHON) --version)."
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --disable-pip-version-check --quiet \
			install --retries 2 $(LOCKED_UV) 2>$(VENV)/said; \
	elif command -v uv >/dev/null; then \
		uv venv --quiet --clear --python $(PYTHON) $(VENV) && \
			uv pip install --quiet --python $(BIN)/python $(LOCKED_UV) 2>$(VENV)/said; \
	else \
		echo "$(PYTHON) has no ensurepip: apt-get install python3-venv, or install uv" \
			"(https://docs.astral.sh/uv), which needs no rights. Then run make again." >&2; exit 2; \
	fi || { if grep -Eq 'connection broken|Failed to fetch' $(VENV)/said; then \
			echo "The package index cannot be reached: check the network, set HTTPS_PROXY behind a" \
				"proxy, or PIP_INDEX_URL to a mirror. Then run make again."; \
		else cat $(VENV)/said; fi >&2; exit 2; }

$(VENV)/installed: setup.cfg pyproject.toml $(LOCK) | $(BIN)/uv
	@echo "Installing the tested set; this takes a minute or two."
	$(INSTALL) --editable .[onnx]
	$(BIN)/d2l-autorec install-mxnet
	$(BIN)/d2l-autorec doctor
	touch $@

$(VENV)/developer: $(VENV)/installed
	$(INSTALL) --editable .[dev]
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .coverage* mutants

# What works where MXNet and d2l cannot be, in an environment that has neither.
test-without-mxnet: $(VENV)/developer
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-without-mxnet
	$(UV) install --quiet --python $(VENV)-without-mxnet/bin/python --constraints $(LOCK) --editable .[test]
	$(VENV)-without-mxnet/bin/python -m pytest tests/test_without_mxnet.py

# Full disks, and machines whose cables are cut, which the tests skip without root.
test-as-root: $(VENV)/developer
	$(BIN)/python -m pytest -m root

# The lab in a real browser; Chromium must be there: apt-get install chromium
lab-check: $(VENV)/developer
	$(INSTALL) playwright
	$(BIN)/python -m pytest tests/course/test_lab.py tests/course/test_lab_page.py

# Other people's models at toy size. Their libraries build for minutes where there is no wheel, and
# need a C++ compiler then.
test-contenders: $(VENV)/developer
	$(INSTALL) --editable .[dev,compare]
	$(BIN)/python -m pytest tests/experiments/test_compare.py

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
