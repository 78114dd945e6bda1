# Every target sets up what it needs in .venv, from the exact pins in requirements.lock.
#   make demo     the main job on drawn photos, end to end, in output/demo
#   make test     the tests, offline
#   make search   the property tests on new examples each time, of which make test always has the same
#   make kills    twenty kills and other ends of a run, and that it goes on as if there had been none
#   make precision  on the model of make demo: that every engine and precision is as good as stock Detectron2, and
#                 that tiles find the small objects of a panorama
#   make processes  trainings in two processes and on two machines, their ends and resumes
#   make test-web  the gallery, the report and the page to try the model in a real browser, chromium, which has to be
#                 there, and the server of the last as a process
#   make test-label-studio  pull, push, rank and serve with a real Label Studio, in .venv-label-studio, on this machine;
#                 chromium has to be there
#   make test-storage  photos, exports, runs and results behind URIs, with servers of S3, SFTP and HTTP on this machine
#   make install  the environment alone
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Label Studio wants another numpy and another setuptools than Detectron2: an environment of its own.
LABEL_STUDIO := .venv-label-studio
# Two compute threads everywhere: the figures of a run depend on their number.
export OMP_NUM_THREADS ?= 2
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: install demo test search overfit kills precision processes test-web test-label-studio test-storage lint format lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock setup.py campus_seg/environment.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "requirements.lock is for Python 3.11: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar off -r requirements.lock
	$(BIN)/python campus_seg/environment.py install
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	$(BIN)/python campus_seg/environment.py check
	touch $@

demo: install
	$(BIN)/python tools/demo.py

# Two at a time, a thread each: small models make poor use of a second one.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 -m "not slow and not kills and not precision and not processes and not pages and not label_studio and not storage"

search: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 -m "hypothesis and not storage" --hypothesis-profile search

# Overfitting needs a real export (see tests/conftest.py) and is skipped where there is none; the proof that masking
# takes no more memory for more photos needs none. The others run beside the training, a thread each.
overfit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadgroup -m slow

# Two files at a time: most of their time goes into starting processes.
kills: install
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m kills

precision: install
	$(BIN)/python -m pytest tests -m precision

processes: install
	$(BIN)/python -m pytest tests -m processes

# Two files at a time: much of their time is a server that starts.
test-web: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile -m pages

# A thread, since the server wants the other core.
test-label-studio: install $(LABEL_STUDIO)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m label_studio

# An sshd has to be there: Debian's package openssh-server.
test-storage: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile -m storage

$(LABEL_STUDIO)/installed: tests/label_studio_server/requirements.lock
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install --progress-bar off -r tests/label_studio_server/requirements.lock
	$(LABEL_STUDIO)/bin/python -m pip check
	touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	uv pip compile setup.py --all-extras --python-version 3.11 --constraint constraints.txt --no-header --output-file requirements.lock
	uv pip compile tests/label_studio_server/requirements.in --python-version 3.11 --no-header --output-file tests/label_studio_server/requirements.lock

clean:
	rm -rf $(VENV) $(LABEL_STUDIO) output/demo  # and no run of yours
