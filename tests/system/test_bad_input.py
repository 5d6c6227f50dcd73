# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad host input: one clear line that names the thing, a status that is not 0, and nothing left behind."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import termios
import time

import pytest

import images
from harness import BUILD, ENGINE, GUESTS, PATIENCE, TOP, Guest, Qmp, batuta, build_selftest

LINE_MAX = 400
DEBRIS = re.compile(r"Sanitizer|runtime error|Assertion|Traceback|terminate called|Segmentation|core dumped")


class Box:
    """A folder of its own, in which things can be made that batuta is then given."""

    def __init__(self, folder, kernel):
        self.folder = folder
        self.kernel = kernel
        self.sockets = []

    def path(self, name):
        return self.folder / name

    def file(self, name, content=b""):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def sparse(self, name, size):
        path = self.folder / name
        with open(path, "wb") as f:
            f.truncate(size)
        return path

    def directory(self, name, mode=0o755):
        path = self.folder / name
        path.mkdir(mode=mode)
        return path

    def listener(self, family=socket.AF_INET, address=("127.0.0.1", 0)):
        s = socket.socket(family)
        s.bind(address)
        s.listen()
        self.sockets.append(s)
        return s.getsockname()

    def programs(self):
        """Copies of the programs where everybody can reach them: the build may lie in root's home."""
        folder = self.directory("programs", 0o755)
        for name in ("batuta", "batuta-vmm"):
            shutil.copy(BUILD / name, folder)
        return folder

    def close(self):
        for s in self.sockets:
            s.close()


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """A good kernel, that ends at once with status 0x21."""
    return build_selftest(tmp_path_factory.mktemp("kernel") / "selftest.elf")


@pytest.fixture
def box(tmp_path, kernel):
    b = Box(tmp_path, kernel)
    yield b
    b.close()


def good(box):
    return ["--kernel", box.kernel, "--append", "traps", "--debug-exit", "0xf4", "--memory", "64M", "--engine", ENGINE]


def command(arguments, programs=BUILD):
    return [str(a) for a in [programs / "batuta", "run", *arguments]]


def allow_core():
    """So that a crash would leave one behind, to be found."""
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def one_clear_line(text, words):
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, f"not one line but {len(lines)}:\n{text}"
    line = lines[0]
    assert line.startswith(("batuta: ", "batuta ctl: ", "batuta doctor: ", "batuta stats: ", "batuta profile: ",
                            "batuta code: ")), line
    assert len(line) <= LINE_MAX, line
    assert not DEBRIS.search(line), line
    for word in words:
        assert str(word).lower() in line.lower(), f"'{word}' is not in: {line}"


