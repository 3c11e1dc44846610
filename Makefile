# Two commands: `make demo` shows the whole story in a minute, `make test` runs every check.
# Everything they need comes from PyPI, npm and Debian's packages, in the versions that the lock files name.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help install demo test lint contracts python bench compile lock clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 12

install: $(VENV)/.installed node_modules/.installed bubblewrap  ## a virtual environment, Foundry and solc, bubblewrap

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Not `npm ci`: it wants Foundry's binaries for every platform in the lock file, and not all are on every mirror.
node_modules/.installed: package-lock.json
	npm install --no-save --no-audit --no-fund --loglevel=error
	touch $@

# $(call debian,PROGRAM,PACKAGE): Debian's package, unless its program is there.
define debian
@command -v $(1) >/dev/null || { \
  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
  echo "installing $(2) (Debian package)"; \
  { $$sudo apt-get install -y -qq $(2) || { $$sudo apt-get update -qq && $$sudo apt-get install -y -qq $(2); }; } >/dev/null; }
endef

.PHONY: bubblewrap chromium postgresql
bubblewrap:
	$(call debian,bwrap,bubblewrap)

# Only the tests need these two: they open an audit's report in a browser, and start database servers of their own.
chromium:
	$(call debian,chromium,chromium)

# A drop-in, which lasts as long as the installation, keeps the package from making a cluster of the host's, which would
# run from then on: its programs are enough.
DROP_IN := /etc/postgresql-common/createcluster.d
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "installing postgresql (Debian package)"; \
	  $$sudo mkdir -p $(DROP_IN); \
	  echo "create_main_cluster = false" | $$sudo tee $(DROP_IN)/agent-guard.conf >/dev/null; \
	  { $$sudo apt-get install -y -qq postgresql || { $$sudo apt-get update -qq && $$sudo apt-get install -y -qq postgresql; }; } >/dev/null; \
	  installed=$$?; $$sudo rm -f $(DROP_IN)/agent-guard.conf; exit $$installed; }

demo: install  ## a local chain, an agent under guard, two of three signers, a death receipt, an audit
	agent-guard demo

test: install chromium postgresql lint contracts python  ## lint and every test

lint:  ## ruff and mypy
	ruff format --check .
	ruff check .
	mypy

contracts:  ## the Solidity tests: fuzz and invariants
	forge test --offline --use scripts/solc.js

python:  ## the Python tests: unit, real Anvil, real containers
	python -m pytest

bench: install  ## gas and the log, beside what they are made of; the kill's latencies (two hours, as root; 7 GB of disk)
	python scripts/bench_gas.py
	python scripts/bench_log.py
	python scripts/bench_growth.py
	python scripts/bench_chain.py
	python scripts/bench_kill.py

compile: install  ## compile the contracts into the package's artifacts
	python scripts/compile.py

lock:  ## lock the Python dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev --extra drill pyproject.toml -o requirements.lock

clean:  ## remove what the others made
	rm -rf $(VENV) node_modules out cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
