# SPDX-License-Identifier: GPL-2.0-or-later
"""Configurations of the type-1 hypervisor that are wrong: one clear line each, and the VMs that are right stay."""

import json
import subprocess

import pytest

from harness import BUILD, PATIENCE, TOP

# A good VM stands before and behind what is wrong, and is never left out.
BEFORE = "[vm first]\nkernel = k\nmemory = 64M\n"
BEHIND = "\n[vm last]\nkernel = k\nmemory = 64M\n"
LINES_BEFORE = BEFORE.count("\n")

# the text between the good VMs, the line of it that is blamed, what is said of it
WRONG = [
    ("[vm x]", 1, "vm x: nothing to start: name a boot module with kernel = NAME"),
    ("[vm x]\nkernel =", 2, "vm x: kernel: the value is empty: kernel = FILE"),
    ("[vm x]\nkernel = k\nmemroy = 1G", 3, "vm x: there is no key 'memroy' in [vm NAME]: did you mean 'memory'?"),
    ("[vm x]\nkernel = k\ncontrol = x.sock", 3, "vm x: there is no key 'control' in [vm NAME]"),
    ("[vm x]\nkernel = k\nquux = 1", 3, "vm x: there is no key 'quux' in [vm NAME]"),
    ("[vm x]\nkernel = k\nmemory", 3, "vm x: 'memory' is not of the form: key = value"),
    ("[vm x]\nkernel = k\nmemory = lots", 3, "vm x: memory = lots: not a size: say 512M or 2G"),
    ("[vm x]\nkernel = k\nmemory = 1G # enough", 3, "vm x: a comment has its own line: memory = 1G # enough: not a size: say 512M or 2G"),
    ("[vm x]\nkernel = k\nappend = \"quiet\" # text", 3,
     "vm x: append: what begins with a quote ends with one, and a comment has its own line: \"quiet\" # text"),
    ("[vm x] # text\nkernel = k", 1, "[vm x] # text: nothing can stand behind the ], a comment has its own line"),
    ("[vm x]\nkernel = k\nmemory = 0", 3, "vm x: memory = 0: must be 1M to 252G"),
    ("[vm x]\nkernel = k\nmemory = 1536K", 3, "vm x: memory: 1572864 bytes are not a whole number of MiB"),
    ("[vm x]\nkernel = k\nmemory = 64M\nmemory = 32M", 4, "vm x: 'memory' is given in line 6 already: remove one of them"),
    ("[vm x]\nkernel = k\ncpus = 65", 3, "vm x: cpus = 65: must be 1 to 64"),
    ("[vm x]\nkernel = k\ncpu = v4", 3, "vm x: cpu: there is no 'v4': choose one of v2, v3, host"),
    ("[vm x]\nkernel = k\nrng = maybe", 3, "vm x: rng = maybe: say on or off"),
    ("[vm x]\nkernel = /boot/k", 2, "vm x: kernel = /boot/k: is a boot module's name, not a path: leave its folders out"),
    ("[vm x]\nkernel = k\ninitrd = ,cmdline=x", 3, "vm x: initrd = ,cmdline=x: names no file"),
    ("[vm x]\nkernel = k\nname = y", 3, "vm x: 'name': it stands in [vm x]"),
    ("[vm x]\nkernel = k\ndisk = root.img", 3,
     "vm x: disk: there is no 'root.img': say module:NAME, ramdisk:SIZE or virtio:N"),
    ("[vm x]\nkernel = k\ndisk = ramdisk:100K", 3,
     "vm x: disk = ramdisk:100K: not a size of whole MiB: say ramdisk:64M"),
    ("[vm x]\nkernel = k\ndisk = virtio:first", 3,
     "vm x: disk = virtio:first: not a number of the host's disks: say virtio:0"),
    ("[vm x]\nkernel = k\ndisk = virtio:0,rw", 3, "vm x: disk: has no setting 'rw': did you mean 'ro'?"),
    ("[vm x]\nkernel = k\ndisk = virtio:0,serial=123456789012345678901", 3,
     "vm x: disk: serial 123456789012345678901: has more than 20 characters"),
    ("[vm x]\nkernel = k\n" + "disk = ramdisk:1M\n" * 9, 11, "vm x: disk: given more than 8 times"),
    ("[vm x]\nkernel = k\ndisk = virtio:0\n[vm y]\nkernel = k\ndisk = virtio:0,ro", 6,
     "vm y: disk = virtio:0: is a disk of vm x, too: make both ro, or slices apart"),
    ("[vm x]\nkernel = k\ndisk = virtio:0,offset=1G,size=1G\ndisk = virtio:0,offset=2047M,size=1M", 4,
     "vm x: disk = virtio:0: is a disk of vm x, too: make both ro, or slices apart"),
    ("[vm x]\nkernel = k\ndisk = virtio:0,offset=1G\ndisk = virtio:0,size=1025M", 4,
     "vm x: disk = virtio:0: is a disk of vm x, too: make both ro, or slices apart"),
    ("[vm x]\nkernel = k\ndisk = virtio:0,offset=1000K", 3,
     "vm x: disk: offset=1000K: not a size of whole MiB: say offset=1G"),
    ("[vm x]\nkernel = k\ndisk = ramdisk:1M,size=1M", 3, "vm x: disk: size: is for virtio:N, a slice of which is meant"),
    ("[vm x]\nkernel = k\nnet = user", 3, "vm x: net: there is no 'user': say switch or none"),
    ("[vm x]\nkernel = k\nnet = switch,vlan=4095", 3, "vm x: net: vlan 4095: must be 1 to 4094"),
    ("[vm x]\nkernel = k\nnet = switch,trunk,vlans=20-10", 3,
     "vm x: net: vlans 20-10: not a list of 1 to 4094 like 10+20-29"),
    ("[vm x]\nkernel = k\nnet = switch,vlans=10", 3,
     "vm x: net: vlans are those of a trunk: say trunk, too, or vlan for just one"),
    ("[vm x]\nkernel = k\nnet = switch,mac=52:54:00", 3,
     "vm x: net: mac=52:54:00: not an address like 52:54:00:12:34:56"),
    ("[vm x]\nkernel = k\nnet = switch,mac=01:00:5e:00:00:01", 3,
     "vm x: net: mac=01:00:5e:00:00:01: is a multicast address: make its first byte even"),
    ("[vm x]\nkernel = k\nnet = switch,ip=10.0.0.256", 3,
     "vm x: net: ip=10.0.0.256: not an address of a host like 10.0.0.5 or fd00::5"),
    ("[vm x]\nkernel = k\nnet = switch,ip=224.0.0.1", 3,
     "vm x: net: ip=224.0.0.1: not an address of a host like 10.0.0.5 or fd00::5"),
    ("[vm x]\nkernel = k\nnet = switch,mac=52:54:00:00:00:09\n[vm y]\nkernel = k\nnet = switch,mac=52:54:00:00:00:09", 6,
     "vm y: net: mac=52:54:00:00:00:09 is also an address of vm x: choose another one"),
    ("[vm x]\nkernel = k\nnet = switch,ip=10.0.0.9\nnet = switch,ip=10.0.0.9", 4,
     "vm x: net: ip=10.0.0.9 is also an address of vm x: choose another one"),
    ("[vm x]\nkernel = k\nnet = switch,ip=fd00::1::2", 3,
     "vm x: net: ip=fd00::1::2: not an address of a host like 10.0.0.5 or fd00::5"),
    ("[vm x]\nkernel = k\nnet = switch,vlan=2,ip=fd00::9\n[vm y]\nkernel = k\nnet = switch,vlan=2,ip=fd00:0:0::0:9", 6,
     "vm y: net: ip=fd00:0:0:0:0:0:0:9 is also an address of vm x: choose another one"),
    ("[vm x]\nkernel = k\nconsole = stdio", 3, "vm x: console: there is no 'stdio': say monitor or none"),
    ("[vm x]\nkernel = k\nshares = 0", 3, "vm x: shares = 0: must be 1 to 10000"),
    ("[vm x]\nkernel = k\ncap = 50", 3, "vm x: cap = 50: not a part of a processor's time: say 50% (two: 200%)"),
    ("[vm x]\nkernel = k\ncap = 20%\nreservation = 30%", 4,
     "vm x: reservation: is more than the cap, and would never be had"),
    ("[vm x]\nkernel = k\naffinity = 64", 3, "vm x: affinity = 64: processors are 0 to 63"),
    ("[vm x]\nkernel = k\naffinity = all", 3, "vm x: affinity = all: not a list of processors like 0,2-3"),
    ("[vm x]\nkernel = k\nrealtime = 2/10", 3,
     "vm x: realtime = 2/10: not of the form BUDGET/PERIOD: say 2ms/10ms"),
    ("[vm x]\nkernel = k\nrealtime = 20ms/10ms", 3, "vm x: realtime = 20ms/10ms: the budget must be 50us to the period"),
    ("[vm x]\nkernel = k\nrealtime = 1us/10us", 3, "vm x: realtime = 1us/10us: the period must be 500us to 1s"),
    ("[vm x]\nkernel = k\nrealtime = 1ms/10ms\ncap = 10%", 3,
     "vm x: realtime: promises time by its budget: remove the cap and the reservation"),
    ("[vm x]\nkernel = k\nrestart = sometimes", 3,
     "vm x: restart: there is no 'sometimes': choose one of never, on-crash, always"),
    ("[vm x]\nkernel = k\nrestart = always,max=0", 3, "vm x: restart: max=0: must be 1 to 16"),
    ("[vm x]\nkernel = k\nwatchdog = soon", 3, "vm x: watchdog = soon: not a number"),
    ("[vm first]\nkernel = k", 1, "[vm first]: a VM of this name begins in line 1: choose another one"),
    ("[vm]\nkernel = k", 1, "[vm ]: a name is 1 to 31 letters, digits, dots, dashes and underscores"),
    ("[vm two words]\nkernel = k", 1, "[vm two words]: a name is 1 to 31 letters, digits, dots, dashes and underscores"),
    ("[vm x\nkernel = k", 1, "[vm x: a ] is missing at the end"),
    ("[vms x]\nkernel = k", 1, "there is no section [vms]: did you mean [vm NAME]?"),
    ("[storage]\npath = x", 1,
     "there is no section [storage]: there are [hypervisor], [switch], [nic N] and [vm NAME]"),
    ("[hypervisor]\npanic = ignore", 2, "panic: there is no 'ignore': choose one of reboot, halt"),
    ("[hypervisor]\nspeed = 100", 2, "speed = 100: not a serial port's: say 115200, 57600, 38400 or 9600"),
    ("[hypervisor]\nconsole = com3", 2, "console: there is no 'com3': choose one of com1, com2, none"),
    ("[hypervisor x]", 1, "[hypervisor] takes no name: remove 'x'"),
    ("[hypervisor]\n[hypervisor]", 2, "[hypervisor] stands in line 4 already: put its keys there"),
    ("[switch]\nage = 1", 2, "age = 1: must be 10 to 86400"),
    ("[nic 8]", 1, "[nic 8]: the host's network cards are 0 to 7"),
    ("[nic 1]\nvlans = 2", 1, "vlans are those of a trunk: say trunk, too, or vlan for just one"),
]