def complains(box, arguments, words, prefix=(), limits=allow_core):
    programs = box.programs() if prefix else BUILD
    before = {str(p) for p in box.folder.rglob("*")}
    done = subprocess.run([*prefix, *command(arguments, programs)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=60 * PATIENCE, cwd=box.folder, preexec_fn=limits)
    assert done.returncode > 0, f"status {done.returncode}: {done.stderr}"
    one_clear_line(done.stderr, words)
    assert done.stdout == ""
    assert {str(p) for p in box.folder.rglob("*")} == before, "left behind in the folder"


# ---- kernels and what goes with them ----

def vmlinuz():
    return (GUESTS / "vmlinuz").read_bytes()


def with_kernel(content, *more):
    return lambda b: ["--engine", ENGINE, "--memory", "64M", "--kernel",
                      b.file("kernel", content() if callable(content) else content), *more]


MIB = 1 << 20
KERNELS = {
    "missing": (lambda b: ["--kernel", b.path("nowhere")], ["nowhere", "no such file"]),
    "directory": (lambda b: ["--kernel", b.directory("folder")], ["folder", "directory"]),
    "empty": (with_kernel(b""), ["kernel", "empty"]),
    "text": (with_kernel(b"#!/bin/sh\necho no kernel\n"), ["kernel", "not a kernel"]),
    "zeroes": (with_kernel(bytes(MIB)), ["kernel", "not a kernel"]),
    "gzip": (with_kernel(b"\x1f\x8b\x08" + bytes(1000)), ["kernel", "not a kernel"]),
    "socket": (lambda b: ["--kernel", b.listener(socket.AF_UNIX, str(b.path("s"))) and b.path("s")], ["/s"]),
    "device": (lambda b: ["--kernel", "/dev/null"], ["/dev/null"]),
    "huge": (lambda b: [*good(b)[2:], "--kernel", b.sparse("kernel", 1 << 42)], ["kernel"]),
    # Linux
    "bzimage-header-cut": (with_kernel(lambda: vmlinuz()[:0x204]), ["kernel"]),
    "bzimage-setup-cut": (with_kernel(lambda: vmlinuz()[:0x1000]), ["kernel", "truncated"]),
    "bzimage-half": (with_kernel(lambda: vmlinuz()[:3 * MIB]), ["kernel", "truncated"]),
    "bzimage-magic": (with_kernel(lambda: images.patched(vmlinuz(), 0x202, "I", 0x12345678)), ["kernel"]),
    "bzimage-old": (with_kernel(lambda: images.patched(vmlinuz(), 0x206, "H", 0x0100)), ["kernel", "protocol"]),
    "bzimage-zimage": (with_kernel(lambda: images.patched(vmlinuz(), 0x211, "B", 0)), ["kernel", "zImage"]),
    "bzimage-setup-size": (with_kernel(lambda: images.patched(vmlinuz()[:0x8000], 0x1f1, "B", 0xff)),
                           ["kernel", "truncated"]),
    "bzimage-init-size": (with_kernel(lambda: images.patched(vmlinuz(), 0x260, "I", 0xffffffff)), ["kernel"]),
    "bzimage-command-line": (with_kernel(vmlinuz, "--memory", "256M", "--append", "x" * 5000), ["command line"]),
    "bzimage-memory": (lambda b: ["--engine", ENGINE, "--memory", "8M", "--kernel", GUESTS / "vmlinuz"], ["memory"]),
    # ELF
    "elf-header-cut": (with_kernel(lambda: images.elf()[:40]), ["kernel", "truncated"]),
    "elf-segment-cut": (with_kernel(lambda: images.elf([(MIB, bytes(8192))])[:-4096]), ["kernel", "truncated"]),
    "elf-no-segments": (with_kernel(lambda: images.elf([])), ["kernel", "program headers"]),
    "elf-program-headers-nowhere": (with_kernel(lambda: images.elf(phoff=1 << 60)), ["kernel", "truncated"]),
    "elf-program-headers-many": (with_kernel(lambda: images.elf(phnum=0xffff)), ["kernel", "65535"]),
    "elf-program-header-size": (with_kernel(lambda: images.elf(phentsize=3)), ["kernel", "corrupt"]),
    "elf-arm": (with_kernel(lambda: images.elf(machine=183)), ["kernel", "another processor"]),
    "elf-big-endian": (with_kernel(lambda: images.elf(data=2)), ["kernel", "not a kernel"]),
    "elf-relocatable": (with_kernel(lambda: images.elf(kind=1)), ["kernel", "executable"]),
    "elf-beyond-memory": (with_kernel(lambda: images.elf([(1 << 30, images.HLT)])), ["kernel", "0x40000000"]),
    "elf-in-device-memory": (with_kernel(lambda: images.elf([(0xfee00000, images.HLT)])), ["kernel", "0xfee00000"]),
    "elf-in-rom": (with_kernel(lambda: images.elf([(0xa0000, images.HLT)])), ["kernel", "0xa0000"]),
    "elf-wraps": (with_kernel(lambda: images.elf([((1 << 64) - 2, images.HLT)])), ["kernel", "wraps"]),
    "elf-overlaps": (with_kernel(lambda: images.elf([(MIB, bytes(8192)), (MIB + 4096, bytes(8192))])),
                     ["kernel", "0x101000"]),
    "elf-larger-in-file": (with_kernel(lambda: images.elf(sizes={0: (4, 2, 0x1000)})), ["kernel", "corrupt"]),
    "elf-huge-in-memory": (with_kernel(lambda: images.elf(sizes={0: (4, 1 << 62, 0x1000)})), ["kernel"]),
    "elf-no-pvh": (with_kernel(lambda: images.elf(), "--kernel-format", "pvh"), ["kernel", "pvh"]),
    "elf-as-linux": (with_kernel(lambda: images.elf(), "--kernel-format", "linux"), ["kernel", "linux"]),
    # multiboot
    "multiboot1-checksum": (with_kernel(lambda: images.multiboot1(checksum=1), "--kernel-format", "multiboot1"),
                            ["kernel", "multiboot"]),
    "multiboot1-unknown-feature": (with_kernel(lambda: images.multiboot1(flags=0x8000)), ["kernel", "0x8000"]),
    "multiboot1-address-order": (
        with_kernel(lambda: images.multiboot1(0x10000, addresses=(MIB, 2 * MIB, 3 * MIB, 4 * MIB, MIB))),
        ["kernel", "multiboot"]),
    "multiboot1-load-beyond-file": (
        with_kernel(lambda: images.multiboot1(0x10000, addresses=(MIB, MIB, 9 * MIB, 9 * MIB, MIB))),
        ["kernel", "truncated"]),
    "multiboot2-checksum": (with_kernel(lambda: images.multiboot2(checksum=7), "--kernel-format", "multiboot2"),
                            ["kernel", "multiboot"]),
    "multiboot2-short-tag": (
        with_kernel(lambda: images.patched(images.multiboot2([(4, 0, bytes(16)), (0, 0, b"")]), 0x1014, "I", 3)),
        ["kernel", "tag"]),
    "multiboot2-endless-tags": (with_kernel(lambda: images.multiboot2([(6, 0, b"")])), ["kernel", "tags"]),
    "multiboot2-unknown-tag": (with_kernel(lambda: images.multiboot2([(77, 0, b""), (0, 0, b"")])),
                               ["kernel", "multiboot 2", "requires"]),
    "multiboot2-length": (with_kernel(lambda: images.multiboot2(length=1 << 30), "--kernel-format", "multiboot2"),
                          ["kernel", "multiboot"]),
    # further files
    "initrd-missing": (lambda b: [*good(b), "--initrd", b.path("nowhere")], ["nowhere", "no such file"]),
    "initrd-empty": (lambda b: [*good(b), "--initrd", b.file("initrd")], ["initrd", "empty"]),
    "initrd-too-large": (lambda b: ["--engine", ENGINE, "--memory", "128M", "--kernel", GUESTS / "vmlinuz", "--initrd",
                                    b.sparse("initrd", 120 * MIB)], ["initrd", "memory"]),
    "module-too-large": (lambda b: [*good(b), "--initrd", b.sparse("module", 100 * MIB)], ["module", "memory"]),
    "load-missing": (lambda b: [*good(b), "--load", b.path("nowhere")], ["nowhere"]),
    "load-empty": (lambda b: [*good(b), "--load", b.file("state")], ["state"]),
    "load-garbage": (lambda b: [*good(b), "--load", b.file("state", os.urandom(100000))], ["state"]),
}

# ---- options ----

OPTIONS = {
    "nothing": (lambda b: [], ["--kernel"]),
    "unknown-option": (lambda b: [*good(b), "--memroy", "1G"], ["--memroy", "--memory"]),
    "short-option": (lambda b: [*good(b), "-m", "1G"], ["-m"]),
    "value-missing": (lambda b: [*good(b), "--cpus"], ["--cpus", "missing"]),
    "two-words": (lambda b: [*good(b), b.file("a", "cpus = 1\n"), b.file("b", "cpus = 1\n")], ["one description"]),
    "memory-zero": (lambda b: [*good(b), "--memory", "0"], ["--memory", "0"]),
    "memory-word": (lambda b: [*good(b), "--memory", "lots"], ["--memory", "lots"]),
    "memory-negative": (lambda b: [*good(b), "--memory", "-5M"], ["--memory"]),
    "memory-odd": (lambda b: [*good(b), "--memory", "1025K"], ["--memory"]),
    "memory-unit": (lambda b: [*good(b), "--memory", "5X"], ["--memory", "5X"]),
    "memory-too-big": (lambda b: [*good(b), "--memory", "250G"], ["--memory", "more than this machine has"]),
    "memory-huge": (lambda b: [*good(b), "--memory", "99999999999999999999G"], ["--memory"]),
    "cpus-zero": (lambda b: [*good(b), "--cpus", "0"], ["--cpus", "1 to 64"]),
    "cpus-many": (lambda b: [*good(b), "--cpus", "65"], ["--cpus", "1 to 64"]),
    "cpus-word": (lambda b: [*good(b), "--cpus", "abc"], ["--cpus", "abc"]),
    "cpu-unknown": (lambda b: [*good(b), "--cpu", "z80"], ["z80", "v2"]),
    "code-cache-small": (lambda b: [*good(b), "--engine", "bt", "--code-cache", "64K"], ["--code-cache", "1M to 512M"]),
    "code-cache-large": (lambda b: [*good(b), "--engine", "bt", "--code-cache", "513M"], ["--code-cache", "1M to 512M"]),
    "code-cache-of-none": (lambda b: [*good(b), "--engine", "interp", "--code-cache", "8M"], ["--code-cache", "bt"]),
    "perf-map-of-none": (lambda b: [*good(b), "--engine", "interp", "--perf-map"], ["--perf-map", "bt"]),
    "symbols-for-nothing": (lambda b: [*good(b), "--guest-symbols", b.file("map", "0 t x")], ["--guest-symbols", "--perf-map"]),
    "symbols-missing": (lambda b: [*good(b), "--engine", "bt", "--perf-map", "--guest-symbols", b.path("none")],
                        ["--guest-symbols", "none"]),
    "symbols-garbage": (lambda b: [*good(b), "--engine", "bt", "--perf-map", "--guest-symbols",
                                   b.file("map", os.urandom(10000))], ["--guest-symbols", "System.map"]),
    "stop-at-uncounted": (lambda b: [*good(b), "--stop-at", "5"], ["--stop-at", "--icount"]),
    "stop-at-for-nobody": (lambda b: [*good(b), "--icount", "--stop-at", "5"], ["--stop-at", "--control"]),
    "stop-at-zero": (lambda b: [*good(b), "--icount", "--stop-at", "0"], ["--stop-at"]),
    "engine-unknown": (lambda b: [*good(b), "--engine", "steam"], ["steam", "interp"]),
    "trace-unknown": (lambda b: [*good(b), "--trace", "nonsense"], ["nonsense", "--trace"]),
    "format-unknown": (lambda b: [*good(b), "--kernel-format", "aout"], ["aout"]),
    "debug-exit-range": (lambda b: [*good(b), "--debug-exit", "0x12345"], ["--debug-exit"]),
    "name-with-slash": (lambda b: [*good(b), "--name", "a/b"], ["--name"]),
    "config-missing": (lambda b: [b.path("nowhere.vm")], ["nowhere.vm"]),
    "config-binary": (lambda b: [b.file("vm", os.urandom(5000))], ["vm", "not a description"]),
    "config-key": (lambda b: [b.file("vm", "kernel = /k\nmemroy = 1G\n")], ["vm:2", "memroy"]),
    "config-line": (lambda b: [b.file("vm", "what is this\n")], ["vm:1", "what is this"]),
    "config-value": (lambda b: [b.file("vm", "\n\ncpus = many\n")], ["vm:3", "many"]),
}

# ---- disks, networks, consoles ----

DEVICES = {
    "disk-missing": (lambda b: [*good(b), "--disk", b.path("nowhere.img")], ["nowhere.img", "no such file"]),
    "disk-no-name": (lambda b: [*good(b), "--disk", ",ro"], ["--disk"]),
    "disk-empty": (lambda b: [*good(b), "--disk", b.file("d.img")], ["d.img", "empty"]),
    "disk-directory": (lambda b: [*good(b), "--disk", b.directory("folder")], ["folder", "directory"]),
    "disk-odd-size": (lambda b: [*good(b), "--disk", str(b.sparse("d.img", 1000)) + ",format=raw"], ["d.img", "512"]),
    "disk-format": (lambda b: [*good(b), "--disk", str(b.sparse("d.img", MIB)) + ",format=vhd"], ["vhd"]),
    "disk-setting": (lambda b: [*good(b), "--disk", str(b.sparse("d.img", MIB)) + ",size=3"], ["size"]),
    "disk-serial": (lambda b: [*good(b), "--disk", str(b.sparse("d.img", MIB)) + ",serial=" + "x" * 21], ["serial"]),
    "disk-twice": (lambda b: [*good(b), "--disk", b.sparse("d.img", MIB), "--disk", b.path("d.img")], ["twice"]),
    "disk-other-name-twice": (lambda b: [*good(b), "--disk", b.sparse("d.img", MIB), "--disk",
                                         b.folder / "." / ".." / b.folder.name / "d.img"], ["d.img"]),
    "disk-console": (lambda b: [*good(b), "--disk", "/dev/null"], ["/dev/null"]),
    "net-unknown": (lambda b: [*good(b), "--net", "carrier-pigeon"], ["carrier-pigeon", "user"]),
    "net-setting": (lambda b: [*good(b), "--net", "user,speed=fast"], ["speed"]),
    "net-mac": (lambda b: [*good(b), "--net", "user,mac=12:34"], ["12:34"]),
    "net-multicast": (lambda b: [*good(b), "--net", "user,mac=01:00:5e:00:00:01"], ["multicast"]),
    "hostfwd-syntax": (lambda b: [*good(b), "--net", "user,hostfwd=2222:22"], ["2222:22"]),
    "hostfwd-port": (lambda b: [*good(b), "--net", "user,hostfwd=tcp:99999-:22"], ["99999"]),
    "hostfwd-in-use": (lambda b: [*good(b), "--net", f"user,hostfwd=tcp:127.0.0.1:{b.listener()[1]}-:22"],
                       ["port", "in use"]),
    "hostfwd-foreign-address": (lambda b: [*good(b), "--net", "user,hostfwd=tcp:192.0.2.1:2222-:22"], ["192.0.2.1"]),
    "tap-missing": (lambda b: [*good(b), "--net", "tap=nosuchtap0"], ["nosuchtap0"]),
    "tap-long": (lambda b: [*good(b), "--net", "tap=" + "x" * 40], ["15"]),
    "console-unknown": (lambda b: [*good(b), "--console", "teletype"], ["teletype", "stdio"]),
    "console-folder-missing": (lambda b: [*good(b), "--console", f"unix:{b.path('no')}/s"], ["no/s", "no such file"]),
    "console-file-folder-missing": (lambda b: [*good(b), "--console", f"file:{b.path('no')}/f"], ["no/f"]),
    "console-not-a-socket": (lambda b: [*good(b), "--console", f"unix:{b.file('f', b'x')}"], ["/f", "not a socket"]),
    "console-stdio-twice": (lambda b: [*good(b), "--console", "stdio", "--console", "stdio"], ["stdio"]),
    "control-too-long": (lambda b: [*good(b), "--control", b.path("x" * 120)], ["xxx", "at most"]),
    "control-in-use": (lambda b: [*good(b), "--control", b.listener(socket.AF_UNIX, str(b.path("s")))],
                       ["/s", "in use"]),
    "control-folder-missing": (lambda b: [*good(b), "--control", b.path("no") / "s"], ["no/s"]),
    "control-is-a-file": (lambda b: [*good(b), "--control", b.file("f", b"precious")], ["/f", "not a socket"]),
    "log-folder-missing": (lambda b: [*good(b), "--log", b.path("no") / "log"], ["no/log"]),
    "log-is-directory": (lambda b: [*good(b), "--log", b.directory("folder")], ["folder"]),
    "debugcon-folder-missing": (lambda b: [*good(b), "--debugcon", b.path("no") / "f"], ["no/f"]),
}

TABLE = {**KERNELS, **OPTIONS, **DEVICES}


@pytest.mark.parametrize("name", TABLE)
def test_bad_input(box, name):
    arguments, words = TABLE[name]
    complains(box, arguments(box), words)


def test_enough_bad_input():
    assert len(TABLE) >= 45


# ---- what needs more of the host than arguments ----

def test_the_good_kernel_is_good(box):
    done = subprocess.run(command(good(box)), stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * PATIENCE)
    assert done.returncode == 0x21, done.stderr


def as_nobody():
    """A prefix that runs a command as nobody, where that is possible."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*prefix, BUILD / "batuta", "version"], capture_output=True).returncode:
        pytest.skip("nobody may not run the programs under test where they lie")
    return prefix


def reachable(path):
    for folder in [path, *path.parents]:
        with contextlib.suppress(PermissionError):
            if str(folder).startswith("/tmp/"):
                folder.chmod(folder.stat().st_mode | 0o055)


@pytest.mark.parametrize("option", ["--kernel", "--disk", "--initrd", "--load"])
def test_unreadable_file(box, option):
    prefix = as_nobody()
    reachable(box.folder)
    reachable(box.kernel.parent)
    secret = box.sparse("secret", MIB)
    secret.chmod(0)
    arguments = ["--kernel", secret] if option == "--kernel" else [*good(box), option, secret]
    complains(box, arguments, ["secret", "permission"], prefix)


def test_unwritable_folder_for_control(box):
    prefix = as_nobody()
    reachable(box.folder)
    reachable(box.kernel.parent)
    folder = box.directory("folder", 0o555)
    complains(box, [*good(box), "--control", folder / "s"], ["folder/s", "permission"], prefix)


def test_kvm_without_access(box):
    kvm = pathlib.Path("/dev/kvm")
    prefix = as_nobody() if not kvm.exists() or os.access(kvm, os.W_OK) else []
    if kvm.exists() and kvm.stat().st_mode & 0o006:
        pytest.skip("everybody may use this machine's /dev/kvm")
    reachable(box.kernel.parent)
    reachable(box.folder)
    complains(box, [*good(box), "--engine", "kvm"], ["--engine kvm", "/dev/kvm"], prefix)


def is_sanitized():
    return b"__asan_" in (BUILD / "batuta-vmm").read_bytes() or b"__tsan_" in (BUILD / "batuta-vmm").read_bytes()


@pytest.mark.parametrize("megabytes", [64, 160, 600])
def test_no_memory(box, megabytes):
    if is_sanitized():
        pytest.skip("a sanitizer needs its address space")

    def limit():
        allow_core()
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MIB, megabytes * MIB))

    complains(box, [*good(box), "--memory", "1G"], ["memory"], limits=limit)


def test_file_size_limit(box):
    """ulimit -f, which guest memory is subject to as well; not the signal's death."""
    def limit():
        allow_core()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 * MIB, 20 * MIB))

    complains(box, good(box), ["memory"], limits=limit)


