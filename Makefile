# Targets with a line each; `make` alone lists them. Everything installs into .venv in this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
RECIPE ?= digits
CLOUD ?= gcp
# deploy and destroy mean AWS unless the command line itself names another: a variable of the shell must not decide it.
DEPLOY_CLOUD := $(if $(filter command line,$(origin CLOUD)),$(CLOUD),aws)
DEPLOY_OPTIONS = --cloud $(DEPLOY_CLOUD) $(if $(STACK),--stack $(STACK)) $(if $(REGION),--region $(REGION)) $(if $(PROJECT),--project $(PROJECT)) $(if $(STATE),--state $(STATE))
ENGINE ?= native
# What the functions import; functions/requirements.txt names what these ask for, too.
DEPLOYED := numpy obstore onnxruntime orjson pillow
# What functions for models of texts import too.
DEPLOYED_TEXT := tokenizers
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help setup torch jax demo test arm64 browser kserve conformance faults soak mutants bench lint lint-infra audit hashes serve train package deploy destroy deploy-local clean clean-all

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BIN)/.ready ## Make .venv with the onnxlet command in it

$(BIN)/.ready: pyproject.toml constraints.txt
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[training,dev]'
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[training,dev]'
endif
	@touch $@

torch: setup ## Add PyTorch for the recipes that need it (char-rnn, cnn, vae, gan)
	$(BIN)/python -m ensurepip --upgrade >/dev/null 2>&1 || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch onnxscript

jax: setup ## Add JAX, by which Keras's recipes share a job among machines (KERAS_BACKEND=jax)
	$(BIN)/python -m ensurepip --upgrade >/dev/null 2>&1 || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt jax

demo: setup ## Train on real digits, publish, and ask both clouds' runtimes on this machine
	$(BIN)/onnxlet demo

test: setup ## Run the tests (no network, GPU or Docker needed)
	$(BIN)/python -m pytest -m "not gpu and not kserve and not perf and not deploy and not faults and not soak and not browser and not arm64 and not rie"

# Unpacks QEMU and arm64 Pythons of Debian into .arm64; it installs nothing, and leaves this machine's apt as it is.
arm64: setup .venv-deploy ## Run the package for arm64 under emulation, and events under AWS's own emulator (needs root; MIRROR=URL)
	$(BIN)/python -m onnxlet_cli.package.debian $(MIRROR)
	$(BIN)/python -m pytest -m "arm64 or rie"

browser: setup ## Test the playground in a real browser (needs Chromium: CHROMIUM=/usr/bin/chromium)
	$(BIN)/python -m ensurepip --upgrade >/dev/null 2>&1 || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt playwright
	$(BIN)/python -m pytest -m browser

kserve: setup .venv-kserve ## Test with KServe's client, in a venv of its own
	$(BIN)/python -m pytest -m kserve

.venv-kserve: tests/kserve/constraints.txt
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check --constraint $< kserve
	@touch $@

conformance: setup ## Ask ONNX's own node tests over HTTP, in binary and in JSON (CLOUD=gcp or aws, ENGINE=native or python)
	$(BIN)/python -m tests.conformance --cloud $(CLOUD) --engine $(ENGINE)

faults: setup ## Fail the store in every way (SEEDS=500 runs, a storm of OBJECTS=10000), and kill all that writes
	$(BIN)/python -m tests.faults --seeds $(or $(SEEDS),500) --objects $(or $(OBJECTS),10000)
	$(BIN)/python -m pytest -m faults

soak: setup ## Ask both clouds' runtimes for minutes, with live updates, then the long fuzzers (MINUTES=10, each)
	$(BIN)/python -m tests.soak --cloud gcp --minutes $(MINUTES)
	$(BIN)/python -m tests.soak --cloud aws --minutes $(MINUTES)
	$(BIN)/python -m pytest -m soak

bench: setup ## Measure cold starts, warm requests and events beside what people deploy (ten minutes)
	$(BIN)/onnxlet bench all --chart .onnxlet/bench/chart.png

