PYTHON ?= python3
export PYTHON
BIN = .venv/bin
# What Python has compiled, it keeps: most tests start programs of ours, each compiled anew else.
export PYTHONDONTWRITEBYTECODE =
WORKERS ?= 2

.PHONY: help setup demo test faults lint bench docs lock clean screenshots deb deb-test

help:
	@echo "make setup   what is needed: system programs and .venv (the others call it)"
	@echo "make demo    watch an image go from a store into a cloud (ONCE=1: end by itself;"
	@echo "             SOURCE=simplestreams: from a mirror that is published before your eyes)"
	@echo "make test    all tests, in two processes side by side; WORKERS=4: in four"
	@echo "make screenshots  the pictures of the page in docs/images"
	@echo "make faults  everything that can go wrong, many times over; SEED=1 repeats a run"
	@echo "make lint    style, types, and who may import whom"
	@echo "make bench   measure; ONLY=install,link: these parts; SIZE=small or SMOKE=1: shorter"
	@echo "make docs    write anew what is made from the code: manual pages, the configuration's"
	@echo "             reference and example, the tables of the command line, the API reference,"
	@echo "             the states"
	@echo "make deb     the Debian package, into dist/"
	@echo "make deb-test  install that into a fresh Debian, use it, upgrade it, purge it (as root)"
	@echo "make lock    write the requirements locks anew"
	@echo "make clean   remove what the others made"

setup:
	@tools/setup.sh

demo: setup
	@$(BIN)/python -m demo.run

test: setup
	@$(BIN)/pytest -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

screenshots: setup
	@$(BIN)/pytest tests/browser/pictures.py

faults: setup
	@FAULTS_SEED=$(SEED) FAULTS=long $(BIN)/python -m tests.faults.run

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m benchmarks.run --size=$(if $(SMOKE),smoke,$(or $(SIZE),full)) \
		$(if $(ONLY),--only=$(ONLY)) $(if $(FORMS),--forms=$(FORMS)) $(if $(KEEP),--keep=$(KEEP))

docs: setup
	@$(BIN)/python -m tools.make_man
	@$(BIN)/python -m tools.make_config
	@$(BIN)/python -m tools.make_api
	@$(BIN)/python -m tools.draw_states >docs/states.md.new
	@mv docs/states.md.new docs/states.md

deb:
	@tools/deb.sh

deb-test: setup
	@$(BIN)/python -m tests.package.run

lock:
	@tools/lock.sh

clean:
	rm -rf .venv build dist demo/data .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	rm -rf *.egg-info twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
