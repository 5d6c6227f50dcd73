# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that batuta is measured beside: QEMU (TCG) and Bochs, with the same kernel and initramfs."""

import pathlib
import subprocess
import time

from harness import GUESTS, Console


class Qemu(Console):
    """QEMU TCG with the same devices, its console on stdio like batuta's."""

    def __init__(self, memory=128, cpus=1, initrd=None, append="console=ttyS0 quiet", net=True, disk=None,
                 root=None, data=None):
        """disk: written to, past the host's cache; root: its changes are thrown away; data: read only."""
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory, "-smp", cpus, "-display", "none",
                   "-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel", GUESTS / "vmlinuz", "-initrd",
                   initrd or GUESTS / "initrd.gz", "-append", append]
        for file, options in ((disk, "cache=none,aio=io_uring"), (root, "snapshot=on,file.locking=off"),
                              (data, "readonly=on,file.locking=off")):
            if file:
                command += ["-drive", f"file={file},format=raw,if=virtio,{options}"]
        if net:
            command += ["-nic", "user,model=virtio-net-pci"]
        super().__init__(command)


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
    # Bochs wants a terminal, which script gives it; the group of both is what ends them.
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
        end_tree(process)


def descendants(pid):
    try:
        kids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [below for kid in map(int, kids) for below in (kid, *descendants(kid))]


def end_tree(process):
    """script puts its command into a session of its own, so that killing script alone would leave it."""
    for pid in descendants(process.pid):
        subprocess.run(["kill", "-KILL", str(pid)], check=False, stderr=subprocess.DEVNULL)
    process.kill()
    process.wait()
