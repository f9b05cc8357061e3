# Every target sets up what it needs; see scripts/ for how.
.DEFAULT_GOAL := help
.PHONY: help demo test bench chaos e2e fuzz lint fmt services-up services-down clean-services

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## bring up a RabbitMQ and a stand-in cloud, build a bay, run an app on it, delete both
	@scripts/demo.sh $(ARGS)

test: ## bring up RabbitMQ, PostgreSQL and MariaDB and run every test (ARGS='...' goes to cargo test)
	@scripts/test.sh $(ARGS)

bench: ## measure the worker beside other servers and write docs/PERFORMANCE.md (ARGS='...': only print)
	@scripts/bench.sh $(ARGS)

chaos: ## break what a pool stands on and count what is lost (SECONDS=3600 the long form, GUARD_OFF=fence, ARGS='--only broker')
	@scripts/chaos.sh $(if $(SECONDS),--seconds $(SECONDS)) $(if $(GUARD_OFF),--guard-off $(GUARD_OFF)) $(ARGS)

e2e: ## bring up a real Keystone and Heat and have every kind of bay live there (ARGS='--only centos', ARGS=--list)
	@scripts/e2e.sh $(ARGS)

fuzz: ## fuzz the decoders for DURATION seconds each (60; ARGS='request reply' for some of them)
	@scripts/fuzz.sh $(ARGS)

lint: ## check format, clippy, documentation, scripts and docker-compose.yml
	@scripts/lint.sh

fmt: ## format the Rust code
	@cargo fmt --all

services-up: ## start the servers that the tests use: eval "$(scripts/services.sh env)" names them
	@scripts/services.sh up

services-down: ## end them; their data stays in target/services
	@scripts/services.sh down

clean-services: ## end them and remove their data
	@scripts/services.sh clean
