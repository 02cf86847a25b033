# Python 3.13 and make are all it takes; up and deploy-local want Docker too.
PYTHON := $(shell command -v python3.13 || command -v python3)
BIN := .venv/bin
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/$(BIN):$$PATH" .venv-sam/bin/sam
LOCALSTACK := AWS_ENDPOINT_URL=http://localhost:4566 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
EMULATOR := localstack
STACK := sluice
ENGINE :=
SETTINGS := .sluice/functions.json
COMPILE := uv pip compile --universal --python-version 3.13 --generate-hashes --no-emit-index-url --no-header --quiet

# Each test file whole in one process, in this order, so the long files begin first. Three for two cores: many wait.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
TESTS := tests/e2e/test_queue_to_row.py tests/e2e/test_operators.py tests/faults tests/integration tests/unit tests/field
# The oldest PostgreSQL that we promise, and the tests of which we know that versions differ.
POSTGRESQL_15 := /usr/lib/postgresql/15/bin
TESTS_OF_VERSIONS := tests/faults/test_postgresql.py tests/field/test_table_checks.py tests/field/test_triggers.py \
	tests/field/test_database_settings.py tests/field/test_rds_owner.py tests/integration/test_migrations.py tests/integration/test_sqlstate.py \
	tests/integration/test_partitions.py tests/integration/test_conversion.py
