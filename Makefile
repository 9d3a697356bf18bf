# Needs Python 3.11 to 3.13, git and make; everything else is installed here, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1

# Beside the pipeline: gpu where there is one; `make env WITH="gpu web s3"` says it otherwise, dev is for `make test`.
WITH ?= $(if $(shell command -v nvidia-smi),gpu)
# Each package stands in one of requirements/*.txt. --no-deps: together they are complete, and nothing is looked for elsewhere.
INSTALL := python -m pip install --quiet --disable-pip-version-check --no-deps

.PHONY: help env repro test format lock audit clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

env: $(addprefix $(BIN)/.,pipeline $(WITH)) ## install what is needed into .venv, with the command `fcn`
	@echo 'Type `. $(BIN)/activate`, then `fcn --help`.'

repro: $(addprefix $(BIN)/.,pipeline $(WITH)) .git ## `fcn repro`: the whole DAG; only what is out of date runs
	fcn repro $(ARGS)

test: $(addprefix $(BIN)/.,pipeline web dev) .git ## lint, types, tests
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

format: $(addprefix $(BIN)/.,pipeline web dev) ## lint and format in place
	ruff check --fix .
	ruff format .

$(BIN)/.pipeline: requirements/pipeline.txt pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r $<
	$(INSTALL) --no-build-isolation --editable .
	touch $@

$(BIN)/.%: requirements/%.txt | $(BIN)/.pipeline
	$(INSTALL) --require-hashes -r $<
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.git: # a downloaded copy without git: DVC does without too
	dvc config --local core.no_scm true

# One resolution for all; then each file has what those before it have not.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate pyproject.toml
lock: ## pin the newest versions that pyproject.toml allows; needs uv
	mkdir -p .cache
	$(LOCK) --upgrade --all-extras -o .cache/lock.txt
	pin() { $(LOCK) --generate-hashes -c .cache/lock.txt --extra pipeline $$2 -o requirements/$$1.txt \
	    $$(cat /dev/null $$3 | sed -n 's/^\([^ ]*\)==.*/--no-emit-package \1/p'); }; \
	cd requirements && rm -f *.txt && cd .. && pin pipeline \
	&& for extra in gpu s3; do pin $$extra "--extra $$extra" requirements/pipeline.txt || exit 1; done \
	&& pin web "--extra web --extra onnx" requirements/pipeline.txt \
	&& pin dev "--extra dev" "requirements/pipeline.txt requirements/web.txt"

audit: $(BIN)/python ## known vulnerabilities of the pinned packages; needs the network
	$(PYTHON) -m venv .cache/audit && .cache/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.cache/audit/bin/pip-audit --strict --disable-pip --require-hashes $(patsubst %,-r %,$(wildcard requirements/*.txt))

clean: ## remove everything that `make repro` can make again, except downloads and the environment
	rm -rf models plots reports report data/records .cache/checkpoints .cache/seeds .cache/runs .cache/audit
