# Everything a newcomer needs: `make run` and `make test` set themselves up.
PYTHON ?= python3
BIN := .venv/bin
# Python keeps what it compiled, whatever the caller's setting: each of a thousand processes starts
# a quarter of a second sooner.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run check test test-rest test-all ui setup setup-test setup-peers tools lint types locks docs pictures clean

# Tests of pure rooms: no night, server or browser. docs/developing.md has the tiers.
FAST := $(addprefix ccgi_pipeline_tests/,common eligibility encryption feeds intake verification \
  test_districts.py test_profiles.py)
# A file's tests stay in one process, so that what its fixtures prepare is made once. There are more
# processes than cores, so each uses one: small nights take half the processor time then.
PYTEST = TMPDIR=$$(.ci/test-folder) CCGI_THREADS=1 POLARS_MAX_THREADS=1 \
  $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(OPTIONS)

## Runs the main job: a synthetic state and one night over it, under data/demo.
run: setup
	$(BIN)/ccgi demo

## The loop while working: linters, types and the fast tests.
check: setup-test
	$(MAKE) lint types
	$(PYTEST) -q -m "not slow and not browser" $(FAST)

## Installs what the tests need, then passes linters, types and all tests but the slow ones.
test: setup-test
	$(MAKE) lint types
	$(PYTEST) -m "not slow"

## The tests that `make test` leaves out.
test-rest: setup-test
	$(PYTEST) -m slow

## Linters, types and every test.
test-all: setup-test
	$(MAKE) lint types
	$(PYTEST)

## Opens the Dagster UI on 127.0.0.1:3000 over the demo's warehouse.
ui: setup
	$(BIN)/ccgi ui

setup: .venv/runtime

setup-test: .venv/test tools

## Programs that the tests run: installed where that can be done, named where not.
tools:
	@.ci/tools

.venv/runtime: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/test: .venv/runtime requirements-test.lock
	$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements-test.lock
	touch $@

## Installs the tools beside which `ccgi bench peers` measures ours, into .venv-peers.
setup-peers: setup .venv-peers/ready

.venv-peers/ready: requirements-peers.lock
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -qq --disable-pip-version-check --require-hashes -r $<
	touch $@

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types:
	$(BIN)/mypy

## Writes the generated pages again.
docs: setup
	$(BIN)/ccgi dictionary > docs/data-dictionary.md
	$(BIN)/python -m ccgi_pipeline.reports.table_diagram docs/query-the-warehouse.md

## Takes the pictures of the README again: an invented state, its page and a receipt.
pictures: setup-test
	$(BIN)/python -m ccgi_pipeline_tests.docs.pictures docs/pictures

## Pins the newest versions that pyproject.toml allows.
locks: setup-test
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --all-build-deps -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --all-build-deps --extra deploy -c requirements.lock -o requirements-deploy.lock \
	  pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --extra test -c requirements.lock -o requirements-test.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  -c requirements.lock -o requirements-peers.lock requirements-peers.in

clean:
	rm -rf .venv .venv-peers data .mypy_cache .ruff_cache .pytest_cache .hypothesis
