# The developer's commands; CI runs the same ones. Plain `make` explains them.
# Personal additions go into Makefile.local, which git ignores.
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
STAGES ?= release manifests chart asan tsan image
# One compiler cache for every clone on a machine: the place of the tree does not count.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export JOBS FUZZ_SECONDS

##@ Try it
demo: ## The story in one command: installs, builds, runs simulator and gate, shows what a user sees and the plugin's report
	build-support/install-packages.sh build demo
	$(call build,dev,upgrade-gate fe-simulator)
	test/e2e/demo.sh build/dev

demo-cluster: ## The same story to its end through kubectl on a real API server (built once, unless KUBEBUILDER_ASSETS is set)
	build-support/install-packages.sh build demo cluster
	$(call build,dev,upgrade-gate fe-simulator)
	assets=$$(build-support/build-kubernetes.sh) && KUBEBUILDER_ASSETS=$$assets test/e2e/demo_cluster.sh build/dev

##@ Work on it
build: ## Builds the dev preset (quick to compile)
	$(call build,dev)

test: ## Everything, or STAGES: release, ASan and TSan builds; unit, layering, integration, e2e, manifests, chart, image; one line of counts
	build-support/install-packages.sh build demo test cluster image
	build-support/test.sh $(STAGES)

test-unit: ## Unit and layering tests of the dev preset
	STAGE_LABELS='^(unit|architecture)$$' build-support/test.sh dev

test-integration: ## FE simulator, real MariaDB
	STAGE_LABELS='^integration$$' build-support/test.sh dev

test-e2e: ## Against a real kube-apiserver
	STAGE_LABELS='^e2e$$' build-support/test.sh dev

chaos: ## The long failure tests: SIGKILL at every step of the real process, an API server away for a minute
	build-support/install-packages.sh build demo test cluster
	CHAOS_OUTAGE_SECONDS=60 STAGE_LABELS='^chaos$$' build-support/test.sh release

interop: ## With real neighbours: cert-manager, Flux, Jaeger, the oldest and the newest Kubernetes (the first run builds them: an hour)
	build-support/install-packages.sh build demo test cluster
	$(call build,dev,upgrade-gate fe-simulator test/e2e/all)
	test/interop/interop.sh build/dev

asan: ## Unit and integration tests under AddressSanitizer and UndefinedBehaviorSanitizer
	build-support/test.sh asan

tsan: ## Unit and integration tests under ThreadSanitizer
	build-support/test.sh tsan

chart-test: ## The Helm chart with the real helm, on a real API server
	build-support/test.sh chart

image-test: ## Builds and starts the container image without any registry (needs root)
	build-support/test.sh image

lint: ## clang-format and clang-tidy, warnings are errors
	build-support/install-packages.sh build lint
	build-support/lint.sh

format: ## Formats all C++ files in place
	git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp' | xargs clang-format -i

fuzz: ## Each libFuzzer target for FUZZ_SECONDS (60)
	build-support/install-packages.sh build fuzz
	build-support/fuzz.sh

bench: ## Speed and memory beside controller-runtime and nginx (8 minutes; docs/performance.md)
	build-support/install-packages.sh build bench
	$(call build,release,upgrade-gate fe-simulator)
	test/bench/bench.sh build/release

bench-wave: ## WAVE_CLUSTERS (1000) upgrades at once on a real API server, some with an FE that hangs; two replicas (5 to 20 minutes)
	build-support/install-packages.sh build cluster
	$(call build,release,upgrade-gate fe-simulator)
	test/bench/wave.sh build/release

bench-led: ## WAVE_CLUSTERS (100) upgrades led pod by pod at once on a real API server; two replicas (5 to 10 minutes)
	build-support/install-packages.sh build cluster
	$(call build,release,upgrade-gate fe-simulator)
	WAVE_LED=1 WAVE_CLUSTERS=$${WAVE_CLUSTERS:-100} test/bench/wave.sh build/release

bench-parsers: ## What each parser of foreign text costs against its size; fails where one is not linear (5 minutes)
	$(call build,release,bench_parsers)
	build/release/test/bench/bench_parsers

##@ Release
install.yaml: ## Everything in one file for kubectl apply: build/install.yaml, with IMAGE if given
	@mkdir -p build
	build-support/install-yaml.sh >build/install.yaml.new && mv build/install.yaml.new build/install.yaml

release-files: ## What a release has beside the image, with checksums: build/release-files
	$(call build,release,upgrade-gate)
	build-support/release-files.sh build/release-files build/release/server/app/upgrade-gate

##@ Prepare
kubernetes: ## Builds kube-apiserver and kubectl for the e2e tests, once, into the user's cache
	build-support/build-kubernetes.sh

install-packages: ## Installs every Debian package that any target here wants
	build-support/install-packages.sh build demo test cluster lint fuzz bench image

bare-debian: ## Runs TARGET (test-unit) of this commit on a fresh Debian SUITE (bookworm) in a chroot (needs root)
	build-support/bare-debian.sh $(or $(SUITE),bookworm) $(or $(TARGET),test-unit)

clean: ## Removes build/; the cached kube-apiserver stays
	rm -rf build

help: ## This text
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9.-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

define build
cmake --preset $(1) $(if $(filter true,$(CI)),-DGATE_WERROR=ON)
cmake --build --preset $(1) --parallel $(JOBS) $(if $(2),--target $(2))
endef

.PHONY: $(shell sed -n 's/^\([a-z0-9.-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

-include Makefile.local
