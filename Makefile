# SPDX-License-Identifier: GPL-2.0-or-later
# A thin front on Meson: every target does its own set-up on a fresh Debian machine.
#
#   make run      build everything, then boot a Debian kernel to a shell in a VM
#   make iso      build/batuta-hv.iso: the bare-metal hypervisor with two Linux VMs and a small one; boots from CD or USB stick
#   make run-hv   boots that in QEMU, and hands its monitor over (without a terminal it ends when the VMs are up)
#   make test     all checks and tests (unit, contract, differential, fuzz, system, sanitizers)
#   make test-hv  all tests of the bare-metal hypervisor, in QEMU (AMD-V) and Bochs (VT-x)
#   make asan     the unit tests, hostile guests and bad input under AddressSanitizer and UBSan
#   make tsan     the unit tests under ThreadSanitizer
#   make fuzz     every fuzz target for FUZZ_SECONDS each (default 600)
#   make diff     the long differential tests (10 million instructions, 100 million decodings)
#   make sched-sim  the bare-metal scheduler on simulated machines of up to 1,000 processors and 10,000 vCPUs
#   make soak     half an hour of guests that change their code and page tables all the time
#   make bench    measurements beside native, QEMU and Bochs; writes build/bench.json (BENCH="--group integer,fp" for some)
#   make bench-readme  the table in README.md, made of build/bench.json
#   make format   clang-format over all C files
#   make install  PREFIX=/usr/local DESTDIR=

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
ninja = ninja -C build
DEMO_IS_UP = '(?s)(?=.*red\| batuta: shell ready)(?=.*blue\| batuta: shell ready).*small\| tick: .*up 0:'

.PHONY: all build guests run iso run-hv test test-hv check asan tsan fuzz diff sched-sim soak bench bench-readme format install clean

all: build

# The tests come with `make test`, or by `meson configure build -Dtests=true`.
build/build.ninja:
	@tools/setup run
	@echo "Setting up build/…"
	@meson setup build --prefix=$(PREFIX) -Dtests=false >build-setup.log 2>&1 || { cat build-setup.log; exit 1; }
	@rm -f build-setup.log

build: build/build.ninja
	@if [ -t 1 ]; then $(ninja); else echo "Building batuta…"; $(ninja) --quiet; fi

guests: build/build.ninja
	@tools/guests build/guests

run:
	@tools/setup run
	@$(MAKE) --no-print-directory build guests
	@tools/demo build

iso:
	@tools/setup run hv
	@$(MAKE) --no-print-directory build guests
	@tools/hv-demo build

run-hv: iso
	@tools/hv-run --iso build/batuta-hv.iso --memory 2048 $(if $(shell test -t 0 || echo no),--quiet --timeout 300 --until $(DEMO_IS_UP))

test:
	@tools/setup run test hv
	@tools/test-all

test-hv:
	@tools/setup run test hv
	@tools/test-all --only hv

check:
	@tools/setup run test
	@tools/check

asan:
	@tools/setup run test
	@tools/test-all --only asan

tsan:
	@tools/setup run test
	@tools/test-all --only tsan

fuzz:
	@tools/setup run test
	@tools/fuzz $(FUZZ_SECONDS)

diff:
	@tools/setup run test
	@$(MAKE) --no-print-directory build
	@tools/test-all --only diff

sched-sim:
	@tools/setup run test
	@tools/test-all --only sched

soak:
	@tools/setup run test
	@tools/test-all --only soak

bench:
	@tools/setup run test bench
	@$(MAKE) --no-print-directory build guests
	@bench/run $(BENCH)

bench-readme:
	@bench/run --readme

format:
	@tools/setup run test
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build/build.ninja
	@meson configure build -Dprefix=$(abspath $(PREFIX))
	@$(ninja) --quiet
	@DESTDIR=$(DESTDIR) meson install -C build --quiet

clean:
	@rm -rf build build-*
