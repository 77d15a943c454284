# `make run` and `make test` do all the set-up; both need Debian's python3-venv at most.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test check scatter checkpoints clean

run: $(VENV)/.run
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

# Optional accelerator of feature pooling: no wheel exists, compiling takes minutes.
scatter: $(VENV)/.run
	$(BIN)/pip install --no-build-isolation torch-scatter

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

# Rebuilds the small CLIP's image tower and the tokenizers: PACK=objects.npz TEXT=text.safetensors.
# The shipped small CLIP serves as TEXT too; only its text tower is used.
checkpoints: $(VENV)/.run
	$(BIN)/python -m s4token bank --out runs/bank --pack $(PACK) --scenes 4000
	$(BIN)/python -m s4token pretrain-clip --bank runs/bank --pack $(PACK) --text $(TEXT) \
		--steps 5000 --batch 12 --out runs/s4token-small.safetensors
	cp runs/s4token-small.safetensors checkpoints/
	cp runs/s4token-small-tokenizers.safetensors checkpoints/s4token.safetensors

clean:
	rm -rf $(VENV) build
