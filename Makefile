# The commands of this artifact, the same for a reader and for CI. `make help` lists them.
SHELL := bash
PYTHON ?= python3
GPU_PYTHON ?= python3
VENV := .venv
CORES ?= all
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# Jobs state their memory; Snakemake starts no more of them than the free memory, or a container's share, holds.
FREE_MB = $(shell cat /sys/fs/cgroup/memory.max 2>/dev/null | awk -v kb="$$(awk '/MemAvailable/ {print $$2}' \
  /proc/meminfo 2>/dev/null || echo 4000000)" 'BEGIN {mb = int(kb / 1024)} \
  /^[0-9]+$$/ && $$1 / 1048576 < mb {mb = int($$1 / 1048576)} END {print mb}')
SNAKEMAKE = snakemake --cores $(CORES) --resources mem_mb=$(FREE_MB) gpu=1

.PHONY: help env figures test test-long lint format report bench readme train-mini gpu-train ship-models gpu-pack gpu-check constraints

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/.complete  ## make .venv with the pinned versions; a second call does nothing

$(VENV)/.complete: pyproject.toml constraints.txt workflow/scripts/choose_torch.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	  f"Python {sys.version.split()[0]} is not supported: use 3.11 to 3.13, e.g. make env PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	arguments=$$($(VENV)/bin/python workflow/scripts/choose_torch.py constraints.txt) && \
	  $(PIP) install --quiet -c constraints.txt $$arguments
	$(PIP) install --quiet -c constraints.txt -e '.[test]'
	touch $@

figures: env  ## every figure and table at the mini scale, into results/mini/figures
	$(SNAKEMAKE)

test: env  ## the test suite
	python -m pytest -n 2 -m "not long and not gpu and not network"

test-long: env  ## the tests that take minutes
	python -m pytest -n 2 -m "long and not gpu and not network"

lint: env  ## formatters, linters, types, and Snakemake's own lint
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check .
	python workflow/scripts/lint_rules.py

format: env  ## rewrite the code in the house style
	ruff check --fix .
	ruff format .
	snakefmt .

report: figures  ## one self-contained page of all exhibits
	snakemake --report results/mini/report.html

bench: figures  ## core-seconds and memory against the budgets, a rendered step, and a run with nothing to do
	$(SNAKEMAKE) --forcerun measure_render -- measure_render
	@column -t -s, results/mini/speed/render.csv
	$(SNAKEMAKE) --forcerun measure_cost measure_corpus -- measure_cost measure_corpus
	@column -t -s, results/mini/cost/budgets.csv; column -t -s, results/train/speed/corpus.csv
	start=$$(date +%s%N); $(SNAKEMAKE) --quiet all; \
	  printf 's\n%s\n' $$(( ($$(date +%s%N) - start) / 1000000 ))e-3 > results/mini/benchmarks/nothing_to_do.tsv
	@column -t -s, results/mini/figures/ledger.csv; tail -n 1 results/mini/benchmarks/nothing_to_do.tsv

readme: figures  ## rewrite the README's tables from results/mini and data/mini
	python workflow/scripts/readme_table.py results/mini/figures README.md
	python workflow/scripts/family_table.py data/mini README.md

train-mini: env  ## train every mini model (six hours on two cores) and make the meshes; run again to continue
	$(SNAKEMAKE) train_mini

ship-models: train-mini  ## check the trained models and the made meshes, copy them to data/mini
	for model in if_m if_xl if_ii sd controlnet_depth clip; do \
	  python -m castex.cli.ship_models --model results/train/$$model --autoencoder results/train/sd_vae \
	    --output data/mini/$$model || exit 1; done
	python -m castex.cli.ship_models --meshes results/train/meshes --output data/mini/meshes

gpu-pack:  ## where there is a network: wheels and nvdiffrast's source for a GPU machine without one, into .gpu
	$(PYTHON) workflow/scripts/gpu_check.py pack

gpu-check:  ## on a GPU machine, with its own Python and torch: what needs a CUDA device
	$(GPU_PYTHON) workflow/scripts/gpu_check.py check

gpu-train:  ## on a GPU machine, with its own Python and torch: the mini family in 25 minutes, into .gpu/train
	$(GPU_PYTHON) workflow/scripts/gpu_train.py train .gpu/train

constraints:  ## resolve constraints.txt anew (needs uv)
	env -u UV_FIND_LINKS uv pip compile --universal --python-version 3.11 --no-header --no-annotate \
	  --all-extras --output-file constraints.txt pyproject.toml
