# make run PHOTOS=~/Pictures   sets everything up, indexes the folder and serves it
# make test                    sets everything up and runs all tests but the long random ones
# make test-fast               the unit tests alone, in under a minute
# make test-long               the long random versions of the tests
# make coverage                which lines the unit tests reach, in their processes too
# make lint                    format, lint, types and imports
# make gpu-wheels              what `python -m benchmarks.gpu` needs on a machine with torch, torchvision and no network

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PHOTOS ?=
PORT   ?= 8000

.PHONY: run test test-fast test-long coverage lint gpu-wheels clean

run: $(VENV)/.run
	@$(BIN)/lookalike run --port $(PORT) $(if $(PHOTOS),"$(PHOTOS)")

# threads of OpenMP that wait for work keep a processor busy, which tests beside one another want
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow"

test-fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -p no:schemathesis -m "not slow" tests/unit

test-long: $(VENV)/.test
	$(BIN)/python -m pytest -m slow --timeout 1800

coverage: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -p no:schemathesis -m "not slow" tests/unit
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# for Python 3.12 on Linux, in the versions of the virtual environment; torch's own needs are there with torch
GPU_WHEELS := timm pillow pillow_heif cykooz.resizer efficientnet.lite0.pytorch.model pymilvus milvus-lite faiss-cpu \
	orjson pydantic pydantic_core pydantic-settings annotated-types typing-inspection python-dotenv tenacity cachetools click
GPU_PLATFORMS := $(foreach tag,2_28 2_27 2_24 2_17 2_5,--platform manylinux_$(tag)_x86_64) --platform manylinux2014_x86_64

gpu-wheels: $(VENV)/.test
	rm -rf wheels
	$(BIN)/pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.12 $(GPU_PLATFORMS) \
	  --dest wheels $$($(BIN)/pip freeze | grep -iE "^($$(echo $(GPU_WHEELS) | tr ' ' '|'))==")
	du -sh wheels

clean:
	rm -rf $(VENV) wheels

$(VENV)/.run: pyproject.toml $(BIN)/pip
	@echo "Setting up: the first time takes a few minutes and about 6 GB."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[demo]"
	@touch $@

$(VENV)/.test: pyproject.toml $(BIN)/pip
	@echo "Setting up: the first time takes a few minutes and about 6 GB."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[demo,test]"
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lookalike needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Debian keeps venv in a package of its own: installing python3-venv"; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq python3-venv; fi; } \
	  || { echo "install it by hand: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