def check(*args):
    return subprocess.run([BUILD / "batuta", "hv", "check", *args], capture_output=True, text=True, timeout=20 * PATIENCE)


@pytest.mark.parametrize("text, line, says", WRONG, ids=[w[2][:60] for w in WRONG])
def test_wrong(tmp_path, text, line, says):
    file = tmp_path / "hv.conf"
    file.write_text(BEFORE + text + BEHIND)
    done = check(file)
    assert done.returncode == 1
    assert done.stderr == f"{file}:{LINES_BEFORE + line}: {says}\n"
    names = [row.split()[0] for row in done.stdout.splitlines()]
    assert "first" in names and "last" in names


def test_there_are_enough():
    assert len(WRONG) >= 30 and len({w[0] for w in WRONG}) == len(WRONG)


@pytest.mark.parametrize("text, says", [
    ("", "describes no VM: add a section [vm NAME]"),
    ("# nothing\n", "describes no VM: add a section [vm NAME]"),
    ("kernel = k\nmemory = 1G\n", "1: 'kernel' stands before the first section: begin with [vm NAME]"),
    ("a\0b", "holds binary data: it is not a configuration"),
    ("#" * (1 << 19), "is larger than 256 KiB: it is not a configuration"),
], ids=["empty", "comment", "section", "binary", "large"])
def test_no_configuration(tmp_path, text, says):
    file = tmp_path / "hv.conf"
    file.write_text(text)
    done = check(file)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"{file}:{'' if says[0].isdigit() else ' '}{says}\n"


