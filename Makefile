# `make book` and `make test` are all a newcomer needs; `make` alone lists the rest.
# On Linux without a GPU, `make book TORCH_BACKEND=cpu` asks for the CPU builds of PyTorch.

PYTHON ?= python3
TORCH_BACKEND ?=
PORT ?= 8000

# Nothing of the user's own IPython or Matplotlib settings reaches the pages.
export IPYTHONDIR := $(CURDIR)/.venv/ipython
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book test serve train survey results power portable matrix bench lint references student zip clean chromium

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

# The stamp is written last. Without it a folder .venv is what an interrupted installation left, and is cleared.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; name another: make book PYTHON=python3.12")'
	@echo "Environment: .venv (PyTorch is large; the first time takes minutes)"
	@test -f $@ || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip install --compile-bytecode --python .venv/bin/python -c constraints.txt \
	    $(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND)) -e '.[book,test]'
	@.venv/bin/python -c 'import matplotlib.font_manager'  # or the first chapter warns that fonts are being listed
	@touch $@

book: .venv/ready  ## run the chapters, compare with the references, render the pages
	@.venv/bin/python -m tools book

# A worker a core, four at most, of one thread, as the kernels in which nbval runs the rendered notebooks again.
test: book chromium  ## everything that guards the project
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	    .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-cell-timeout=180 tests _build/executed

chromium: .venv/ready
	@.venv/bin/python -m tools.browser

serve: book  ## show the book at http://127.0.0.1:8000 (PORT=…)
	@.venv/bin/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

train: .venv/ready  ## train the networks of the evidence that are missing (a ResNet18: 40 minutes; resumes)
	.venv/bin/python -m evidence.train

survey: .venv/ready  ## list what takes long to observe, and what of it is missing (NAME=reachable: make that)
	.venv/bin/python -m evidence.observe $(NAME)

results: .venv/ready  ## repeat the measurements (CLAIM=id: that one)
	.venv/bin/python -m evidence.measure $(CLAIM)

power: .venv/ready  ## simulate what each rule says of a claim and of its opposite (SEED=7: other draws, shown alone)
	.venv/bin/python -m evidence.power $(SEED)

portable: .venv/ready  ## chapters and numbers as on other processors (MACHINE=nehalem: that one; all: an hour)
	.venv/bin/python -m tools.portable $(MACHINE)

bench: .venv/ready  ## compare speeds with peers
	.venv/bin/python -m benchmarks.run

lint: .venv/ready  ## style and import contract
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

references: .venv/ready  ## accept the chapters' outputs as the new references
	@.venv/bin/python -m tools references

matrix: .venv/ready  ## the tests on three Pythons, and with the oldest dependencies (ENVIRONMENT=3.12: that one)
	@TORCH_BACKEND=$(TORCH_BACKEND) .venv/bin/python -m tools.matrix $(ENVIRONMENT)

student: .venv/ready  ## the book without solutions, in _build/student/html
	@.venv/bin/python -m tools student

zip: book  ## the pages for a memory stick, _build/vsbook-html.zip
	@cd _build && rm -rf html.zip.new && ../.venv/bin/python -m zipfile -c html.zip.new html && mv html.zip.new vsbook-html.zip
	@echo "_build/vsbook-html.zip: unpack it anywhere and open html/index.html"

clean:  ## remove what was built (the environment stays)
	rm -rf _build
