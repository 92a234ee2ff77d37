# One target for each step of CI; .ci/run calls lint and test.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/berth
DENY_VERSION := 0.20.2
DENY := $(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

.PHONY: help run cluster test unit skew instructions instructions-update soak bench bench-cluster load scale lint fmt clippy deny scripts static certs crds docs control-plane

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve the homelab's table on loopback and print a first request
	@tools/run

cluster: ## a whole cluster on this machine, with berth in it, until Ctrl-C
	@tools/cluster

test: unit skew instructions ## every test

unit:
	@tools/control-plane/build >/dev/null || [ $$? = 3 ] # without Go, the tests that need it say what they skip
	cargo test --locked --workspace

skew: ## the cluster's tests on the oldest Kubernetes that k8s-openapi knows: 1.33; unit runs them on the newest, 1.37
	@tools/control-plane/build --kubernetes 1.33 >/dev/null || [ $$? = 3 ]
	BERTH_KUBERNETES=1.33 cargo test --locked --test cluster

instructions: ## hold the instructions and allocations of a review against benches/instructions.json
	@tools/instructions check

instructions-update: ## count them anew
	@tools/instructions update

soak: ## certificates and restarts for longer: 100 renewals, 20 rollouts with the whole drain: about 10 minutes
	@tools/control-plane/build >/dev/null
	BERTH_SOAK=1 cargo test --locked --test cluster -- --nocapture --test-threads 1 certificates restarts

bench: ## a review beside the scan and the usual kube-rs way: about 5 minutes
	cargo bench --locked --bench review

bench-cluster: ## what a create costs on a real API server, beside a constant answer and a policy: about 5 minutes
	@tools/control-plane/build >/dev/null
	cargo bench --locked --bench cluster

load: ## the server's own cost, beside a constant answer: about 3 minutes
	cargo build --locked --release
	cargo run --locked --release --quiet -p xtask --bin load

scale: ## berth preview of 100 to 10,000 documents, beside the YAML parser alone: seconds
	cargo build --locked --release -p berth -p xtask --bin berth --bin scale
	target/release/scale target/release/berth

lint: fmt clippy deny scripts ## everything that needs no run

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib

# the advisories need a database from outside the registries: `cargo deny check advisories` where there is a network
deny: $(DENY)
	$(DENY) --locked check bans licenses sources

$(DENY):
	@echo "building cargo-deny $(DENY_VERSION) once, into $(CACHE): about 4 minutes on 2 cores"
	cargo install cargo-deny --locked --version $(DENY_VERSION) --root $(CACHE)/cargo-deny-$(DENY_VERSION).tmp
	rm -rf $(CACHE)/cargo-deny-$(DENY_VERSION) && mv $(CACHE)/cargo-deny-$(DENY_VERSION).tmp $(CACHE)/cargo-deny-$(DENY_VERSION)

scripts:
	@tools/lint

static: ## the image's binary, for this machine: target/static/berth
	RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --locked --release --bin berth \
		--target "$$(rustc --print host-tuple)" --target-dir target/static
	cp "target/static/$$(rustc --print host-tuple)/release/berth" target/static/berth

certs: ## a development CA and leaf in certs/dev, git-ignored
	cargo run --locked --quiet -- certs dev --out certs/dev

crds: ## rewrite deploy/crds from the types
	cargo run --locked --quiet -- crds --out deploy/crds

control-plane: ## a real control plane's programs, built once into the user's cache: about 12 minutes with Go
	@tools/control-plane/build

docs: ## rewrite the pages of docs/ that are made from the code and the cases
	BERTH_WRITE_DOCS=1 cargo test --locked --quiet --test docs
