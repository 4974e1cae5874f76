# Needs make and Python >= 3.11 on the PATH, nothing else: recipes call no other program that set-up did not bring.
# `make help` explains the targets.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo drill chaos up down status test test-faults test-sabotage test-containers bench bench-full bench-profiles lint types format env contracts docs lock clean ci

PYTHON ?= python3
ARGS ?=
VENV := .venv/bin

help: ## this list
	@$(PYTHON) scripts/make_help.py Makefile

setup: ## .venv with the locked packages, Kafka's jars; ends at once when nothing has changed
	@$(PYTHON) scripts/setup.py

demo: setup ## one day of a support desk in about three minutes, on a real Kafka and PostgreSQL, checked at the end
	@$(VENV)/opora demo $(ARGS)

drill: setup ## lose a loaded platform, restore it from its backup, check everything, print what it cost
	@$(VENV)/opora drill $(ARGS)

chaos: setup ## break a platform of its own in every way there is, and check from outside: up to an hour
	@$(VENV)/opora chaos --full --report docs/reliability.md $(ARGS)

up: setup ## start the platform and keep it running; its data stays in .opora
	@$(VENV)/opora up $(ARGS)

down: setup ## stop what `make up` started
	@$(VENV)/opora down $(ARGS)

status: setup ## what is running, where, and how it is
	@$(VENV)/opora status $(ARGS)

test: setup ## all tests, on embedded servers (BROKER=docker: containers; KAFKA_BOOTSTRAP, POSTGRES_DSN: those)
	@$(VENV)/python -m pytest $(ARGS)

test-faults: setup ## the platform under faults, the short tier; `make test` runs it too
	@$(VENV)/python -m pytest tests/faults $(ARGS)

test-sabotage: setup ## take out one safeguard after the other: each time the harness must notice
	@OPORA_SABOTAGE_TESTS=1 $(VENV)/python -m pytest tests/faults/test_sabotage.py $(ARGS)

test-containers: setup ## images, compose file and upgrade on a container engine, which must answer
	@OPORA_CONTAINER_TESTS=1 $(VENV)/python -m pytest tests/containers $(ARGS)

bench: setup ## measure against raw baselines, smaller sizes (ONLY=relay: one line)
	@$(VENV)/python -m tests.bench $(if $(ONLY),--only $(ONLY),--page docs/performance.md) $(ARGS)

bench-full: setup ## the same at all sizes
	@$(VENV)/python -m tests.bench --full $(if $(ONLY),--only $(ONLY),--page docs/performance.md) $(ARGS)

bench-profiles: setup ## where the time of each busy role goes (py-spy; needs the right to trace processes)
	@$(VENV)/python -m tests.bench.profiles --page docs/performance.md $(ARGS)

lint: setup ## ruff (rules and format) and the architecture's import rules
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/lint-imports

types: setup ## mypy, strict
	@$(VENV)/python -m mypy $(ARGS)

format: setup ## rewrite the sources in the one format
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

env: ## .env for docker-compose.yml, with fresh secrets; an existing one keeps its values
	@$(PYTHON) scripts/make_env.py

contracts: setup ## the compatibility gate over all event schemas
	@$(VENV)/opora contracts check $(ARGS)

docs: setup ## the site of all documents, in dist/docs: open dist/docs/index.html
	@$(VENV)/python -m docs.site.build $(ARGS)

lock: setup ## refresh requirements.lock and scripts/bootstrap.lock to the newest allowed versions
	@$(VENV)/python scripts/lock.py

clean: ## remove .venv and the tools' caches; data of `make up` stays
	@$(PYTHON) scripts/clean.py

ci: ## everything that must pass before a change is merged
	@.ci/run
