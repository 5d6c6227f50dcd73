# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor of batuta-hv on the machine: its serial line, as a person types, and its management port, as programs do."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import hv
from harness import BUILD, PATIENCE, batuta

KERNEL = BUILD / "batuta-hv"

pytestmark = [
    pytest.mark.skipif(not KERNEL.exists(), reason="batuta-hv is not built"),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no QEMU: tools/setup test"),
]

# Neither VM starts by itself, or can: what is asked of the monitor needs none that run.
CONFIG = """
[vm web]
kernel = none.elf
memory = 64M
autostart = no

[vm db]
kernel = none.elf
memory = 32M
autostart = no
"""


class Machine:
    """The hypervisor in QEMU: what its serial line says, and a way to type there."""

    def __init__(self, folder, config=CONFIG, devices=()):
        (folder / "batuta-hv.conf").write_text(config)
        (folder / "none.elf").write_bytes(b"no kernel")
        self.socket = folder / "hv.sock"
        self.process = subprocess.Popen(
            [*hv.hv_bed.qemu(), "-serial", "stdio", "-kernel", KERNEL,
             "-initrd", f"{folder}/batuta-hv.conf batuta-hv.conf,{folder}/none.elf none.elf",
             "-device", "virtio-serial-pci,disable-legacy=on",
             "-chardev", f"socket,id=c,path={self.socket},server=on,wait=off",
             "-device", "virtserialport,chardev=c,name=batuta.control", *devices],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.text = ""
        self.at = 0
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while piece := self.process.stdout.read(4096):
            with self.news:
                self.text += piece.decode("utf-8", "replace")
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait_for(self, pattern, seconds=30):
        """What stands before it, from the last place that was waited for."""
        end = time.monotonic() + seconds * PATIENCE
        with self.news:
            while not (found := re.compile(pattern).search(self.text, self.at)):
                if not self.news.wait(end - time.monotonic()) or self.process.poll() is not None:
                    raise AssertionError(f"{pattern!r} did not come:\n{self.text[self.at:]}")
            before = self.text[self.at:found.end()]
            self.at = found.end()
            return before

    def type(self, keys, pattern):
        self.process.stdin.write(keys.encode())
        return self.wait_for(pattern)

    def ask(self, command, answer=""):
        """What is answered, up to the next prompt: one from before these keys, which may come late, is not it."""
        self.type(command + "\r", re.escape(command) + r"\r\n")
        return self.wait_for(answer + r"(?s:.*)\bbatuta> $")

    def control(self, *words):
        return batuta("ctl", self.socket, *words)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path) as machine:
        machine.wait_for(r"\] ready\r\n")
        yield machine


def test_prompt(machine):
    """The owner types; what was wrong with a VM is said in the list and in the log."""
    machine.type("\r", "batuta> \r\nbatuta> $")
    table = machine.ask("list")
    assert re.search(r"^VM +STATE +VCPUS +MEMORY", table, re.M) and re.search(r"^web +off +1 +64 MiB", table, re.M)
    assert re.search(r"^ +1 +1 ", machine.ask("host"), re.M)  # the second processor
    assert "usage: start NAME" in machine.ask("start")
    machine.ask("start web", r"web: .*\r\n")
    assert "The guest is off" in machine.ask("reset db")
    assert "There is no VM 'mail'" in machine.ask("attach mail")
    assert "] ready" in machine.ask("log")
    answer = machine.ask('{"execute":"query-status","arguments":{"vm":"web"},"id":[1]}', r'"return":.*"id":\[1\]}\r\n')
    assert '"status":"shutdown"' in answer
    machine.type("attach web\r", "Ctrl-] leaves it")
    machine.type("typed for nobody\x1d", "left web")
    machine.type("\rnonsense\r", "there is no command 'nonsense'")


def test_management(machine):
    """The client of the hosted program's socket, over a virtio-console port of the machine."""
    assert json.loads(machine.control("query-version").stdout)["package"].startswith("batuta-hv ")
    vms = json.loads(machine.control("batuta-list-vms").stdout)
    assert [(vm["vm"], vm["state"], vm["memory"]) for vm in vms] == [("web", "off", 64 << 20), ("db", "off", 32 << 20)]
    assert machine.control("query-status", "vm=db").returncode == 0
    for words, says in [(["stop", "vm=web"], "The guest is off"), (["stop"], "Parameter 'vm' is missing"),
                        (["stop", "vm=mail"], "There is no VM 'mail'"), (["save", "vm=web"], "has not been found"),
                        (["batuta-log", "lines=many"], "a number")]:
        done = machine.control(*words)
        assert done.returncode == 1 and says in done.stderr, done
    host = json.loads(machine.control("batuta-host").stdout)
    assert len(host["cpus"]) == 2 and 400 << 20 < host["memory"] < 512 << 20
    log = json.loads(machine.control("batuta-log", "lines=1000").stdout)["lines"]
    assert any("on 2 processors" in line for line in log)


def test_hostile_client(machine):
    """Garbage, floods and clients that go away in the middle: the next one is served, and the prompt works."""
    for data in (b"garbage\n" * 5000, b"{" * 300000, b'{"execute":"' + b"a" * 300000, b'{"execute":"query-commands"}' * 3000):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(machine.socket))
            client.settimeout(5)
            try:
                client.sendall(data)
            except TimeoutError:
                pass
        # QEMU 7.2 stays throttled for the next client if the one before it closed in the middle of a write to it.
        tries = [machine.control("query-version")]
        while tries[-1].returncode and len(tries) < 3:
            assert "does not speak QMP" in tries[-1].stderr, tries[-1]
            tries.append(machine.control("query-version"))
        assert tries[-1].returncode == 0, tries
    assert "web" in machine.ask("list", r"db +off.*\r\n")


def test_poweroff(machine):
    machine.process.stdin.write(b"poweroff\r")
    machine.process.wait(60 * PATIENCE)
