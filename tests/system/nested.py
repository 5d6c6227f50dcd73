# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs for an emulated machine that has SVM: kvm-amd, batuta, and a script that runs on its console."""

import re
import shutil
import subprocess

from harness import BUILD, GUESTS, TOP


def libraries(program):
    """What the dynamic linker needs for it, itself included."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", out)


def copy_to(root, path):
    target = root / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def make_root(root, outer, files):
    busybox = shutil.which("busybox")
    for folder in ("bin", "modules", "dev", "proc", "sys", "tmp", "batuta"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for module in ("virt/lib/irqbypass", "arch/x86/kvm/kvm", "arch/x86/kvm/kvm-amd"):
        shutil.copy(GUESTS / "modules" / "kernel" / f"{module}.ko", root / "modules")
    for program in ("batuta", "batuta-vmm"):
        shutil.copy(BUILD / program, root / "batuta")
        for library in libraries(BUILD / program):
            copy_to(root, library)
    for file in ("vmlinuz", "initrd.gz"):
        shutil.copy(GUESTS / file, root / "batuta")
    shutil.copy(TOP / "tests" / "system" / "nested-init", root / "init")
    (root / "init").chmod(0o755)
    (root / "outer").write_text(outer)
    for file in files:
        shutil.copy(file, root / "batuta")


def make_initrd(folder, outer, files=()):
    """folder/root.cpio: `outer` runs there, with the files beside batuta in /batuta."""
    root, initrd = folder / "root", folder / "root.cpio"
    make_root(root, outer, files)
    with open(initrd, "wb") as f:
        subprocess.run("find . | cpio --quiet -o -H newc -R 0:0", shell=True, cwd=root, stdout=f, check=True)
    shutil.rmtree(root)
    return initrd
