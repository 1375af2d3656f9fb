# `make tables` and `make test` are all a fresh machine needs: python3 (3.11 or newer) with venv and pip.
PYTHON ?= python3
RUN := .venv/bin/python
RECORDS := results/records.jsonl
# The bundled sets need 10,000 samples; `make tables N=2000` is a quick look.
N ?= 10000

.PHONY: tables test check lint types bench setup

tables: setup
	.venv/bin/genbench fid --samples "bundled[:5000]" --ref "bundled[5000:]" --protocol bundled -n 5000 --ci --records $(RECORDS)
	.venv/bin/genbench fid --model toy --res 32 -n $(N) --ci --records $(RECORDS)
	.venv/bin/genbench fid --model biggan-deep --res 32 -n $(N) --ci --records $(RECORDS)

test: setup
	$(RUN) -m pytest

check: lint types test

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup
	$(RUN) -m mypy

bench: setup
	$(RUN) benchmarks/numeric.py
	$(RUN) benchmarks/decode.py
	$(RUN) benchmarks/detectors.py
	$(RUN) benchmarks/quality.py
	$(RUN) benchmarks/biggan_deep.py
	$(RUN) benchmarks/hit.py

# The copy of what was installed is written last, so a broken-off installation is done again.
setup:
	@cmp -s requirements.lock .venv/requirements.lock && test -x $(RUN) || { \
	  echo "setting up .venv (about 5 GB, a few minutes)"; \
	  $(PYTHON) -m venv --clear .venv && \
	  $(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock && \
	  cp requirements.lock .venv/requirements.lock; }
	@cmp -s pyproject.toml .venv/pyproject.toml || { \
	  $(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable . && \
	  cp pyproject.toml .venv/pyproject.toml; }
