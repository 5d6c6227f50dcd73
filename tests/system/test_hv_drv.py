# SPDX-License-Identifier: GPL-2.0-or-later
"""batuta-hv's drivers on QEMU's devices: tests/hv/drv.c inside, what it did looked at from outside."""

import random
import shlex
import shutil
import socket
import struct
import subprocess
import time

import pytest

from harness import BUILD, PATIENCE, TOP

KERNEL = BUILD / "tests" / "hv" / "batuta-hv-selftest"
AREA = 8 << 20
MODERN = ",disable-legacy=on"

pytestmark = [
    pytest.mark.skipif(not KERNEL.exists(), reason="batuta-hv-selftest is not built"),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no QEMU: tools/setup test"),
]


def devices(folder, bridged, modern):
    """What the self-test looks for; bridged: the disk is behind a PCI Express port; modern: or transitional, as QEMU has it."""
    modern = MODERN if modern else ""
    image = folder / "scratch.img"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    port = ["-device", "pcie-root-port,id=port1,chassis=1"] if bridged else []
    bus = ",bus=port1" if bridged else ""
    return image, [
        *port, "-drive", f"file={image},format=raw,if=none,id=disk,discard=unmap",
        "-device", f"virtio-blk-pci,drive=disk,serial=scratch{modern}{bus}",
        "-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,romfile={modern}",
        "-device", f"virtio-serial-pci{modern}",
        "-chardev", f"socket,id=serial,path={folder / 'serial'},server=on,wait=off",
        "-device", "virtserialport,chardev=serial,name=batuta.test",
    ]


def wait_for(process, text, seen, seconds):
    """Reads the console's lines until one has the text."""
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        line = process.stdout.readline()
        if not line:
            break
        seen.append(line.rstrip())
        if text in line:
            return
    raise AssertionError(f"{text!r} did not come:\n" + "\n".join(seen))


def echo(path):
    """Everything that is sent comes back, in order."""
    data = random.Random(4).randbytes(100000).replace(b"e", b"E")
    got = b""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        peer.settimeout(30 * PATIENCE)
        for at in range(0, len(data), 3000):
            peer.sendall(data[at:at + 3000])
            while len(got) < at:
                got += peer.recv(65536)
        peer.sendall(b"end\n")
        while len(got) < len(data) + 4:
            got += peer.recv(65536)
    assert got == data + b"end\n"


def check_image(image):
    with open(image, "rb") as file:
        data = file.read(AREA + (1 << 20))
    words = struct.unpack(f"<{AREA // 8}Q", data[:AREA])
    mask = (1 << 64) - 1
    assert all(word == (i * 8 * 0x9e3779b97f4a7c15 + 1) & mask for i, word in enumerate(words))
    assert not any(data[AREA:])


@pytest.mark.parametrize("machine,boot,bridged", [
    ("q35", "kernel", True), ("pc", "kernel", False), ("q35", "grub", False), ("pc", "grub", False),
    ("q35", "uefi", True), ("pc", "uefi", False),
])
def test_drivers(tmp_path, machine, boot, bridged):
    if boot != "kernel" and not shutil.which("grub-mkrescue"):
        pytest.skip("no grub-mkrescue: tools/setup hv")
    image, arguments = devices(tmp_path, bridged, machine == "q35")
    command = [TOP / "tools" / "hv-run", KERNEL, "-a", "selftest=drv", "--boot", boot, "--quiet", "--timeout",
               str(150 * PATIENCE), "--extra=" + shlex.join(["-M", machine, *arguments])]
    seen = []
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          errors="replace") as process:
        try:
            wait_for(process, "selftest drv: disk ok", seen, 100)
            wait_for(process, "selftest drv: net ok", seen, 30)
            wait_for(process, "selftest drv: echoing", seen, 30)
            echo(tmp_path / "serial")
            wait_for(process, "selftest drv: serial ok", seen, 30)
        finally:
            process.terminate()
    check_image(image)