def test_demo_is_right():
    done = check(TOP / "examples" / "hv" / "demo.conf", "--memory", "2G", "--cpus", "2")
    assert done.returncode == 0 and done.stderr == ""
    assert [row.split()[0] for row in done.stdout.splitlines()] == ["red", "blue", "small"]


def test_modules_are_for_all(tmp_path):
    """Each VM writes into memory of its own."""
    file = tmp_path / "hv.conf"
    file.write_text("[vm x]\nkernel = k\ndisk = module:d\ndisk = module:k\n[vm y]\nkernel = d\ndisk = module:d\ndisk = module:d,ro\n")
    done = check(file)
    assert done.returncode == 0 and done.stderr == ""


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "k").write_bytes(bytes(1 << 20))
    (tmp_path / "boot" / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("text, args, line, says", [
    ("kernel = kk", ["--modules", "boot"], 2, "vm x: kernel = kk: there is no boot module of this name: did you mean 'k'?"),
    ("kernel = folder", ["--modules", "boot"], 2,
     "vm x: kernel = folder: there is no boot module of this name: have the boot loader load it"),
    ("kernel = k\nmemory = 64M", ["--memory", "80M", "--modules", "boot"], 3,
     "vm x: memory: 67 MiB are needed, with RAM disks and tables; of 63 MiB for VMs 63 are left: "
     "give it less, or autostart = off to another one"),
    ("kernel = k\nmemory = 1M", ["--memory", "1M"], 3,
     "vm x: memory: 4 MiB are needed, with RAM disks and tables; of 0 MiB for VMs 0 are left: "
     "give it less, or autostart = off to another one"),
    ("kernel = k\ncap = 150%", ["--cpus", "1"], 3, "vm x: cap: 150.0% are more than the 1 processors of the machine have"),
    ("kernel = k\naffinity = 0-2", ["--cpus", "2"], 3, "vm x: affinity: names processor 2, the machine has 0 to 1"),
    ("kernel = k\nrealtime = 5ms/10ms\n[vm y]\nkernel = k\nrealtime = 6ms/10ms", ["--cpus", "1"], 6,
     "vm y: realtime: promises 60.0% of a processor; 95.0% of each can be promised, and 50.0% of the best one are taken: "
     "promise less"),
    ("kernel = k\nreservation = 90%\naffinity = 1\n[vm y]\nkernel = k\nreservation = 6%\naffinity = 1", ["--cpus", "2"], 7,
     "vm y: reservation: promises 6.0% of a processor; of the 95.0% that can be promised 90.0% are taken: promise less"),
    ("kernel = k\nreservation = 90%\naffinity = 1\n[vm y]\nkernel = k\nreservation = 101%", ["--cpus", "2"], 7,
     "vm y: reservation: promises 101.0% of a processor; of the 190.0% that can be promised 100.0% are taken: promise less"),
    # The hypervisor's own threads have 10 %, and one that is not started at boot has what it was promised.
    ("kernel = k\nreservation = 90%", ["--cpus", "1"], 3,
     "vm x: reservation: promises 90.0% of a processor; of the 95.0% that can be promised 10.0% are taken: promise less"),
    ("kernel = k\nreservation = 50%\nautostart = off\n[vm y]\nkernel = k\nreservation = 40%", ["--cpus", "1"], 7,
     "vm y: reservation: promises 40.0% of a processor; of the 95.0% that can be promised 60.0% are taken: promise less"),
    # Two pairs that overlap: within three processors.
    ("kernel = k\nreservation = 180%\naffinity = 0-1\n[vm y]\nkernel = k\nreservation = 100%\naffinity = 1-2", ["--cpus", "3"], 7,
     "vm y: reservation: promises 100.0% of a processor; of the 285.0% that can be promised 190.0% are taken: promise less"),
    ("kernel = k\nreservation = 150%\n[vm y]\nkernel = k\nreservation = 41%\naffinity = 0", ["--cpus", "2"], 6,
     "vm y: reservation: promises 41.0% of a processor; of the 190.0% that can be promised 160.0% are taken: promise less"),
    ("kernel = k\nrealtime = 6ms/10ms\n[vm y]\nkernel = k\nrealtime = 6ms/10ms\n[vm z]\nkernel = k\nrealtime = 6ms/10ms",
     ["--cpus", "2"], 9,
     "vm z: realtime: promises 60.0% of a processor; 95.0% of each can be promised, and 60.0% of the best one are taken: "
     "promise less"),
])
def test_machine(machine, text, args, line, says):
    (machine / "hv.conf").write_text(f"[vm x]\n{text}\n")
    done = subprocess.run([BUILD / "batuta", "hv", "check", "hv.conf", *args], cwd=machine, capture_output=True, text=True,
                          timeout=20 * PATIENCE)
    assert done.returncode == 1
    assert done.stderr == f"hv.conf:{line}: {says}\n"


def test_json(tmp_path):
    file = tmp_path / "hv.conf"
    file.write_text("[vm a]\nkernel = k\nmemory = 64M\ncpus = 2\nnet = switch\n[vm b]\n[switch]\nage = x\n")
    done = check("--json", file)
    assert done.returncode == 1 and done.stderr == ""
    assert json.loads(done.stdout) == {
        "vms": [{"name": "a", "memory": 64 << 20, "cpus": 2, "disks": 0, "networks": 1, "autostart": True}],
        "left-out": 1,
        "mistakes": [
            {"line": 6, "vm": "b", "text": f"{file}:6: vm b: nothing to start: name a boot module with kernel = NAME"},
            {"line": 8, "vm": None, "text": f"{file}:8: age = x: not a number"},
        ],
    }


@pytest.mark.parametrize("args, says, status", [
    ([], "name the file to check", 2),
    (["a", "b"], "b: only one file", 2),
    (["--cpus"], "--cpus: a value is missing", 2),
    (["--cpus", "0", "a"], "--cpus: must be 1 to 64", 2),
    (["--memory", "x", "a"], "--memory: not a size", 2),
    (["--colour", "a"], "--colour: there is no such option", 2),
    (["/nonexistent"], "/nonexistent: cannot be opened: No such file or directory", 1),
    (["/tmp"], "/tmp: cannot be read: Is a directory", 1),
    (["--modules", "/nonexistent", TOP / "examples" / "hv" / "demo.conf"], "--modules /nonexistent: cannot be opened", 1),
])
def test_usage(args, says, status):
    done = check(*args)
    assert done.returncode == status and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("batuta hv: ") and says in done.stderr
