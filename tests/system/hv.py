# SPDX-License-Identifier: GPL-2.0-or-later
"""batuta-hv under test: the machine that it runs on, emulated, and its monitor.

  qemu                         AMD-V in QEMU's TCG, by -kernel, commands over the management port
  haswell, skylake_x, ryzen    VT-x and AMD-V in Bochs, from an ISO, commands over the serial line
"""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time

import pytest

from harness import BUILD, PATIENCE, TOP, GuestError, Qmp

sys.path.append(str(TOP / "tools"))

import hv_bed  # noqa: E402

BEDS = ("qemu", *hv_bed.BOCHS_CPUS)
# Bochs is an interpreter: what a second's work is for QEMU takes it longer.
SLOWNESS = {bed: 1 if bed == "qemu" else 6 for bed in BEDS}

def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if not (BUILD / "batuta-hv").exists():
        pytest.skip("batuta-hv is not built")


class SerialMonitor:
    """The monitor at the serial line: a line that begins with { is a command in JSON, and answered so."""

    def __init__(self, machine):
        self.machine = machine
        self.count = 0

    def command(self, name, seconds=60, **arguments):
        self.count += 1
        mark = len(self.machine.output)
        message = {"execute": name, "id": self.count}
        if arguments:
            message["arguments"] = arguments
        self.machine.type(json.dumps(message) + "\r")
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            self.machine.read_some(0.2)
            for line in self.machine.output[mark:].decode(errors="replace").splitlines():
                start = line.find('{"')
                if start < 0 or f'"id":{self.count}' not in line.replace(" ", "") or '"execute"' in line:
                    continue
                try:
                    answer = json.loads(line[start:])
                except json.JSONDecodeError:
                    continue  # half of it
                if "error" in answer:
                    raise GuestError(f"{name}: {answer['error']}")
                return answer["return"]
        raise GuestError(f"the monitor did not answer {name}:\n{self.machine.tail()}")


class Machine:
    """batuta-hv with a configuration and the modules that it names, booted."""

    def __init__(self, folder, config, modules, bed="qemu", memory=1024, cpus=2, append="", extra=(), parallel=False):
        self.folder, self.bed, self.parallel = folder, bed, parallel
        self.output = b""
        self.monitor = None
        (folder / "hv.conf").write_text(config)
        files = {"batuta-hv.conf": folder / "hv.conf", **modules}
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)
        command = self.qemu(files, memory, cpus, append, extra) if bed == "qemu" else self.bochs(files, memory, cpus, append)
        self.messages = open(folder / "emulator.log", "wb")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.messages,
                                        stderr=subprocess.STDOUT)
        self.listener.settimeout(60 * PATIENCE)
        self.serial, _ = self.listener.accept()

    def qemu(self, files, memory, cpus, append, extra):
        need("qemu-system-x86_64")
        modules = ",".join(f"{path} {name}" for name, path in files.items())
        port = self.listener.getsockname()[1]
        return [*hv_bed.qemu(cpus, memory, parallel=self.parallel), "-serial", f"tcp:127.0.0.1:{port}",
                "-device", "virtio-serial-pci,disable-legacy=on",
                "-chardev", f"socket,id=c,path={self.folder}/control,server=on,wait=off",
                "-device", "virtserialport,chardev=c,name=batuta.control",
                "-kernel", BUILD / "batuta-hv", "-append", append, "-initrd", modules, *extra]

    def bochs(self, files, memory, cpus, append):
        need("bochs-bin", "grub-mkrescue", "xorriso", "mformat")
        return hv_bed.bochs(self.folder, self.iso(files, append), f"mode=socket-client, dev=127.0.0.1:{self.listener.getsockname()[1]}",
                            cpus, memory, self.bed)

    def iso(self, files, append):
        out = self.folder / "hv.iso"
        names = [f"{name}={path}" for name, path in files.items() if name != "batuta-hv.conf"]
        subprocess.run([TOP / "tools" / "hv-iso", "-c", append, BUILD, out, files["batuta-hv.conf"], *names], check=True)
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        (self.folder / "serial.log").write_bytes(self.output)
        self.serial.close()
        self.listener.close()
        self.messages.close()

    def alive(self):
        return self.process.poll() is None

    def tail(self):
        return self.output[-4000:].decode(errors="replace")

    def type(self, text):
        self.serial.sendall(text.encode())

    def read_some(self, seconds):
        """False: the emulator has ended."""
        end = time.monotonic() + seconds
        while select.select([self.serial], [], [], max(end - time.monotonic(), 0))[0]:
            data = self.serial.recv(65536)
            if not data:
                return False
            self.output += data
        return True

    def wait_for(self, pattern, seconds=60):
        end = time.monotonic() + seconds * PATIENCE * SLOWNESS[self.bed]
        while not re.search(pattern.encode(), self.output):
            if time.monotonic() > end or not self.read_some(0.1):
                raise GuestError(f"'{pattern}' did not come:\n{self.tail()}")

    def connect(self, seconds=60):
        """Opens the monitor, once it is there."""
        end = time.monotonic() + seconds * PATIENCE * SLOWNESS[self.bed]
        while self.monitor is None:
            try:
                self.monitor = Qmp(self.folder / "control", seconds) if self.bed == "qemu" else SerialMonitor(self)
                self.command("batuta-list-vms")
            except (GuestError, OSError): # nobody reads that port yet
                self.monitor = None
                if time.monotonic() > end or not self.alive():
                    raise GuestError(f"the monitor is not there:\n{self.tail()}") from None
                self.read_some(0.2)
        return self

    def command(self, name, **arguments):
        self.read_some(0)
        return self.monitor.command(name, **arguments)

    def vm(self, name):
        return next(vm for vm in self.command("batuta-list-vms") if vm["vm"] == name)

    def log(self, name, lines=60):
        """What the VM wrote last, in whole lines. The serial line is slow: there, what has been shown already is looked
        through."""
        if self.bed == "qemu":
            return self.command("batuta-log", vm=name, lines=lines)["lines"]
        self.read_some(0.1)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output[-1000000:].decode(errors="replace"))
        return re.findall(rf"(?<![\w.-]){re.escape(name)}\| ([^\r\n]*)(?=[\r\n])", shown)[-lines:]


def beds():
    """Those that BATUTA_HV_BEDS names; QEMU alone by default."""
    chosen = os.environ.get("BATUTA_HV_BEDS", "qemu").split()
    assert set(chosen) <= set(BEDS), f"BATUTA_HV_BEDS: one of {' '.join(BEDS)}"
    return chosen


def bed_params():
    """For a fixture: what runs in Bochs does so beside what runs in QEMU, as it takes far longer."""
    return [pytest.param(bed, marks=pytest.mark.xdist_group("hv" if bed == "qemu" else "hv-bochs")) for bed in beds()]
