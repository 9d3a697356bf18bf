# Needs Python 3.11 to 3.13, git and make; everything else is installed here, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1

# What to install for running: with CUDA where there is a GPU. `make test` installs dev instead.
RUN := $(if $(shell command -v nvidia-smi),gpu,base)

.PHONY: repro toy test verify-published ui sync web audit format lock clean

repro: $(BIN)/.$(RUN) .git ## the whole DAG: only what is out of date runs
	python -m flows.pipeline $(ARGS)

toy: $(BIN)/.$(RUN) .git ## a LeNet that reads digits becomes an FCN that finds them; writes params.yaml
	python -m sample.toy data/toy
	python -m flows.pipeline --set profile=toy $(ARGS)

test: $(BIN)/.dev .git ## lint, types, tests
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -n 2 --dist loadfile

verify-published: $(BIN)/.$(RUN) ## the authors' own nets against their published scores; needs the network
	python -m flows.commands.verify_published $(ARGS)

ui: $(BIN)/.$(RUN) ## the pages of Prefect and MLflow on the runs of this folder, until Ctrl-C
	python -m flows.commands.ui $(ARGS)

sync: $(BIN)/.$(RUN) ## tell MLflow what it could not be told while it was down
	python -m flows.commands.sync $(ARGS)

web: $(BIN)/.web ## a page to drop pictures on, on this machine alone, until Ctrl-C
	python -m flows.web $(ARGS)

audit: $(BIN)/python ## known vulnerabilities of the pinned packages; needs the network, asks PyPI's database
	$(PYTHON) -m venv .cache/audit && .cache/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	for pins in dev gpu; do .cache/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/$$pins.txt || exit 1; done

format: $(BIN)/.dev ## lint and format in place
	ruff check --fix .
	ruff format .

# --no-deps: the lock is complete, and an old pip, asked for name[extra], would look beyond it for newer versions.
$(BIN)/.%: requirements/%.txt | $(BIN)/python
	python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.git: # a downloaded copy without git: DVC does without too
	dvc config --local core.no_scm true

lock: ## pin the newest versions that pyproject.toml allows; needs uv
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade --extra dev pyproject.toml -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements/dev.txt pyproject.toml -o requirements/base.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements/dev.txt --extra gpu pyproject.toml -o requirements/gpu.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements/dev.txt --extra web pyproject.toml -o requirements/web.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements/dev.txt --extra s3 pyproject.toml -o requirements/s3.txt

clean: ## remove everything that `make repro` can make again, except downloads and the environment
	rm -rf models plots reports report data/records .cache/checkpoints .cache/seeds .cache/runs .cache/audit
