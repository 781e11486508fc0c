# `make` lists the targets. Everything runs in .venv and .ros, which `make setup` makes and keeps up to date.
# Not -u: colcon's setup files read variables that nobody has set.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup format lint test demo bench train clean

run := source .ros/setup.bash &&

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Python packages, ROS 2 and the messages: once some minutes, afterwards less than a second
	@environment/setup.sh

format: setup ## sort imports and format the code
	$(run) ruff check --fix-only .
	$(run) ruff format .

lint: setup ## style, architecture and types
	$(run) ruff check .
	$(run) ruff format --check --quiet .
	$(run) mypy

# The ROS tests run in a worker of their own: should the middleware crash, one test fails, not the whole run.
test: setup ## linter, types and all tests, those with ROS included
	$(run) ruff check .
	$(run) mypy
	$(run) python -m pytest -n 2 test/core
	$(run) MAPKD_REQUIRE_ROS=1 python -m pytest -n 1 test/ros

demo: setup ## drive with six cameras through the nodes: video, pictures and scores into out/demo
	$(run) python -m mapkd_core.cli demo --out out/demo $(ARGS)

bench: setup ## student against HDMapNet's shape and the roofline, node against bare network: ratios into out/bench.json
	$(run) python -m mapkd_core.cli bench ratios --threads 2 --out out/bench.json $(ARGS)

train: setup ## train a student from nothing, by the recipe that the shipped one began with (hours on a CPU)
	$(run) python -m mapkd_core.cli train config/train/student.yaml $(ARGS)

clean: ## remove all that setup, tests and the demo made
	rm -rf .venv .ros out build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