def test_disk_beyond_the_file_size_limit(box):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 * MIB, 300 * MIB))

    disk = box.sparse("d.img", 400 * MIB)
    with Guest("--memory", "256M", "--disk", disk, preexec_fn=limit) as guest:
        guest.boot()
        assert "rror" in guest.run("dd if=/dev/zero of=/dev/vda bs=1M seek=320 count=4 oflag=direct 2>&1", check=False)
        assert guest.run("echo still here") == "still here"


def test_no_descriptors(box):
    def limit():
        allow_core()
        resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))

    complains(box, [*good(box), "--disk", box.sparse("d.img", MIB)], ["batuta"], limits=limit)


def endless(box):
    """A guest that says a word and goes on for ever."""
    out = box.path("endless.elf")
    folder = TOP / "tests" / "guest"
    subprocess.run([folder / "kernel" / "build", out, *sorted((folder / "hostile").glob("*.c"))], check=True)
    return ["--kernel", out, "--append", "halt_forever", "--memory", "16M"]


@contextlib.contextmanager
def running(box, *options):
    """A VM that goes on for ever, as others find it."""
    with Guest(*endless(box), *options, default_boot=False, control=True) as vm:
        vm.qmp().command("query-status")
        yield vm


def test_disk_in_use(box):
    disk = box.sparse("d.img", MIB)
    with running(box, "--disk", disk):
        complains(box, [*good(box), "--disk", disk], ["d.img", "in use"])
        complains(box, [*good(box), "--disk", f"{disk},ro"], ["d.img", "in use"])
        complains(box, [*good(box), "--disk", disk, "--snapshot"], ["d.img", "in use"])
    with running(box, "--disk", f"{disk},ro"):
        complains(box, [*good(box), "--disk", disk], ["d.img", "in use"])
        done = subprocess.run(command([*good(box), "--disk", f"{disk},ro"]), stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 0x21 # two readers are no harm


def test_control_of_a_running_vm(box):
    with running(box) as vm:
        complains(box, [*good(box), "--control", vm.control], [vm.control, "in use"])
        assert vm.qmp().command("query-status")["status"] == "running"


def test_console_socket_of_a_running_vm(box):
    path = box.path("console")
    with running(box, "--console", f"unix:{path}"):
        complains(box, [*good(box), "--console", f"unix:{path}"], [path, "in use"])


def test_sockets_are_removed(box):
    control, console = box.path("control"), box.path("console")
    arguments = [*good(box), "--control", control, "--console", f"unix:{console}"]
    assert subprocess.run(command(arguments), stdin=subprocess.DEVNULL, timeout=60).returncode == 0x21
    assert not control.exists() and not console.exists()
    # A killed VM's are in nobody's way.
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(control))
    s.close()
    assert subprocess.run(command(arguments), stdin=subprocess.DEVNULL, timeout=60).returncode == 0x21


