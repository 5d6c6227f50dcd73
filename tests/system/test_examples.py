# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of README.md, man/ and docs/formats/vm-file.md, run as they are written.

Each command has a row in HOW that says what comes of it; one without a row, and a row without a command, fail.
"""

import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, GUESTS, OFF, PATIENCE, STOPPED, TOP, Console, build_selftest

pytestmark = pytest.mark.xdist_group("examples")  # they forward the same port

NO_SUCH_TEST = 0x11 << 1 | 1  # what the kernel of our examples answers when nothing is appended


def fenced(path):
    """The shell commands of a Markdown file: continued lines joined, comments off."""
    for block in re.findall(r"^```\n(.*?)^```", (TOP / path).read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s+#.*", "", line)
            if line.strip():
                yield " ".join(line.split())


def displayed(path):
    """The commands between .EX and .EE of a manual page."""
    for block in re.findall(r"^\.EX\n(.*?)^\.EE", (TOP / path).read_text(), re.M | re.S):
        for line in block.splitlines():
            yield re.sub(r"\\(.)", r"\1", line)


COMMANDS = [*fenced("README.md"), *(c for page in ("batuta", "batuta-run", "batuta-doctor", "batuta-hv")
                                    for c in displayed(f"man/{page}.1"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the examples name."""
    f = tmp_path_factory.mktemp("examples")
    (f / "build").mkdir()
    for name in ("batuta", "batuta-vmm"):
        (f / "build" / name).symlink_to((BUILD / name).resolve())
    (f / "build" / "guests").symlink_to(GUESTS.resolve())
    for name in ("vmlinuz", "initrd.gz"):
        (f / name).symlink_to((GUESTS / name).resolve())
    for name in ("disk.img", "root.img", "data.img"):
        shutil.copyfile(GUESTS / "disk.img", f / name)
    build_selftest(f / "kernel.elf")
    shutil.copyfile(f / "kernel.elf", f / "init.elf")
    text = (TOP / "docs" / "formats" / "vm-file.md").read_text()
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    assert any(line.startswith("kernel") for line in lines)
    (f / "web.conf").write_text("\n".join(lines).replace("/srv/", f"{f}/") + "\n")
    return f


def environment(folder):
    return {**os.environ, "PATH": f"{folder / 'build'}:{os.environ['PATH']}"}


def start(folder, command):
    return Console(["bash", "-c", f"exec {command}"], cwd=folder, env=environment(folder))


def finish(folder, command, status=0):
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * PATIENCE)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


# ---- what comes of a command ----

def boots(folder, command):
    with start(folder, command) as vm:
        vm.boot()
        vm.type("poweroff\n")
        assert vm.end() == OFF


def answers(folder, command):
    """Our kernel says that it was told nothing, and ends the machine."""
    finish(folder, command, NO_SUCH_TEST)
    if "--log trace.txt" in command:
        for line in (folder / "trace.txt").read_text().splitlines():
            assert re.match(r"\d+\.\d{6} (engine|unassigned): ", line), line


def speaks(folder, command):
    """The same, without a port that would end it."""
    with start(folder, command) as vm:
        vm.wait_for("no such test")
        vm.process.send_signal(signal.SIGTERM)
        vm.wait_for("once more stops it")
        vm.process.send_signal(signal.SIGTERM)
        assert vm.end() == STOPPED


def examines(folder, command):
    assert "KVM" in finish(folder, command)


def goes_on(folder, command):
    """From the state that the manual's commands make."""
    with start(folder, "batuta run web.conf") as vm:
        vm.boot()
        vm.run("echo remembered >/tmp/memory")
        for line in displayed("man/batuta.1"):
            out = finish(folder, line)
            if "query-status" in line:
                assert "running" in out
            if "stats" in line:
                assert out.startswith("engine ")
            if "profile" in line:
                assert all(re.fullmatch(r"cpu\d+;.* \d+", text) for text in (folder / "web.folded").read_text().splitlines())
        assert vm.end() == STOPPED
    with start(folder, command) as vm:
        vm.type("\n")
        assert vm.run("cat /tmp/memory") == "remembered"
        vm.type("poweroff\n")
        assert vm.end() == OFF


def checks(folder, command):
    """The example of docs/formats/hv-file.md, with the modules that it names."""
    text = (TOP / "docs" / "formats" / "hv-file.md").read_text().split("\n## ")[0]
    (folder / "hv.conf").write_text("".join(f"{line[4:]}\n" for line in text.splitlines() if line.startswith("    ")))
    (folder / "boot").mkdir()
    for name in ("vmlinuz", "initrd.gz", "plc.elf"):
        (folder / "boot" / name).write_bytes(b"module")
    assert [line.split()[0] for line in finish(folder, command).splitlines()] == ["web", "control-loop"]


def tours(folder, command):
    """make run, from where everything is built."""
    out = finish(folder, f"{TOP}/tools/demo build")
    assert "The tour is over" in out


def elsewhere(folder, command):
    pass  # make test runs us; the others are nothing for a test


HOW = {
    r"git clone .*": elsewhere,
    r"make run": tours,
    r"make test": elsewhere,
    r"make bench": elsewhere,
    r"build/batuta run --kernel vmlinuz .*": boots,
    r"build/batuta run kernel\.elf": speaks,
    r"build/batuta doctor": examines,
    r"batuta (ctl|stats|profile) web\.sock.*": elsewhere,  # goes_on() runs them in their order
    r"batuta hv check hv\.conf .*": checks,
    r"batuta run --kernel vmlinuz .*": boots,
    r"batuta run web\.conf": boots,
    r"batuta run web\.conf --load web\.state": goes_on,
    r"batuta run --kernel kernel\.elf .*--debug-exit .*": answers,
    r"batuta run kernel\.elf --debug-exit .*": answers,
}


def how(command):
    return [pattern for pattern in HOW if re.fullmatch(pattern, command)]


@pytest.mark.parametrize("command", COMMANDS)
def test_example(folder, command):
    patterns = how(command)
    assert len(patterns) == 1, f"nothing says what comes of: {command}"
    HOW[patterns[0]](folder, command)


def test_every_row_has_an_example():
    used = {pattern for command in COMMANDS for pattern in how(command)}
    assert used == set(HOW)
