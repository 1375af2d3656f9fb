# `make tables` and `make test` are all a fresh machine needs: python3 (3.11 or newer) with venv and pip.
PYTHON ?= python3
RUN := .venv/bin/python
GENBENCH := .venv/bin/genbench

# What `make tables` measures. MODELS: those with bundled weights. N: samples; the protocol's figures
# are at 10,000 (`make tables N=50000`; N=2000 is a quick look). Nothing unchanged is measured twice.
MODELS ?= hit biggan-deep adm-guided emd
N ?= 10000
RECORDS := results/records.jsonl
SPEEDS := $(MODELS:%=results/speed/%.jsonl)
READ := --records $(RECORDS) $(SPEEDS:%=--records %)
TABLES := $(patsubst tables/%.toml,%,$(shell grep -l '^\[\[column\]\]' tables/*.toml))
# A quarter, half and three quarters of N: the curve of quality against the sample count.
PARTS := $(foreach part,1 2 3,-n $(shell expr $(N) \* $(part) / 4))
SWEEP_N ?= 2000
SOURCES := $(shell find genbench adapters -name '*.py' -o -name '*.cpp' -o -name '*.safetensors')

# Speeds must have the machine to themselves.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: tables sweeps evaluations first quality texts readme test check lint types bench setup

tables: texts
	$(GENBENCH) report $(READ) -n $(N) --out results/report.html
	$(GENBENCH) table bundled -n $(N) $(READ)

# A first look at all of them, without KID, whose subsets take longest; the samples are the first of
# what follows, and drawn once.
FIRST_N := 1000
FIRST := $(patsubst %,--metric %,fid is precision recall density coverage)
first: setup
	for m in $(MODELS); do $(GENBENCH) fid --model $$m --res 32 --reuse -n $(FIRST_N) $(FIRST) \
	  --records $(RECORDS) || exit 1; done
	$(GENBENCH) table bundled -n $(FIRST_N) --records $(RECORDS)

# All figures with intervals at N, distances alone at its parts, and samples for the report to show.
quality: first
	@mkdir -p results/samples
	for m in $(MODELS); do run="$(GENBENCH) fid --model $$m --res 32 --ci --reuse" && \
	  $$run -n $(N) --records $(RECORDS) && \
	  $$run $(PARTS) --metric fd --records $(RECORDS) && \
	  $(GENBENCH) sample --model $$m --res 32 -n 64 --out results/samples/$$m.png || exit 1; done

# Speeds are measured again when the code or the weights have changed.
results/speed/%.jsonl: $(SOURCES) | setup
	@mkdir -p results/speed && rm -f $@
	$(GENBENCH) throughput --model $* --res 32 --seconds 3 --records $@

texts: quality $(SPEEDS)
	for t in $(TABLES); do out="--out results/tables/$$t" && \
	  $(GENBENCH) table $$t $$(test $$t = bundled && echo "-n $(N)") $(READ) \
	  $$out.md $$out.tex $$out.csv || exit 1; done

# Precision against recall, for the report: every setting is a run of its own.
TRUNCATIONS ?= 0.2,0.4,0.6,0.8,1
SCALES ?= 0,0.5,1,2,4
SWEEP := $(GENBENCH) sweep --res 32 --ci --records $(RECORDS)
SWEPT := --metric precision --metric recall --metric density
sweeps: setup
	$(SWEEP) --model biggan-deep --truncation $(TRUNCATIONS) -n $(SWEEP_N) $(SWEPT)
	$(SWEEP) --model adm-guided --classifier-scale $(SCALES) -n $(SWEEP_N) $(SWEPT)

# Quality against network evaluations: too few samples for a figure to quote, the same for all.
STEPS ?= 250,50,25,10
NFE_N ?= 500
evaluations: setup
	$(SWEEP) --model adm-guided --sampler ddim --steps $(STEPS) -n $(NFE_N) --metric fid
	$(SWEEP) --model emd -n $(NFE_N) --metric fid

# Put the bundled table and its scatter into README.md, from what `make tables` measured.
readme: setup
	$(RUN) benchmarks/readme.py $(READ)
	$(RUN) benchmarks/figures.py $(READ)

# The tests of a file stay together, since they share what is made for them once.
test: setup
	$(RUN) -m pytest -n 2 --dist loadfile

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
	$(RUN) benchmarks/preprocessing.py
	$(RUN) benchmarks/quality.py
	$(RUN) benchmarks/biggan_deep.py
	$(RUN) benchmarks/hit.py
	$(RUN) benchmarks/adm.py
	$(RUN) benchmarks/emd_modes.py

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