@pytest.mark.parametrize("option", ["--kernel", "--initrd", "--load"])
def test_waiting_for_a_pipe(box, option):
    """A pipe whose writer never comes, or stops: the wait can be ended."""
    fifo = box.path("fifo")
    os.mkfifo(fifo)
    arguments = [option, fifo] if option == "--kernel" else [*good(box), option, fifo]
    for write in (False, True):
        process = subprocess.Popen(command(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        if write:
            writer = os.open(fifo, os.O_WRONLY)
            os.write(writer, b"BATUTA-STATE")
        time.sleep(0.5 * PATIENCE)
        assert process.poll() is None
        process.terminate()
        assert process.wait(10 * PATIENCE) != 0
    os.close(writer)


def test_save_replaces_only_files(box):
    fifo = box.path("fifo")
    os.mkfifo(fifo)
    complains(box, [*endless(box), "--engine", "interp", "--console", "none", "--save", fifo, "--save-at-ns", "1000000"],
              ["fifo", "not a file"])
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_killed_while_saving(box):
    """Whole or not there, and nothing beside it, whenever it is killed."""
    saved = box.folder / "saved"
    arguments = [*endless(box), "--engine", "interp", "--console", "none", "--save", saved, "--save-at-ns", "1000000"]
    before = set(box.folder.iterdir())
    for i in range(20):
        process = subprocess.Popen(command(arguments), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.003 * i)
        process.kill()
        process.wait()
        process.stderr.read() # to its end: the VM is gone, too
        assert set(box.folder.iterdir()) - before <= {saved}


def test_one_of_many_gets_the_socket(box):
    """Even where a killed VM left one behind, which all of them find."""
    control = box.path("control")
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(control))
    s.close()
    arguments = command([*endless(box), "--console", "none", "--control", control])
    started = [subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
    try:
        end = time.monotonic() + 20 * PATIENCE
        while sum(p.poll() is None for p in started) > 1 and time.monotonic() < end:
            time.sleep(0.05)
        Qmp(control)
        assert sum(p.poll() is None for p in started) == 1
    finally:
        for p in started:
            p.kill()
            p.wait()


def test_file_size_limit(box):
    """What would exceed it fails; that kills nobody."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 * MIB, 16 * MIB))

    arguments = [*good(box), "--memory", "16M", "--log", box.sparse("log", 16 * MIB), "--trace", "all"]
    done = subprocess.run(command(arguments), stdin=subprocess.DEVNULL, timeout=60 * PATIENCE, preexec_fn=limit)
    assert done.returncode == 0x21


# ---- descriptors that are closed, or close ----

@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_descriptors(box, closed):
    """The guest goes on and its status comes through; no file of ours may take the descriptor's place."""
    precious = box.file("d.img", bytes(MIB))

    def close():
        for fd in closed:
            os.close(fd)

    done = subprocess.run(command([*good(box), "--disk", precious]), preexec_fn=close, timeout=60 * PATIENCE)
    assert done.returncode == 0x21
    assert precious.read_bytes() == bytes(MIB)


def linux(*more):
    """A guest that talks."""
    return command(["--engine", ENGINE, "--memory", "128M", "--kernel", GUESTS / "vmlinuz", "--append",
                    "console=ttyS0 earlyprintk=ttyS0", *more])


def test_output_closes():
    process = subprocess.Popen(linux(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(100)
    process.stdout.close()
    _, err = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 1
    one_clear_line(err.decode(), ["console is lost"])


def test_terminal_closes():
    master, slave = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(linux(), stdin=slave, stdout=slave, stderr=subprocess.PIPE, preexec_fn=own_terminal)
    os.close(slave)
    os.read(master, 100)
    os.close(master)
    _, err = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 1
    lines = [line for line in err.decode().splitlines() if "Ctrl-]" not in line and line.strip()]
    one_clear_line("\n".join(lines), ["console is lost"])


@pytest.mark.parametrize("numbers", [[signal.SIGTERM] * 2, [signal.SIGABRT], [signal.SIGUSR1], [signal.SIGALRM],
                                     [signal.SIGXCPU]])
def test_terminal_is_restored(numbers):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    def own_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(linux(), stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, preexec_fn=own_terminal)
    os.read(master, 100)
    assert termios.tcgetattr(slave) != before
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    assert process.wait(60 * PATIENCE) != 0
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


# ---- storage that fails under a running guest ----

@contextlib.contextmanager
def small_file_system(folder, size):
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "batuta-test", folder],
                                      capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_storage_fails_under_the_guest(tmp_path):
    """A full file system, a disk that becomes shorter, a log without room: the guest gets EIO, its VMM lives."""
    short = tmp_path / "short.img"
    short.write_bytes(b"x" * (16 * MIB))
    with small_file_system(tmp_path / "full", "4m") as full:
        disk = full / "disk.img"
        with open(disk, "wb") as f:
            f.truncate(64 * MIB)
        with Guest("--memory", "256M", "--disk", disk, "--disk", short, "--log", full / "log", "--trace", "virtio,block",
                   control=True) as guest:
            guest.boot()
            assert "rror" in guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=32 oflag=direct 2>&1", check=False)
            assert guest.run("dd if=/dev/zero of=/dev/vdb bs=4k count=1 oflag=direct 2>&1 && echo fine").endswith("fine")
            os.truncate(short, 4096)
            assert "rror" in guest.run("dd if=/dev/vdb of=/dev/null bs=64k skip=64 iflag=direct 2>&1", check=False)
            assert guest.run("echo still here") == "still here"
            assert guest.qmp().command("query-status")["status"] == "running"
            guest.type("poweroff -f\n")
            assert guest.end() == 0


# ---- the other commands ----

@pytest.mark.parametrize("arguments", [["help"], ["help", "run"], ["help", "doctor"], ["help", "ctl"], ["--help"],
                                       ["stats", "--help"], ["profile", "-h"], ["help", "profile"], ["help", "code"],
                                       ["run", "--help"], ["doctor", "--help"], ["ctl", "--help"], ["run", "-h"],
                                       ["run", "--memory", "lots", "--help"]])
def test_help(arguments):
    done = batuta(*arguments)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("Usage: batuta ")


@pytest.mark.parametrize("arguments, status, words", [
    (["rnu"], 2, ["rnu", "run"]),
    (["help", "rnu"], 2, ["rnu", "run"]),
    (["doctor", "--jsn"], 2, ["--jsn", "--json"]),
    (["ctl", "nowhere.sock", "query-status"], 1, ["nowhere.sock", "--control"]),
    (["ctl", "/dev/null", "query-status"], 1, ["/dev/null", "is not a socket", "--control"]),
    (["stats", "nowhere.sock"], 1, ["nowhere.sock", "--control"]),
    (["code", "nowhere.sock", "0x1000"], 1, ["nowhere.sock", "--control"]),
    (["profile", "nowhere.sock"], 1, ["nowhere.sock", "--control"]),
    (["stats", ""], 1, ["empty", "--control"]),
    (["stats", "--json"], 2, ["--control"]),
    (["stats", "nowhere.sock", "--xml"], 2, ["--xml", "--json"]),
    (["code", "nowhere.sock", "here"], 2, ["'here'", "hexadecimal"]),
    (["code", "nowhere.sock", "10000000000000000"], 2, ["'10000000000000000'"]),
    (["profile", "nowhere.sock", "--rate", "0"], 2, ["--rate '0'", "1 to 1000"]),
    (["profile", "nowhere.sock", "--seconds", "long"], 2, ["--seconds 'long'"]),
    (["profile", "nowhere.sock", "--seconds"], 2, ["--seconds", "value"]),
    (["profile", "nowhere.sock", "--bogus"], 2, ["--bogus"]),
    (["profile", "--idle"], 2, ["--control"]),
    (["profile", "nowhere.sock", "more"], 2, ["'more'"]),
    (["profile", "nowhere.sock", "--symbols", "/dev/null,zz"], 2, ["'zz'"]),
    (["profile", "nowhere.sock", "--symbols", "/tmp"], 2, ["/tmp", "directory"]),
    (["profile", "nowhere.sock", "--symbols", "nothing"], 2, ["--symbols", "nothing"]),
    (["profile", "nowhere.sock", "--symbols", "/dev/null"], 2, ["/dev/null", "System.map"]),
    (["ctl", "/" + "x" * 200, "query-status"], 1, ["too long"]),
])
def test_wrong_command(tmp_path, arguments, status, words):
    done = batuta(*arguments, cwd=tmp_path)
    assert done.returncode == status and done.stdout == ""
    one_clear_line(done.stderr, words)


def test_ctl_of_a_silent_socket(box):
    """Somebody else's socket, a console's say, never greets."""
    box.listener(socket.AF_UNIX, str(box.path("s")))
    done = batuta("ctl", box.path("s"), "query-status")
    assert done.returncode == 1
    one_clear_line(done.stderr, ["/s", "QMP"])
