# The front door. Everything that takes part in building attestry is started here; `make` alone tells what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
ARGS ?=
JOBS := $(if $(ATTESTRY_JOBS),-j $(ATTESTRY_JOBS))
# Where tests look for the large set of vectors (optional), and real evidence from public packages.
export ATTESTRY_SHARED ?= $(CURDIR)/../shared
export ATTESTRY_SAMPLES ?= $(CURDIR)/.cache/samples
export NINJA_STATUS ?= [%f/%t %es] 

.PHONY: help build run demo-registry demo-keys demo-threshold demo-tracker test unit functional contracts contracts-gas check check-all fix bench bench-peers fuzz coverage interop wasm asan tsan clean packages samples

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages:
	@tools/deps/install.sh build
	@tools/deps/build.sh

samples: packages
	@tools/deps/samples.py >/dev/null

build: packages ## build the program: build/attestry
	@cmake --preset dev --log-level=WARNING >/dev/null
	@cmake --build build $(JOBS) --target attestry

run: build samples ## a server, a simulated TEE and the whole story on your screen (ARGS=--once ends by itself)
	@ATTESTRY_REAL_CASE=$${ATTESTRY_REAL_CASE:-$(ATTESTRY_SAMPLES)/tdx-v4-uptodate} build/attestry dev $(ARGS)

demo-registry: build ## the registry on your screen: chain, admins, storage, a simulated TD, a crash, a recovery
	@tools/deps/install.sh test && tools/deps/venv.sh build/venv test && tools/deps/npm.sh
	@build/venv/bin/python tests/functional/demo_registry.py $(ARGS)

demo-keys: build ## a key manager on a real chain and a keystore, on your screen: keys, refusals, a crash, an audit
	@tools/deps/install.sh test && tools/deps/venv.sh build/venv test && tools/deps/npm.sh
	@build/venv/bin/python tests/functional/demo_keys.py $(ARGS)

demo-threshold: build ## nodes that derive keys together, on your screen: none has the key, two die, it moves to seven others
	@tools/deps/install.sh test && tools/deps/venv.sh build/venv test
	@build/venv/bin/python tests/functional/demo_threshold.py $(ARGS)

demo-tracker: build ## a BitTorrent tracker on your screen: real clients, receipts, a crash, a chain, a second tracker
	@tools/deps/install.sh test && tools/deps/venv.sh build/venv test && tools/deps/npm.sh
	@build/venv/bin/python tests/functional/demo_tracker.py $(ARGS)

test: unit functional ## all tests: unit tests, then the real program from outside

unit: packages
	@tools/deps/install.sh test
	@cmake --preset dev --log-level=WARNING >/dev/null
	@cmake --build build $(JOBS) $(if $(ROOM),--target $(ROOM)_test)
	@tools/deps/samples.py >/dev/null
	@echo "==> unit tests"
	@ctest --test-dir build --no-tests=error --output-on-failure --progress -j $$(nproc) $(if $(ROOM),-L '^$(ROOM)$$')

functional: unit
	@tools/functional.sh $(ARGS)

contracts: ## compile contracts/*.sol and tests/contracts/*.sol into their artifacts
	@tools/deps/npm.sh && "$$(tools/deps/node.sh)" contracts/compile.mjs

contracts-gas: ## what the contracts' functions cost, into docs/reference/contracts.md and reputation-contract.md
	@tools/deps/npm.sh && tools/deps/install.sh test && tools/deps/venv.sh build/venv test && build/venv/bin/python tests/functional/contract_gas.py --write && build/venv/bin/python tests/functional/reputation_gas.py --write

check: packages ## every lint; clang-tidy on what changed
	@tools/deps/install.sh test check && tools/deps/venv.sh build/check-venv check && tools/check.sh

check-all: packages ## every lint; clang-tidy on every file
	@tools/deps/install.sh test check && tools/deps/venv.sh build/check-venv check && tools/check.sh --all

fix: ## repair the format
	@tools/deps/install.sh check && tools/check.sh --fix

bench: packages ## the figures of docs/performance.md, as ratios within one run
	@tools/deps/install.sh bench test && tools/deps/venv.sh build/venv test && tools/deps/npm.sh && tools/bench.py $(ARGS)

bench-peers: packages ## the same files through other verifiers
	@tools/deps/install.sh bench test peers && tools/deps/venv.sh build/venv test && tools/deps/npm.sh && tools/bench.py --peers $(ARGS)

fuzz: packages ## all fuzz targets from their corpora (FUZZ_SECONDS=300 together, TARGET=one of them)
	@tools/deps/install.sh test clang && tools/fuzz.sh $(if $(TARGET),--target $(TARGET)) $(or $(FUZZ_SECONDS),300)

coverage: packages ## line coverage of the unit tests: build/coverage/index.html
	@tools/deps/install.sh test cover && tools/coverage.sh

interop: build samples ## forged evidence through other people's verifiers
	@tools/deps/install.sh test peers && tools/deps/venv.sh build/interop-venv test interop && tools/interop.sh

wasm: packages ## base, crypto and attestation as WebAssembly, the vectors in node
	@tools/deps/install.sh wasm && tools/deps/build.sh wasm && tools/wasm/build.sh && tools/wasm/run.sh

asan: packages ## unit tests under the address and undefined behaviour sanitizers
	@tools/deps/install.sh test clang && tools/sanitize.sh asan

tsan: packages ## unit tests under the thread sanitizer
	@tools/deps/install.sh test clang && tools/sanitize.sh tsan

clean: ## remove everything that was built, except the dependencies (.deps) and downloads (.cache)
	@rm -rf build
