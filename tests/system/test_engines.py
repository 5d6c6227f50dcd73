# SPDX-License-Identifier: GPL-2.0-or-later
"""What --engine auto takes, on hosts that forbid one thing or another: seccomp filters play them.

KVM is forbidden in all of them, so that its speed here does not matter.
"""

import ctypes
import json
import os
import struct

import pytest

from harness import STOPPED, Guest, batuta, build_selftest

LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06  # BPF: a 32-bit word, &= k, jump if == k, return
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARGUMENT = 0, [16 + 8 * n for n in range(6)]  # in struct seccomp_data
MMAP, IOCTL = 9, 16
KVM_GET_API_VERSION = 0xAE00
EXEC, SHARED, LOW = 4, 1, 0x40  # PROT_EXEC; MAP_SHARED, MAP_32BIT


def forbids(number, *conditions):
    """A system call whose arguments have all of these (index, bits, value) fails with EPERM."""
    code = [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 3 * len(conditions) + 1, number)]
    for i, (index, bits, value) in enumerate(conditions):
        left = 3 * (len(conditions) - i - 1) + 1
        code += [(LOAD, 0, 0, ARGUMENT[index]), (AND, 0, 0, bits), (EQUAL, 0, left, value)]
    return [*code, (RETURN, 0, 0, ERRNO | 1)]


NO_KVM = forbids(IOCTL, (1, 0xFFFFFFFF, KVM_GET_API_VERSION))
HOSTS = {
    "plain": [],
    "nothing below 2 GiB": forbids(MMAP, (3, LOW, LOW)),
    "nothing executable that is written elsewhere": forbids(MMAP, (2, EXEC, EXEC), (3, SHARED, SHARED)),
    "no 64 MiB that are executable": [line for size in (64 << 20, 128 << 20)
                                      for line in forbids(MMAP, (1, size, size), (2, EXEC, EXEC))],
}
PLAIN, NO_LOW, NO_SHARED, NO_64M = HOSTS


def seccomp(host):
    """For preexec_fn: from now on this process lives on such a host."""
    code = [*NO_KVM, *HOSTS[host], (RETURN, 0, 0, ALLOW)]
    text = b"".join(struct.pack("HBBI", *line) for line in code)
    libc = ctypes.CDLL(None, use_errno=True)
    kept = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(kept))

    def enter(_alive=kept):
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):  # NO_NEW_PRIVS, SECCOMP by a filter
            os._exit(99)

    return enter


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return build_selftest(tmp_path_factory.mktemp("kernel") / "selftest.elf")


def runs(kernel, engine, **kwargs):
    return batuta("run", "--kernel", kernel, "--append", "traps", "--debug-exit", "0xf4", "--memory", "64M", "--engine", engine,
                  timeout=60, **kwargs)


def engine_of(kernel, host):
    with Guest("--kernel", kernel, "--append", "traps", "--memory", "64M", "--paused", engine="auto", control=True,
               default_boot=False, preexec_fn=seccomp(host)) as guest:
        qmp = guest.qmp()
        engine = qmp.command("query-batuta-counters")["engine"]
        qmp.send("quit")
        assert guest.end() == STOPPED
        return engine


def examined(host):
    done = batuta("doctor", "--json", preexec_fn=seccomp(host))
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["kvm"]["verdict"] == "missing"
    return done.returncode, rows["engine"]


def test_the_translator_is_taken(kernel):
    done = runs(kernel, "auto", preexec_fn=seccomp(PLAIN))
    assert done.returncode == 0x21 and done.stderr == ""
    assert engine_of(kernel, PLAIN) == "bt"
    status, row = examined(PLAIN)
    assert status == 0 and row["verdict"] == "ok" and row["text"] == "bt"


def test_the_interpreter_if_it_must_be(kernel):
    """Where the translator cannot be, and that is said."""
    done = runs(kernel, "auto", preexec_fn=seccomp(NO_LOW))
    assert done.returncode == 0x21
    assert "interpreted" in done.stderr and "below 2 GiB" in done.stderr and done.stderr.count("\n") == 1
    assert engine_of(kernel, NO_LOW) == "interp"
    status, row = examined(NO_LOW)
    assert status == 0 and row["verdict"] == "poor" and row["text"].startswith("interp: bt") and "below 2 GiB" in row["text"]
    assert "slower" in row["cost"] and row["mend"]
    # Who asks for it gets it, or hears why not.
    assert runs(kernel, "interp", preexec_fn=seccomp(NO_LOW)).stderr == ""
    done = runs(kernel, "bt", preexec_fn=seccomp(NO_LOW))
    assert done.returncode == 1 and done.stderr.startswith("batuta: --engine bt: no executable memory below 2 GiB")


def test_a_smaller_code_cache(kernel):
    """A host that does not give 64 MiB makes it smaller; one that is asked for is never another."""
    options = ["--kernel", kernel, "--append", "traps", "--memory", "16M", "--paused"]
    with Guest(*options, engine="auto", control=True, default_boot=False, preexec_fn=seccomp(NO_64M)) as guest:
        counted = guest.qmp().command("query-batuta-counters")
        assert counted["engine"] == "bt" and 16 << 20 < counted["counters"]["cache"]["size"] <= 32 << 20, counted
    done = batuta("run", *options, "--code-cache", "64M", preexec_fn=seccomp(NO_64M))
    assert done.returncode == 1 and done.stderr.startswith("batuta: no executable memory below 2 GiB")


def test_no_engine(kernel):
    for engine in ("auto", "bt", "interp"):
        done = runs(kernel, engine, preexec_fn=seccomp(NO_SHARED))
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert done.stderr.startswith("batuta: ") and "no executable memory" in done.stderr, done.stderr
    status, row = examined(NO_SHARED)
    assert status == 1 and row["verdict"] == "missing" and "no executable memory" in row["text"]
