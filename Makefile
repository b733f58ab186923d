# Thin: Meson builds. `make demo` and `make test` work on a bare Debian 12 machine.
BUILD ?= build
MESON ?= meson
TICLIP = $(BUILD)/cli/ticlip
DEMO ?= demo

# Debian 12 packages: tools, then libraries, then what only tests and benchmarks need.
PACKAGES = gcc g++ python3 meson ninja-build pkg-config \
  libblis-openmp-dev libpapi-dev libzydis-dev libjpeg62-turbo-dev libjansson-dev libutf8proc-dev \
  zlib1g-dev nettle-dev libcairo2-dev \
  libcriterion-dev libbenchmark-dev papi-tools
# Only to be compared with: other BLAS libraries, and an interpreter that has PyTorch.
PEERS = libopenblas-dev libdnnl-dev
PYTORCH ?= python3
# What `ticlip tune` wrote, where the benchmarks shall use it.
PLAN ?=
WITH_PLAN = $(if $(PLAN),--plan $(PLAN))
# An instruction set that `bench-peers` keeps to, with all that it compares: avx2.
ISA ?=
WITH_ISA = $(if $(ISA),--isa $(ISA))
BENCH ?= $(BUILD)/bench
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

REPRODUCTION ?= reproduction

.PHONY: all deps build test demo reproduce reproduce-photographs sanitize bench-kernels bench-step bench-tic bench-peers clean
all: build

# Installs only what is missing.
deps:
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p 2>/dev/null | grep -q '^Status: install ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing from Debian:" $$missing; \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi

$(BUILD)/build.ninja: | deps
	$(MESON) setup $(BUILD)

build: deps $(BUILD)/build.ninja
	ninja -C $(BUILD)

test: build
	$(MESON) test -C $(BUILD) --print-errorlogs
	@$(BUILD)/tests/kernels/test_kernels_variants | tail -1

# Generates the embedded data set, runs three methods over its 7 steps, prints the tables.
demo: build
	$(TICLIP) world $(DEMO)/world
	$(TICLIP) run --data $(DEMO)/world --out $(DEMO)/run --methods sequential,cumulative-all,oracle

# Every method, schedule and ablation of the paper with 3 seeds on the embedded data set; interrupted,
# the same command goes on. Writes docs/reproduction.md and its figures.
reproduce: build
	python3 benchmarks/reproduction/runs.py --ticlip $(TICLIP) --folder $(REPRODUCTION)
	TICLIP=$(TICLIP) python3 benchmarks/reproduction/page.py --folder $(REPRODUCTION)

# The same methods on real photographs (docs/real-data.md): fills in what that page has measured.
PHOTOGRAPHS ?= ../shared/data/fashion
reproduce-photographs: build
	for s in 0 1 2; do $(TICLIP) run --data $(PHOTOGRAPHS) --granularity year --first-step 2010 \
	  --min-step 800 --label-field articleType --label-tree masterCategory --no-tune --methods all \
	  --seed $$s --out $(REPRODUCTION)/fashion-$$s > /dev/null || exit; done
	TICLIP=$(TICLIP) python3 benchmarks/reproduction/real_data.py --runs $(REPRODUCTION)/fashion

sanitize: deps
	[ -f $(BUILD)-sanitize/build.ninja ] || $(MESON) setup $(BUILD)-sanitize \
	  -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
	$(MESON) test -C $(BUILD)-sanitize --print-errorlogs --timeout-multiplier 4

# What dispatch picks, beside the peers that were built; any variant: docs/performance.md.
bench-kernels: build
	$(BUILD)/benchmarks/bench_kernels $(WITH_PLAN)

# Training steps: pairs/s and MFU.
bench-step: build
	$(BUILD)/benchmarks/bench_step $(WITH_PLAN)

# Every method, throughput beside accuracy, kept as this machine's baseline (docs/researchers.md). The
# machine should do nothing else meanwhile.
TIC_METHODS ?= all
bench-tic: build
	mkdir -p $(BENCH)
	$(BUILD)/benchmarks/bench_tic --methods $(TIC_METHODS) --pairs 63000 --benchmark_out=$(BENCH)/tic.json
	python3 benchmarks/record_tic.py $(BENCH)/tic.json

# All that docs/performance.md says of this machine: kernels beside BLIS, OpenBLAS and oneDNN, then
# operations and steps beside PyTorch, in turns. The machine should do nothing else meanwhile.
bench-peers: deps
	@$(MAKE) --no-print-directory deps PACKAGES="$(PEERS)"
	[ -f $(BUILD)/build.ninja ] || $(MESON) setup $(BUILD)
	$(MESON) configure $(BUILD) -Dpeers=enabled && ninja -C $(BUILD)
	mkdir -p $(BENCH)
	$(BUILD)/benchmarks/bench_kernels --scaling $(WITH_PLAN) $(WITH_ISA) --benchmark_format=json > $(BENCH)/kernels.json
	python3 benchmarks/performance_page.py record --kernels $(BENCH)/kernels.json
	python3 benchmarks/compare_ops.py --bench $(BUILD)/benchmarks/bench_kernels $(WITH_PLAN) $(WITH_ISA) \
	  --python $(PYTORCH) --json > $(BENCH)/operations.json
	python3 benchmarks/compare_step.py --bench $(BUILD)/benchmarks/bench_step $(WITH_PLAN) $(WITH_ISA) \
	  --python $(PYTORCH) --scaling --json > $(BENCH)/steps.json
	for p in f32 bf16; do $(BUILD)/benchmarks/bench_step $(WITH_PLAN) $(WITH_ISA) --profile ViT-B-32/32/$$p/web \
	  > $(BENCH)/profile-$$p.txt || exit 1; done
	python3 benchmarks/performance_page.py record --operations $(BENCH)/operations.json \
	  --steps $(BENCH)/steps.json --profiles $(BENCH)/profile-*.txt
	python3 benchmarks/performance_page.py page
	python3 benchmarks/performance_page.py summary

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize
