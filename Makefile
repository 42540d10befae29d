# SPDX-License-Identifier: MIT
# Every target sets up what it needs first; see tools/setup.sh.

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-bench demo host bench performance test slow mutants lint sizes dist clean

help:   ## this list
	@sed -n 's/^\([a-z]*\):.*## *\(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## leaves the command at .venv/bin/isthmus
	@tools/setup.sh

setup-test:
	@tools/setup.sh --test

setup-bench:
	@tools/setup.sh --bench

demo: setup  ## Linux and the critical OS on a TrustZone machine: the main job, with a summary and a report
	@tools/demo.sh

host: setup  ## the same with both worlds as processes on this machine
	@.venv/bin/isthmus check --machine host --report demo.html

bench: setup-bench  ## what a frame costs, beside the bound and the peers
	@.venv/bin/isthmus bench

performance: setup-bench  ## the same into docs/PERFORMANCE.md, on a quiet machine
	@.venv/bin/isthmus bench --document docs/PERFORMANCE.md

test: setup-test  ## lint, types and tests
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

slow: setup-test  ## the same with the long campaigns
	@.venv/bin/python -m pytest --slow $(ARGS)

mutants: setup-test  ## takes each check, bound and barrier out and asks the tests; goes on where it was
	@PYTHONPATH=tests .venv/bin/python -m mutation $(ARGS)

lint: setup-test  ## style, types and the rules of the tree alone
	@.venv/bin/python -m pytest tests/test_style.py tests/test_tree.py

sizes: setup-test  ## what the core costs a small target: text, state, shared memory
	@.venv/bin/python tools/sizes.py

dist: setup-test  ## sdist and wheel in dist/
	@.venv/bin/python -m build --outdir dist

clean:  ## what was built in the checkout; the user's cache stays
	@rm -rf build dist demo.html .venv src/isthmus/*.so src/*.egg-info