mutants: setup ## Put small faults into the contract and the registry: the tests must find 85 % (12 minutes)
	$(BIN)/python -m tests.mutants

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hashes: ## Pin again what is deployed, as constraints.txt names it, with the hashes of its files (needs uv)
	printf '%s\n' $(DEPLOYED) | uv pip compile - --quiet --universal --python-version 3.11 --constraint constraints.txt \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links > requirements.part
	{ sed -n '/^#/p' functions/requirements.txt && cat requirements.part; } > requirements.new
	mv requirements.new functions/requirements.txt
	printf '%s\n' $(DEPLOYED_TEXT) | uv pip compile - --quiet --universal --python-version 3.11 --constraint constraints.txt \
	    --no-deps --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links > requirements.part
	{ sed -n '/^#/p' functions/requirements-text.txt && cat requirements.part; } > requirements.new
	rm requirements.part && mv requirements.new functions/requirements-text.txt

audit: .venv-audit ## Look up known vulnerabilities of what is deployed, and of all that is tested with it
	.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement functions/requirements.txt
	.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement functions/requirements-text.txt
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

lint-infra: setup .venv-deploy .venv-checkov ## Check template.yaml and infra/: cfn-lint, sam, checkov, and terraform where it is
	$(BIN)/cfn-lint template.yaml infra/aws/training.yaml
	SAM_CLI_TELEMETRY=0 AWS_REGION=$${AWS_REGION:-us-east-1} .venv-deploy/bin/sam validate --lint --template template.yaml
	.venv-checkov/bin/checkov --config-file infra/aws/.checkov.yaml --framework cloudformation --file template.yaml infra/aws/training.yaml
	.venv-checkov/bin/checkov --config-file infra/gcp/.checkov.yaml --framework terraform --directory infra/gcp
	if command -v terraform >/dev/null; then terraform fmt -check -recursive infra/gcp && $(BIN)/python -m tests.infra.provider; fi

serve: setup ## Serve the local registry on this machine (CLOUD=gcp or aws)
	$(BIN)/onnxlet serve --cloud $(CLOUD)

train: setup ## Train and publish a model (RECIPE=digits)
	$(BIN)/onnxlet train $(RECIPE)

package: setup ## Make the zip that a cloud deploys (CLOUD=aws or gcp, ARCH=arm64 or x86_64)
	$(BIN)/onnxlet package --cloud $(CLOUD) $(if $(ARCH),--arch $(ARCH))

deploy: setup $(if $(filter aws,$(DEPLOY_CLOUD)),.venv-deploy) ## Deploy to your account (MODEL=NAME or FILE.onnx, REGION=...; CLOUD=gcp PROJECT=...; PLAN=1)
	$(BIN)/onnxlet deploy $(DEPLOY_OPTIONS) $(if $(MODEL),--model $(MODEL)) $(if $(PLAN),--plan)

destroy: setup ## Remove what deploy has made, but for your data
	$(BIN)/onnxlet destroy $(DEPLOY_OPTIONS)

deploy-local: setup .venv-deploy .venv-ministack ## Test the whole way of a deployment on MiniStack: an AWS on this machine
	$(BIN)/python -m pytest -m deploy

# AWS SAM's command, and MiniStack, each in a venv of its own: their dependencies fight ours, and each other's.
.venv-deploy:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check aws-sam-cli==1.170.0 || { rm -rf $@; exit 1; }
	@touch $@

.venv-checkov:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30 || { rm -rf $@; exit 1; }
	@touch $@

.venv-ministack:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check 'ministack[full]==1.5.33' || { rm -rf $@; exit 1; }
	@touch $@

.venv-audit:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 || { rm -rf $@; exit 1; }
	@touch $@

clean: ## Remove what the targets made; the local registry, its keys and runs stay
	rm -rf $(VENV) .arm64 .venv-audit .venv-kserve .venv-deploy .venv-checkov .venv-ministack build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .mutants

clean-all: clean ## Remove the local registry with its models and keys, and all runs, too
	rm -rf .onnxlet runs
