# One target for each step of CI; .ci/run calls lint, test, skew and image-test.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/berth
DENY_VERSION := 0.20.2
DENY := $(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

.PHONY: help run cluster test unit skew instructions instructions-update soak bench bench-cluster bench-growth load cold scale fuzz lint fmt clippy deny scripts static profile image image-test release release-test certs crds docs control-plane

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve examples/homelab.yaml on loopback, and print a first request to try
	@tools/run

cluster: ## run a whole cluster with berth on this machine, until Ctrl-C
	@tools/cluster

test: unit instructions ## run every test on the newest Kubernetes; the first time it builds a control plane, which takes about 13 minutes

unit:
	@tools/control-plane/build >/dev/null || [ $$? = 3 ] # without Go, the tests that need it say what they skip
	cargo test --locked --workspace

skew: ## run the tests on a cluster with Kubernetes 1.33, the oldest that k8s-openapi supports; unit uses 1.37
	@tools/control-plane/build --kubernetes 1.33 >/dev/null || [ $$? = 3 ]
	BERTH_KUBERNETES=1.33 cargo test --locked --workspace --test cluster

instructions: ## compare the instructions and allocations of a review with benches/instructions.json
	@tools/instructions check

instructions-update: ## count them again, and write benches/instructions.json
	@tools/instructions update

soak: ## an hour of chaos on a real control plane, or some PARTS= of it (tools/soak names them), or a SHARE= in percent
	@tools/soak $(PARTS)

bench: ## measure a review, a scan of the same JSON, and the usual kube-rs way, by size too: about 6 minutes
	cargo bench --locked --bench review

bench-cluster: ## measure a create on a real API server with berth, a constant answer, a policy, the guard and the word at apply: about 8 minutes
	@tools/control-plane/build >/dev/null
	cargo bench --locked --bench cluster

bench-growth: ## measure larger tables, larger Pods, and a burst with two replicas, and draw them into docs/: about 12 minutes
	@tools/control-plane/build >/dev/null
	cargo bench --locked --bench review -- growth
	cargo bench --locked --bench cluster -- growth
	cargo bench --locked --bench cluster -- burst

load: ## measure the server with berth, as it ships and without a profile, and with a constant answer: 2 minutes, after builds
	cargo build --locked --release -p berth -p xtask --bin berth --bin load
	berth=$$(tools/static) && target/release/load "$$berth" target/release/berth

cold: ## measure a review that comes alone, part by part, beside a constant answer: about 4 minutes
	cargo build --locked --release -p berth -p xtask --bin berth --bin cold
	target/release/cold target/release/berth

scale: ## measure berth preview and the YAML parser alone on 100 to 10,000 documents: seconds
	cargo build --locked --release -p berth -p xtask --bin berth --bin scale
	target/release/scale target/release/berth

fuzz: ## fuzz what reads the input of others, for MINUTES= in all (6): a review, the table, YAML, PEM and HTTP
	@tools/fuzz

lint: fmt clippy deny scripts ## run every check that is not a test

fmt:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package berth --no-default-features -- -D warnings
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir "$${CARGO_TARGET_DIR:-target}" -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib

# the advisories need a database from outside the registries: `cargo deny check advisories` if there is a network
deny: $(DENY)
	$(DENY) --locked --workspace check bans licenses sources

$(DENY):
	@echo "building cargo-deny $(DENY_VERSION) once, into $(CACHE): about 4 minutes on 2 cores"
	cargo install cargo-deny --locked --version $(DENY_VERSION) --root $(CACHE)/cargo-deny-$(DENY_VERSION).tmp
	rm -rf $(CACHE)/cargo-deny-$(DENY_VERSION) && mv $(CACHE)/cargo-deny-$(DENY_VERSION).tmp $(CACHE)/cargo-deny-$(DENY_VERSION)

scripts:
	@tools/lint

static: ## build the binary that ships, for ARCH= amd64 or arm64 (this machine's): target/static/ARCH/berth
	@tools/static $(ARCH)

profile: ## record what the binary that ships is optimized with: 15 minutes (tools/profile says more)
	@tools/profile

image: ## build the image for ARCHS= (amd64 arm64) as an OCI archive: target/image
	@tools/image $(ARCHS)

image-test: ## build the image for ARCHS= (amd64 arm64), and run what is in it
	@tools/image-test $(ARCHS)

release: ## lay out what a release publishes: target/dist (tools/release says what)
	@tools/release

release-test: release ## and test it
	BERTH_RELEASE=target/dist cargo test --locked --test release

certs: ## make a CA and a certificate for development in certs/dev, which git ignores
	cargo run --locked --quiet -- certs dev --out certs/dev

crds: ## write deploy/crds from the types
	cargo run --locked --quiet -- crds --out deploy/crds
	cp deploy/crds/*.yaml deploy/chart/berth/definitions/

control-plane: ## build a real control plane with Go, once, into the user's cache: about 13 minutes
	@tools/control-plane/build

docs: ## write the pages of docs/ that are made from the code and the cases
	BERTH_WRITE_DOCS=1 cargo test --locked --quiet --test docs
	BERTH_WRITE_DOCS=1 cargo test --locked --quiet --test deploy the_page_of_the_values
