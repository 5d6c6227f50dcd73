# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that batuta is measured beside: QEMU (TCG) and Bochs, with the same kernel and initramfs."""

import pathlib
import subprocess
import time

from harness import BUILD, GUESTS, TOP, Guest

HERE = pathlib.Path(__file__).resolve().parent


def first_kernel(work):
    out = work / "first.elf"
    subprocess.run(["gcc", "-m32", "-c", HERE / "guest" / "first.S", "-o", work / "first.o"], check=True)
    subprocess.run(["ld", "-n", "-m", "elf_i386", "--section-start=.multiboot=0x100000", "-Ttext=0x100040", "-e", "_start",
                    "-o", out, work / "first.o"], check=True)
    return out


def first_bios(work):
    out = work / "first.bin"
    subprocess.run(["gcc", "-m32", "-c", HERE / "guest" / "first-bios.S", "-o", work / "bios.o"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", work / "bios.o", out], check=True)
    return out


class Qemu(Guest):
    """The harness's guest, run by QEMU TCG with the same devices."""

    def __init__(self, work, memory=128, disk=None, net=True, cpus=1):
        self.output, self.mark, self.count = b"", 0, 0
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory, "-smp", cpus, "-display", "none",
                   "-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel", GUESTS / "vmlinuz", "-initrd",
                   GUESTS / "initrd.gz", "-append", "console=ttyS0 quiet"]
        if disk:
            command += ["-drive", f"file={disk},format=raw,if=virtio,cache=none,aio=io_uring"]
        if net:
            command += ["-nic", "user,model=virtio-net-pci"]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.folder = type("Nothing", (), {"cleanup": lambda self: None})()


def bochs_iso(work):
    iso = work / "bochs.iso"
    if iso.exists():
        return iso
    tree = work / "iso" / "boot" / "grub"
    tree.mkdir(parents=True, exist_ok=True)
    for name in ("vmlinuz", "initrd.gz"):
        (tree.parent / name).write_bytes((GUESTS / name).read_bytes())
    (tree / "grub.cfg").write_text("set timeout=0\nmenuentry linux {\n linux /boot/vmlinuz console=ttyS0 quiet "
                                   "batuta.net=off\n initrd /boot/initrd.gz\n}\n")
    subprocess.run(["grub-mkrescue", "-o", iso, work / "iso"], check=True, capture_output=True)
    return iso


def bochs_boot(work, seconds=900):
    """Seconds from Bochs's start to the shell; its BIOS, GRUB and reading the CD are part of it."""
    serial = work / "bochs-serial"
    serial.unlink(missing_ok=True)
    rc = work / "bochs-rc"
    rc.write_text("c\n")
    config = work / "bochsrc"
    config.write_text(f"""
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count=1, ips=20000000
megs: 128
ata0-master: type=cdrom, path={bochs_iso(work)}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={serial}
speaker: enabled=0
clock: sync=none
panic: action=fatal
log: {work / 'bochs-log'}
""")
    begin = time.monotonic()
    process = subprocess.Popen(["script", "-qec", f"env TERM=xterm bochs-bin -q -f {config} -rc {rc}", "/dev/null"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - begin < seconds:
            if serial.exists() and b"batuta: shell ready" in serial.read_bytes():
                return time.monotonic() - begin
            if process.poll() is not None:
                raise RuntimeError("Bochs ended: see " + (work / "bochs-log").read_text()[-500:])
            time.sleep(0.05)
        raise RuntimeError("Bochs did not reach the shell")
    finally:
        process.kill()
        subprocess.run(["pkill", "-f", f"bochs-bin -q -f {config}"], check=False)
