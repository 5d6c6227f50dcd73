# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs of Debian, in the whole Debian guest and natively in the same tree."""

import os

import artifacts
from harness import Console, GUESTS
from sidebyside import compare, host_cpus, result
from subjects import BOOT_SECONDS, Scene, Subjects

# In the order of guest/programs/run; the three of openssl count as one program in the mean.
PROGRAMS = ["gcc", "python", "sqlite", "xz", "zstd", "openssl-aes", "openssl-sha", "openssl-rsa", "perl", "redis", "node"]
FAMILY = {name: "openssl" for name in PROGRAMS if name.startswith("openssl")}
# xz -9 wants 674 MiB, its 50 MB and the rest of the files lie in memory too.
MEMORY, FILES = 2048, "size=700M"


def native_console(settings, root, disk):
    """A shell in the root's tree with a tmpfs of its own, as the guest has it; without root rights in a user namespace."""
    script = (f"mount -t tmpfs -o {FILES} none '{root}/mnt' && tar -xf '{disk}' -C '{root}/mnt' && "
              f"mount --rbind /dev '{root}/dev' && mount --rbind /proc '{root}/proc' && "
              f"exec chroot '{root}' taskset -c {host_cpus(settings, 1)} bash --norc")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    # A PID namespace, so that nothing which a workload leaves behind outlives the shell.
    return Console(["unshare", "--mount", "--pid", "--fork", "--kill-child", *user, "sh", "-c", script])


def scene(settings):
    image, root = artifacts.bench_root()
    disk = artifacts.programs_disk(settings.work, settings.percent)

    def ready(console):
        console.wait_for("login:", BOOT_SECONDS)
        console.boot(BOOT_SECONDS)
        console.run("systemctl is-system-running --wait", BOOT_SECONDS, check=False)
        console.run(f"mount -t tmpfs -o {FILES} none /mnt && tar -xf /dev/vdb -C /mnt", 300)

    return Scene(ready=ready, native=lambda: native_console(settings, root, disk), memory=MEMORY,
                 initrd=GUESTS / "debian-initrd.gz", append="console=ttyS0 net.ifnames=0", root=image, data=disk)


def measure(settings):
    names = [name for name in PROGRAMS if settings.wants(name, "programs")]
    if not names:
        return []
    with Subjects(settings, scene(settings)) as subjects:
        return [compare(settings, subjects, result("programs", name, family=FAMILY.get(name)), f"/mnt/run {name}")
                for name in names]
