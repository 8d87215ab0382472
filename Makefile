# Set-up and the main jobs. Python 3.11 or newer and make are all that must be there.
.PHONY: help train test test-quick test-crash test-fuzz lint format bench bench-docs bench-quality bench-doctor dashboard clean
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
PYTEST := $(BIN)/python -m pytest --numprocesses auto
# The tests of a file in one process, which makes once what they share.
BY_FILE := --dist loadfile --no-loadscope-reorder

help:  ## list the targets
	@echo "make train       install what is missing, then train a GAN on the embedded digits (ARGS='model=dcgan ...' for more)"
	@echo "make test        install what is missing, then run the whole test suite (ARGS='-k resume' for a part)"
	@echo "make test-quick  the same without the slowest tests: about a minute, for daily work"
	@echo "make test-crash  stop runs at every instant and resume them: nothing may be lost (a quarter of an hour)"
	@echo "make test-fuzz   10,000 odd command lines and YAML files: each works or is refused in one sentence (some minutes)"
	@echo "make lint        check formatting, lint and types"
	@echo "make bench       measure training against the article's own code and plain PyTorch loops (ARGS='--only mlp --quick')"
	@echo "make bench-docs  all of benchmarks/speed, written into docs/performance.md (three quarters of an hour on a quiet machine)"
	@echo "make bench-quality  train the recipes over seeds and write docs/results.md (hours; ARGS='ring --seeds 3' for a part)"
	@echo "make bench-doctor  train runs of known outcome and compare the doctor's verdicts, into docs/doctor.md (ARGS='--data FOLDER' for MNIST; an hour)"
	@echo "make dashboard   show all runs in outputs/ in TensorBoard"
	@echo "make format      format the source as lint requires"
	@echo "make clean       remove the virtual environment and the tools' caches; outputs/ stays"

train: $(VENV)/installed  ## the main job
	$(BIN)/gan-exp train $(ARGS)

test: $(VENV)/installed-dev
	$(PYTEST) $(BY_FILE) $(ARGS)

test-quick: $(VENV)/installed-dev
	$(PYTEST) $(BY_FILE) -m "not slow and not crash_long" --durations 5 $(ARGS)

test-crash: $(VENV)/installed-dev
	$(PYTEST) -m crash_long tests/crash tests/commands/test_cluster.py $(ARGS)

test-fuzz: $(VENV)/installed-dev
	GAN_EXP_FUZZ=40 $(PYTEST) tests/test_fuzz.py $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-docs: $(VENV)/installed
	$(BIN)/python -m benchmarks.speed --docs $(ARGS)
	$(BIN)/python -m benchmarks.speed.scaling --docs
	$(BIN)/python -m benchmarks.speed.startup --docs

bench-quality: $(VENV)/installed
	$(BIN)/python -m benchmarks.quality --docs $(ARGS)

bench-doctor: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.doctor --docs $(ARGS)

dashboard: $(VENV)/installed
	$(BIN)/gan-exp dashboard $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp for each kind of installation: a second call has nothing to do until pyproject.toml changes.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "installing gan-exp and PyTorch into $(VENV) (a few gigabytes, once)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing gan-exp, PyTorch and the test tools into $(VENV) (a few gigabytes, once)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@ $(VENV)/installed

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old: gan-exp needs 3.11 or newer; name one with make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) can't make virtual environments: on Debian and Ubuntu install python3-venv"; exit 1; }
