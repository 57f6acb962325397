# Every target sets up what it needs; `make setup` costs nothing when nothing changed. PYTHON=… chooses the interpreter.
SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3 python,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
PYTEST := $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder
UV_VERSION := 0.13.8

# $(call install,lock) installs what a lock names, each file with its hash. uv takes seconds where pip takes minutes; where
# pip was told of another index, or uv cannot, pip does it.
install = { ! $(BIN)/pip config list | grep -q index && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1); } \
	|| $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(1)

# $(call step,name,command) runs the command and prints how long it took.
step = @echo '... $(1)'; TIMEFORMAT='==> $(1): %1R s'; time { $(2); }

.DEFAULT_GOAL := help
.PHONY: help setup compiled fmt lint types layers checked started test test-all test-compose demo faults soak fuzz bench bench-peers factor metrics lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed ## .venv from the lock, obflow itself, the broker's jars
	@$(BIN)/python -m embedded.jars fetch

compiled: setup ## what is compiled of the engine, the producers and the sink, into the cache
	$(call step,the compiled engine,$(BIN)/python -m processors.compilation)
	$(call step,the compiled updates of producers,$(BIN)/python -m producers.compilation)
	$(call step,the compiled decoder of the sink,$(BIN)/python -m sinks.compilation)

.venv/installed: requirements/dev.txt .venv/demo-installed
	$(call step,packages of the development tools from the lock,$(call install,$<))
	@touch $@

# What runs the demo, without the tools that look at the code: every version is that of requirements/dev.txt.
.venv/demo-installed: requirements/demo.txt requirements/uv.txt pyproject.toml | .venv/bin/pip
	$(call step,the installer,$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt || true)
	$(call step,packages from the lock,$(call install,$<))
	$(call step,obflow itself,$(BIN)/pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .)
	@touch $@

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "obflow needs Python 3.11 or newer, and none is on the PATH: install one, or name it with make PYTHON=/path/to/python3" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is no Python 3.11 or newer: name one with make PYTHON=/path/to/python3" >&2; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt-get install python3-venv), then repeat this command" >&2; exit 3; }
	$(call step,virtual environment,$(PYTHON) -m venv .venv)

fmt: setup ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: setup ## ruff, rules and format
	$(call step,ruff check,$(BIN)/ruff check .)
	$(call step,ruff format,$(BIN)/ruff format --check .)

types: setup ## mypy, strict
	$(call step,mypy,$(BIN)/mypy)

layers: setup ## import contracts
	$(call step,lint-imports,$(BIN)/lint-imports)

checked: setup ## lint, types and import contracts, beside the compiler of the engine
	@$(MAKE) --no-print-directory --jobs 2 --output-sync compiled lint types layers .venv/collected started

# The tests are read and compiled once here, and not by each of pytest's processes at the same time. What cannot be
# read stops nothing here: the run of the tests tells of it.
.venv/collected: .venv/installed
	$(call step,the tests compiled,$(BIN)/pytest --collect-only -q -p no:cacheprovider > /dev/null || true)
	@touch $@

started: setup ## what lets the broker start quicker, into the cache
	$(call step,a quicker start of the broker,$(BIN)/python -m embedded.start_cache)

test: checked ## lint, types, import contracts and the tests, repetitions left out (ARGS=… goes to pytest)
	$(call step,pytest,$(PYTEST) -m "not exhaustive" $(ARGS))

test-all: checked ## the same with every test (CONTRIBUTING.md says which ones are left out of `make test`)
	$(call step,pytest,$(PYTEST) $(ARGS))

# Workers, roles and some hundred commands read the same modules: compiled once, also where images say otherwise.
checked test test-all demo: export PYTHONDONTWRITEBYTECODE =

test-compose: setup ## the deployment for real, on a Docker engine: scaled, killed, restarted, audited; fails without one
	$(BIN)/pytest -x -s -v tests/compose $(ARGS)

demo: .venv/demo-installed ## the whole pipeline on this machine, until Ctrl-C (ARGS="--for 60s" stops by itself)
	@$(BIN)/obflow demo $(ARGS)

faults: setup ## kill workers and sinks at full size, cut 200 connections: nothing lost, nothing doubled, books come back
	TEST_SCALE=full $(BIN)/pytest -rA tests/e2e/test_faults.py tests/integration/test_kill_series.py \
		tests/integration/test_sink_series.py tests/integration/test_many_disconnects.py $(ARGS)

soak: setup ## ten minutes of 50 instruments of five venues at twice real time: no gap, nothing grows
	TEST_SCALE=full $(BIN)/pytest -rA tests/integration/test_steady_feeds.py $(ARGS)

fuzz: setup ## drop each update of the recordings; each event against the brute force; 10,000 books, feeds and hostile statements
	OBFLOW_FUZZ=all $(BIN)/pytest -rA -o timeout=3600 tests/research/test_dropped_lines.py tests/research/test_known_recordings.py \
		tests/processors/factors tests/producers/test_feed_seeds.py tests/producers/test_both_paths.py \
		tests/contract/test_engines.py tests/integration/test_statement_rules.py tests/processors/anomalies tests/processors/arbitrage \
		tests/research/evaluation tests/processors/regimes/test_acceptance.py \
		tests/contract/test_stages.py tests/contract/test_bounds.py tests/producers/test_contest.py tests/producers/test_overload.py \
		tests/producers/test_grid_properties.py tests/producers/test_stream_properties.py $(ARGS)

bench: setup ## benchmarks
	OBFLOW_BENCH=1 $(BIN)/pytest -rA tests/benchmarks $(ARGS)

bench-peers: setup ## depth frames to records beside tardis-node on the same frames: ratios (needs Node; fetches it once)
	@$(BIN)/python -m tests.benchmarks.peers.install
	OBFLOW_BENCH=1 $(BIN)/pytest -q -s tests/benchmarks/test_peers.py $(ARGS)

compile = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command 'make lock' $(UPGRADE)

factor: setup ## after a new line in schemas/factors.py: the next Avro schema, its line, its example, the migration, docs/factors.md
	@$(BIN)/python -m sinks.evolve
	@$(BIN)/python -m processors.factor_reference

metrics: setup ## after a change of obflow/metric_list.py or of a table: docs/metrics.md and the dashboards
	@$(BIN)/python -m obflow.metric_reference
	@$(BIN)/python deploy/grafana/generate.py

lock: setup ## write the locks anew after a change of dependencies (UPGRADE=--upgrade takes newer versions)
	$(compile) pyproject.toml --output-file requirements/runtime.txt
	$(compile) pyproject.toml --extra embedded --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	printf 'hatchling\neditables\n' | $(compile) pyproject.toml - --extra embedded --constraint requirements/dev.txt --output-file requirements/demo.txt
	echo hatchling | $(compile) - --constraint requirements/dev.txt --output-file requirements/build.txt
	echo uv==$(UV_VERSION) | $(compile) - --output-file requirements/uv.txt
	$(BIN)/python -m embedded.jars lock

clean: ## remove .venv and every cache of the tools (the broker's jars stay in obflow's own cache)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
