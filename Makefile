# Everything a person or CI does with this repository. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEV_REQUIREMENTS ?= -r requirements-dev.txt# CI's: --require-hashes -r requirements-dev.lock
FUZZ_SECONDS ?= 200# a target

.DEFAULT_GOAL := help
.DELETE_ON_ERROR: # an environment that could not be made whole is made anew the next time
.PHONY: help run test coverage test-benchmarks lint audit sbom fuzz bench bench-engines bench-train screenshots lock setup

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

run: $(VENV)/app ## install what the dashboard needs, then start it
	@GARMENTS_REVIEW=$${GARMENTS_REVIEW:-on} $(BIN)/python -m streamlit run Home.py

test: $(VENV)/dev ## install what the tests need, then run them all
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/dev ## the same, slower: list the lines of core and train that no test reaches; fails below 90%
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov=core --cov=train --cov-report=term-missing:skip-covered --cov-fail-under=90

test-benchmarks: $(VENV)/dev ## run every benchmark once, in small: ten minutes
	$(BIN)/python -m pytest -n 2 -m benchmark tests/test_benchmarks_run.py

lint: $(VENV)/dev ## check style and types and look for secrets, as the pre-commit hook does
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	git ls-files -z -- ':!artifacts' | xargs -0 $(BIN)/detect-secrets-hook --no-verify

audit: $(VENV)/dev ## ask for known vulnerabilities of all libraries installed here; needs the internet
	$(BIN)/python .ci/audit.py

bench: $(VENV)/dev ## measure what README and docs claim
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.interaction
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.soak --minutes 2

bench-engines: $(VENV)/dev ## compare other engines, number formats and input sizes with the serving engine
	$(BIN)/python -m benchmarks.engines

bench-train: $(VENV)/dev ## measure the trainer's input pipeline against its training step
	$(BIN)/python -m benchmarks.train

screenshots: $(VENV)/dev ## make the pictures of README and docs anew
	$(BIN)/python -m tests.browser.screenshots

sbom: $(VENV)/dev ## list every library of the container with its checksums in sbom.cdx.json (CycloneDX)
	$(BIN)/cyclonedx-py requirements requirements-serve.lock --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.cdx.json

fuzz: $(VENV)/dev ## fuzz the readers of strangers' files for ten minutes, guided by coverage (atheris: Linux and macOS)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet atheris==3.0.0
	@mkdir -p cache/fuzz/photo cache/fuzz/structure cache/fuzz/table
	$(BIN)/python -m tests.fuzz.seeds cache/fuzz/seeds
	for target in photo structure table; do \
		$(BIN)/python -m tests.fuzz.targets $$target -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 \
			-artifact_prefix=cache/fuzz/ cache/fuzz/$$target cache/fuzz/seeds || exit 1; \
	done

lock: $(VENV)/dev ## write the checksums of what the container and CI install anew, after a change of requirements
	for name in serve dev; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			requirements-$$name.txt -o requirements-$$name.lock || exit 1; \
	done

setup: $(VENV)/dev ## install everything, for development

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed, this is " + sys.version'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot put pip into $(VENV). On Debian and Ubuntu: apt install $(notdir $(PYTHON))-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/app: requirements.txt requirements-serve.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	@touch $@

$(VENV)/dev: requirements.txt requirements-serve.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(DEV_REQUIREMENTS)
	@touch $(VENV)/app $@