LONG_TESTS := tests/e2e/test_documented_commands.py tests/e2e/test_deployments.py tests/e2e/test_creation.py tests/e2e/test_keys.py tests/e2e/test_doctor.py tests/e2e/test_new_stream.py tests/e2e/test_breaker.py tests/e2e/test_fifo.py tests/e2e/test_large_messages.py tests/e2e/test_backlog.py tests/localstack
TESTS_OF_PAGES := tests/unit/test_diagrams.py tests/unit/test_documented_links.py tests/unit/test_licences.py tests/unit/test_prose.py
PROSE := $(filter-out CODE_OF_CONDUCT.md,$(wildcard *.md)) docs
MERMAID := 11.16.0
TEMPLATES := template.yaml $(wildcard deploy/*.yaml)

.PHONY: help setup deploy-aws rds-ca demo redeploy test test-all explore faults soak test-docker pgbouncer chromium test-browser pictures test-oldest test-server test-localstack coverage check bench up deploy-local send down clean lock site sbom licences mutants

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: .venv/bin/sluice .venv-sam/installed ## install what requirements/ locks, where it changed

demo: setup ## send 1,000 messages through the whole system on this machine; ARGS=--keep leaves it running, --console shows it
	@$(BIN)/python -m tools.local.demo $(ARGS)

redeploy: setup ## build and deploy what has changed to the stack that `make demo ARGS=--keep` left; queues and rows stay
	@$(BIN)/python -m tools.local.redeploy

test: setup ## run the tests, on a real PostgreSQL and the deployed template, in six to ten minutes; ARGS go to pytest
	$(BIN)/python -m pytest $(PARALLEL) -m "not long" $(TESTS) $(ARGS)

test-all: setup ## these and all documented commands, deployments, outages, and what needs Docker or LocalStack
	$(BIN)/python -m pytest $(PARALLEL) $(LONG_TESTS) $(TESTS) $(ARGS)
	$(BIN)/python -m tools.local.engine $(ENGINE) $(BIN)/python -m pytest tests/docker $(ARGS) || [ $$? -eq 5 ]  # ARGS chose none

explore: setup ## run the tests of properties with examples that are new each time
	$(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile explore $$(grep -rl "^from hypothesis" tests --include='test_*.py') $(ARGS)

faults: setup ## kill, cut, freeze and fill up what the function depends on; nothing may be lost
	$(BIN)/python -m pytest tests/faults $(ARGS)

soak: setup ## load with random faults for ten minutes; ARGS='--seconds 60 --seed 7', or '--backlog 100000'
	@PYTHONPATH=tests/declared $(BIN)/python -m tools.testing.soak $(ARGS)

test-docker: setup ## run the tests that need Docker; ENGINE=--start installs and starts an engine, as root
	$(BIN)/python -m tools.local.engine $(ENGINE) $(BIN)/python -m pytest tests/docker $(ARGS)

pgbouncer: ## install PgBouncer from Debian's package, for the tests of poolers; takes root
	@command -v pgbouncer >/dev/null || { apt-get update --quiet=2 && apt-get install --quiet=2 --yes pgbouncer; }

chromium: ## install Chromium from Debian's package, for the tests and pictures of the console; takes root
	@command -v chromium >/dev/null || { apt-get update --quiet=2 && apt-get install --quiet=2 --yes chromium; }

test-browser: setup .venv-browser/installed chromium ## open the console in Chromium: every view, every action, an outage and its end
	.venv-browser/bin/python -m pytest tests/browser $(ARGS)

pictures: setup .venv-browser/installed chromium ## take the pictures of the console in docs/ anew: look at them before you keep them
	@PYTHONPATH=layers/common:layers .venv-browser/bin/python -m tools.testing.pictures

test-oldest: setup ## run what depends on the version on PostgreSQL 15, from a package of Debian 12; takes root
	@[ -x $(POSTGRESQL_15)/postgres ] || { apt-get update --quiet=2 && apt-get install --quiet=2 --yes postgresql-15; }
	SLUICE_POSTGRES_BIN=$(POSTGRESQL_15) $(BIN)/python -m pytest $(PARALLEL) $(TESTS_OF_VERSIONS) $(ARGS)

test-server: setup ## run on your own PostgreSQL what it allows; DATABASE_URL='postgresql://login:password@host/database'
	@[ "$$DATABASE_URL" ] || { echo "DATABASE_URL='postgresql://login:password@host:5432/database' is needed."; exit 2; }
	@SLUICE_TEST_DATABASE_URL="$$DATABASE_URL" $(BIN)/python -m pytest -m "not long" tests/integration tests/field $(ARGS)

test-localstack: setup .venv-localstack/installed ## deploy to LocalStack, run without Docker; `make test-all` does so too from then on
	$(BIN)/python -m pytest tests/localstack $(ARGS)

coverage: setup ## tell which lines and branches the unit and integration tests reach
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term-missing:skip-covered tests/integration tests/unit tests/field $(ARGS)

check: setup .venv-lint/installed ## lint, formatting, types, spelling, prose, links, streams, template, security
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy
	.venv-lint/bin/codespell . .ci .github
	.venv-lint/bin/proselint --config .proselintrc.json check $(PROSE)
	$(BIN)/python -m pytest --quiet $(TESTS_OF_PAGES)
	@# The tests bring a package `streams` of their own, so yours is looked at from its own folder.
	cd layers && ../$(BIN)/mypy --config-file ../pyproject.toml streams
	$(BIN)/sluice check
	$(SAM) validate --lint
	.venv-lint/bin/cfn-lint $(TEMPLATES)
	@mkdir -p .sluice/expanded # checkov sees no loops
	@for file in $(TEMPLATES); do $(BIN)/python -m tools.local.template $$file >.sluice/expanded/$$(basename $$file .yaml).json || exit 1; done
	.venv-lint/bin/checkov --directory .sluice/expanded --config-file .checkov.yaml --compact --quiet
	$(BIN)/python -m tools.local.policies template.yaml >.sluice/policies.json
	.venv-lint/bin/python tools/local/findings.py .sluice/policies.json
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv-lint/bin/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	.venv-lint/bin/bandit --quiet --configfile pyproject.toml --recursive layers/common/sluice functions tools/sluice_cli

site: .venv-site/installed .sluice/mermaid.min.js ## build the site of the documentation into .sluice/site; every link is checked
	@# --quiet hides the warnings that `strict` counts: with it a broken link fails nothing.
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --config-file site/mkdocs.yml

# Named by its hash, so that the pages get what was looked at.
.sluice/mermaid.min.js: site/mermaid.sha256 .venv-site/installed
	@mkdir -p .sluice
	cd .sluice && PATH="$(CURDIR)/.venv-site/bin:$$PATH" npm pack --silent mermaid@$(MERMAID) >/dev/null
	tar --extract --gzip --directory .sluice --strip-components 2 --touch --file .sluice/mermaid-$(MERMAID).tgz package/dist/mermaid.min.js
	sha256sum --check --quiet $<

licences: setup .venv-site/installed ## write docs/licences.md: what the functions run with, and under which licences
	@{ cat site/licences.md; .venv-site/bin/pip-licenses --python $(BIN)/python --from mixed --format markdown --with-urls \
	--packages $$(grep -oE '^[a-z0-9-]+==' layers/common/requirements.txt | tr -d =); } >docs/licences.md

sbom: .venv-site/installed ## write the layer's bill of materials (CycloneDX) to .sluice/sluice.cdx.json
	@mkdir -p .sluice
	PYTHONWARNINGS=ignore .venv-site/bin/cyclonedx-py requirements layers/common/requirements.txt --pyproject pyproject.toml --mc-type application \
	--output-reproducible --validate --output-file .sluice/sluice.cdx.json

mutants: .venv-mutants/installed ## tell which small changes of the pure modules no test notices, in hours; ARGS='tokens cells' for some
	nice .venv-mutants/bin/python -m tools.testing.mutants $(ARGS)

bench: setup .venv-bench/installed ## compare with other ways to write, in minutes; ARGS=--quick in one, ARGS=--growth: what a large table costs
	@PYTHONPATH=layers/common:tests/declared .venv-bench/bin/python -m tools.bench $(ARGS)

up: ## start PostgreSQL and LocalStack with Docker; EMULATOR=ministack instead of LocalStack
	docker compose up --detach --wait postgres $(EMULATOR)

deploy-local: setup ## build, and deploy to what `make up` started
	$(SAM) build
	$(BIN)/python -m tools.local.template .aws-sam/build/template.yaml >.aws-sam/build/expanded.json # LocalStack sees no loops
	@if [ $(EMULATOR) = ministack ]; then $(BIN)/python -m tools.local.ministack .aws-sam/build/expanded.json; fi
	@if [ $(EMULATOR) = localstack ]; then $(BIN)/python -m tools.local.localstack fit .aws-sam/build/expanded.json; fi
	$(LOCALSTACK) $(SAM) deploy --config-file $(CURDIR)/samconfig.toml --config-env local --template-file .aws-sam/build/expanded.json
	@if [ $(EMULATOR) = localstack ]; then $(LOCALSTACK) $(BIN)/python -m tools.local.localstack migrate; fi
	@mkdir -p $(dir $(SETTINGS)) && $(LOCALSTACK) $(BIN)/python -m tools.local.functions http://$(EMULATOR):4566 >$(SETTINGS)

deploy-aws: setup ## deploy the database of deploy/, then Sluice with its outputs; STACK=sluice-prod PARAMETERS='DatabaseLogin=iam'
	$(SAM) deploy --template-file deploy/database.yaml --stack-name $(STACK)-database --no-fail-on-empty-changeset
	$(SAM) build
	given=$$($(BIN)/python -m tools.aws.parameters $(STACK)-database) && \
	$(SAM) deploy --stack-name $(STACK) --no-fail-on-empty-changeset --parameter-overrides $$given $(PARAMETERS)

rds-ca: setup ## fetch the certificate authorities of RDS and Aurora anew
	@$(BIN)/python -m tools.aws.authorities

send: setup ## send 100 made-up logins to what `make deploy-local` deployed; ARGS='--generate 1000' for another number
	@$(LOCALSTACK) $(BIN)/sluice send user_logins --generate 100 --junk 5% --stack sluice $(ARGS)

down: ## stop what `make demo ARGS=--keep` or `make up` left running; ARGS=--volumes throws its data away
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tools.local.stack down; fi
	@if docker compose ps >/dev/null 2>&1; then docker compose --profile '*' down $(ARGS); fi

clean: down ## remove all that was installed and built
	rm -rf .venv .venv-bench .venv-browser .venv-lint .venv-localstack .venv-mutants .venv-sam .venv-site .sluice .aws-sam .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

lock: ## pin anew what pyproject.toml asks for
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o layers/common/requirements.txt
	$(COMPILE) pyproject.toml --group dev --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) pyproject.toml --group dev --group browser -c requirements/dev.txt -o requirements/browser.txt
	$(COMPILE) --group lint -o requirements/lint.txt
	$(COMPILE) --group sam -o requirements/sam.txt
	$(COMPILE) --group site -o requirements/site.txt
	$(COMPILE) pyproject.toml --group dev --group mutants -c requirements/dev.txt -o requirements/mutants.txt
	$(COMPILE) --group images -c requirements/dev.txt -o requirements/images.txt
	$(COMPILE) --group compose -o requirements/compose.txt
	$(COMPILE:--universal=--python-platform linux) --exclude-newer 2026-03-01 --group localstack -o requirements/localstack.txt

.venv/installed: requirements/dev.txt
.venv-lint/installed: requirements/lint.txt
.venv-sam/installed: requirements/sam.txt
.venv-site/installed: requirements/site.txt
.venv-browser/installed: requirements/browser.txt
.venv-bench/installed: requirements/bench.txt
.venv-mutants/installed: requirements/mutants.txt
.venv-localstack/installed: requirements/localstack.txt
.venv/installed .venv-bench/installed .venv-browser/installed .venv-lint/installed .venv-localstack/installed .venv-mutants/installed .venv-sam/installed .venv-site/installed:
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 13) or sys.exit("Python 3.13 is needed.")'
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# An editable install: the command, and two folders on the path; nothing is fetched and nothing written to the tree.
.venv/bin/sluice: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
