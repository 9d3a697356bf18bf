# Needs Python 3.11 to 3.13, git and make; everything else is installed here, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export NO_MKDOCS_2_WARNING := 1

# Beside the pipeline: gpu where there is one; `make env WITH="gpu onnx s3"` says it otherwise, docs and dev are for `make test`.
WITH ?= $(if $(shell command -v nvidia-smi),gpu)
# Each package stands in one of requirements/*.txt. --no-deps: together they are complete, and nothing is looked for elsewhere.
# What pip says of it stands in .cache/pip.log; only what went wrong is shown.
INSTALL = python -m pip install --quiet --progress-bar=off --disable-pip-version-check --no-deps $(1) \
    > .cache/pip.log 2>&1 || { cat .cache/pip.log; exit 1; }

.PHONY: help env repro test lint format docs coverage lock audit clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

env: $(addprefix $(BIN)/.,pipeline $(WITH)) ## install what is needed into .venv, with the command `fcn`
	@echo 'Type `. $(BIN)/activate`, then `fcn --help`.'

repro: $(addprefix $(BIN)/.,pipeline $(WITH)) .git ## `fcn repro`: the whole DAG; only what is out of date runs
	fcn repro $(ARGS)

TOOLS := $(addprefix $(BIN)/.,pipeline onnx video docs dev)
TESTS := python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: lint .git ## lint, types, tests
	$(TESTS)

lint: $(TOOLS) ## the checks that take seconds: style, types, spelling, dead code, schemas
	ruff check .
	ruff format --check .
	mypy
	codespell
	vulture
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[0-9]*.yml
	check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

coverage: $(TOOLS) .git ## which lines the tests run: a table, and pages in .cache/coverage/html
	rm -rf .cache/coverage && mkdir -p .cache/coverage
	COVERAGE_FILE="$(CURDIR)/.cache/coverage/data" $(TESTS) --cov --cov-config=pyproject.toml --cov-report=
	coverage report --sort=cover --fail-under=0
	coverage html --quiet --directory=.cache/coverage/html

docs: $(addprefix $(BIN)/.,pipeline docs) ## build the documentation into site/, without a network; `mkdocs serve` shows it, with a search
	mkdocs build --strict

format: $(TOOLS) ## lint and format in place
	ruff check --fix .
	ruff format .

$(BIN)/.pipeline: requirements/pipeline.txt pyproject.toml | $(BIN)/python
	@echo 'Installing $<: minutes, once; messages: .cache/pip.log' && mkdir -p .cache
	@$(call INSTALL,--require-hashes -r $<)
	@$(call INSTALL,--no-build-isolation --editable .)
	@touch $@

$(BIN)/.%: requirements/%.txt | $(BIN)/.pipeline
	@echo 'Installing $<; messages: .cache/pip.log' && mkdir -p .cache
	@$(call INSTALL,--require-hashes -r $<)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

.git: # a downloaded copy without git: DVC does without too
	dvc config --local core.no_scm true

# One resolution for all; then each file has what those before it have not.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate pyproject.toml
lock: ## pin what pyproject.toml adds; UPGRADE=--upgrade: the newest of all that it allows; needs uv
	mkdir -p .cache
	sed -n 's/^\([^ ]*==[^\\]*\).*/\1/p' requirements/*.txt > .cache/lock.txt
	$(LOCK) $(UPGRADE) --all-extras -o .cache/lock.txt
	pin() { $(LOCK) --generate-hashes -c .cache/lock.txt --extra pipeline $$2 -o requirements/$$1.txt \
	    $$(cat /dev/null $$3 | sed -n 's/^\([^ ]*\)==.*/--no-emit-package \1/p'); }; \
	cd requirements && rm -f *.txt && cd .. && pin pipeline \
	&& for extra in gpu s3; do pin $$extra "--extra $$extra" requirements/pipeline.txt || exit 1; done \
	&& for extra in onnx video docs; do pin $$extra "--extra $$extra" requirements/pipeline.txt || exit 1; done \
	&& pin dev "--extra dev" "requirements/pipeline.txt requirements/onnx.txt requirements/video.txt requirements/docs.txt"

audit: $(BIN)/python ## known vulnerabilities of the pinned packages; needs the network
	$(PYTHON) -m venv .cache/audit && .cache/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.cache/audit/bin/pip-audit --strict --disable-pip --require-hashes $(patsubst %,-r %,$(wildcard requirements/*.txt))

clean: ## remove everything that `make repro` can make again, except downloads and the environment
	rm -rf site models plots reports report data/records .cache/checkpoints .cache/seeds .cache/audit
