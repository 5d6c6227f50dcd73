# SPDX-License-Identifier: GPL-2.0-or-later
"""The hypervisor at boot says of its configuration what `batuta hv check` says on the host, and no more."""

import pathlib
import re
import shutil
import subprocess

import pytest

import harness
from test_hv_check import WRONG

HV = harness.BUILD / "batuta-hv"

pytestmark = pytest.mark.skipif(not HV.exists() or not shutil.which("qemu-system-x86_64"), reason="no batuta-hv or no QEMU here")


def whole_file(cases):
    """Wrong VMs, each with a name of its own, and two right ones around them."""
    texts = [re.sub(r"^\[vm x", f"[vm x{i}", text) for i, text in enumerate(cases)]
    return "[vm first]\nkernel = k\nmemory = 16M\n" + "\n".join(texts) + "\n[vm last]\nkernel = k\nmemory = 16M\n"


def checked(folder):
    done = subprocess.run([harness.BUILD / "batuta", "hv", "check", "batuta-hv.conf", "--modules", ".", "--cpus", "2"], cwd=folder,
                          capture_output=True, text=True, timeout=20 * harness.PATIENCE)
    assert done.returncode in (0, 1)
    return done.stderr.splitlines()


def boot(folder, *args, timeout=60, status=0):
    modules = [arg for name in ("batuta-hv.conf", "k") for arg in ("--module", f"{folder / name} {name}")]
    done = subprocess.run([harness.TOP / "tools" / "hv-run", "--quiet", "--smp", "2", "--timeout", str(timeout * harness.PATIENCE),
                           "--until", r"\] ready", *args, *modules, HV], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def booted(folder):
    done = boot(folder)
    return re.findall(r"^\[ *\d+\.\d+\] (?:[a-z]+: )?(batuta-hv\.conf:.*?)\r?$", done.stdout, re.M)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "k").write_bytes(b"no kernel at all")
    return tmp_path


ONE_VM = [text for text, _, _ in WRONG if text.count("[vm") == 1 and text.startswith("[vm x]")]
OTHERS = [text for text, _, _ in WRONG if not text.startswith(("[vm", "[nic 1]"))]  # there is no card: a line more


@pytest.mark.parametrize("cases", [ONE_VM[:len(ONE_VM) // 2], ONE_VM[len(ONE_VM) // 2:] + OTHERS, ONE_VM + OTHERS],
                         ids=["half", "rest", "more than 64"])
def test_same_lines(folder, cases):
    pathlib.Path(folder / "batuta-hv.conf").write_text(whole_file(cases))
    expected = checked(folder)
    assert len(expected) >= min(len(cases) - 4, 60)
    assert booted(folder) == expected


def test_right(folder):
    (folder / "batuta-hv.conf").write_text(whole_file([]))
    assert checked(folder) == [] and booted(folder) == []


def test_not_text(folder):
    (folder / "batuta-hv.conf").write_bytes(b"\x7fELF\0\0\0")
    assert booted(folder) == checked(folder) == ["batuta-hv.conf: holds binary data: it is not a configuration"]


def test_settings(folder):
    """What the [hypervisor] section says is done, but for what the command line says."""
    (folder / "batuta-hv.conf").write_text("[hypervisor]\nlog = error\nscreen = off\nwatchdog = 2\n[vm a]\n")
    done = boot(folder, timeout=6, status=124)
    assert "batuta-hv on 2 processors" in done.stdout and "vm a: nothing to start" in done.stdout
    assert "for the monitor" in done.stdout and "ready" not in done.stdout and "watchdog" not in done.stdout
    done = boot(folder, "--append", "log=info")
    assert "ready" in done.stdout
    (folder / "batuta-hv.conf").write_text("[hypervisor]\nconsole = none\n")
    assert "ready" not in boot(folder, timeout=5, status=124).stdout


def test_devices(folder):
    """What only the machine itself knows: its disks and network cards."""
    (folder / "disk").write_bytes(bytes(1 << 20))
    (folder / "batuta-hv.conf").write_text(
        "[vm a]\nkernel = k\nmemory = 16M\ndisk = virtio:0,ro\n[vm b]\nkernel = k\nmemory = 16M\ndisk = virtio:1\n[nic 1]\n"
        "[vm c]\nkernel = k\nmemory = 4000M\n")
    args = [f"--extra=-nic none -drive file={folder / 'disk'},format=raw,if=none,id=d "
            "-device virtio-blk-pci,drive=d,disable-legacy=on"]
    lines = re.findall(r"(batuta-hv\.conf:.*?)\r?$", boot(folder, *args).stdout, re.M)
    assert lines[0] == "batuta-hv.conf:8: vm b: disk = virtio:1: the machine has 1 such disks, counted from 0"
    assert re.fullmatch(r"batuta-hv\.conf:12: vm c: memory: 4018 MiB are needed, .* of \d+ MiB for VMs \d+ are left: .*", lines[1])
    assert lines[2] == "batuta-hv.conf:9: [nic 1]: the machine has 0 network cards, counted from 0"
    assert len(lines) == 3
