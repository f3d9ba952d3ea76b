# make help tells what there is to make. PYTHON=/path/to/python3.12 chooses the Python that .venv is made with.

.DEFAULT_GOAL := install
.PHONY: install run test test-deep bench-webhook bench-api lint lock clean help

PYTHON ?=
INSTALL = @PYTHON='$(PYTHON)' sh scripts/install.sh
BIN = .venv/bin

install: ## install Telefonist and what it needs into .venv; quick where that has been done
	$(INSTALL)

run: install ## serve on http://127.0.0.1:8080 until Ctrl-C
	@exec $(BIN)/telefonist serve

test: ## run the tests: make test ARGS='-k webhook'
	$(INSTALL) dev
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-deep: ## run the faults under much more work, which takes minutes
	$(INSTALL) dev
	@$(BIN)/python -m pytest -m deep $(ARGS)

bench-webhook: ## measure the webhook beside FastAPI + Celery + Redis, which takes five minutes
	$(INSTALL) dev
	@$(BIN)/python -m bench.webhook $(ARGS)

bench-api: ## measure the model API beside a bare gateway, which takes six minutes: ARGS='--with litellm'
	$(INSTALL) dev
	@$(BIN)/python -m bench.api $(ARGS)

lint: ## check style, types, who imports whom, and the files themselves
	$(INSTALL) dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy telefonist tests scripts $(wildcard bench)
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_files.py

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## write the lock files anew from pyproject.toml: make lock ARGS=--upgrade (needs uv)
	$(INSTALL)
	@command -v uv >/dev/null || { echo "make lock needs uv, which is not here: pipx install uv" >&2; exit 1; }
	$(COMPILE) $(ARGS) --group build pyproject.toml -o requirements.lock
	$(COMPILE) $(ARGS) --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open(0, "rb"))["project"]["optional-dependencies"]["embedded"])' \
		<pyproject.toml | $(COMPILE) $(ARGS) -c requirements.lock - -o requirements-embedded.lock

clean: ## remove .venv and the caches; the data stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist bench/.venv* bench/bin
	find telefonist tests scripts bench -name __pycache__ -prune -exec rm -rf {} +

help: ## tell what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  	/p' Makefile
