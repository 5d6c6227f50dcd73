# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines that batuta-hv is tried on where none has VT-x or AMD-V to spare: QEMU's TCG emulates AMD-V, Bochs both."""

OVMF = "/usr/share/ovmf/OVMF.fd"
QEMU_CPU = "EPYC,+svm,+npt"
BOCHS_CPUS = {"haswell": "corei7_haswell_4770", "skylake_x": "corei7_skylake_x", "ryzen": "ryzen"}

BOCHSRC = """display_library: rfb, options="timeout=0"
romimage: file={rom}
vgaromimage: file=/usr/share/vgabios/vgabios.bin
memory: guest={memory}, host={memory}
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, {com1}
port_e9_hack: enabled=1
clock: sync=none
speaker: enabled=0
panic: action=fatal
error: action=ignore
info: action=ignore
log: {log}
"""


def qemu(cpus=2, memory=512, cpu=None, parallel=False):
    """The start of a command: no screen, no monitor of QEMU's own; a reset ends it.

    parallel: its processors run at the same time. Guests must keep off the first one then: whatever processor loads
    x87 state, TCG (7.2) turns a flag in the first one's off, and takes back what VMRUN, #VMEXIT, STGI or CLGI change
    there at that moment. A guest so loses its nested paging, or its control block gets the host's registers."""
    return ["qemu-system-x86_64", "-accel", "tcg" if parallel else "tcg,thread=single", "-M", "q35", "-cpu", cpu or QEMU_CPU,
            "-smp", str(cpus), "-m", str(memory), "-no-reboot", "-display", "none", "-monitor", "none"]


def bochs(folder, iso, com1, cpus=2, memory=512, model=None, uefi=False):
    """The command, with its files in folder; com1: where the serial line goes, as "mode=file, dev=PATH"."""
    model = model or "haswell"
    (folder / "bochsrc").write_text(BOCHSRC.format(
        rom=f"{OVMF}, address=0xffe00000" if uefi else "/usr/share/bochs/BIOS-bochs-latest", memory=memory,
        model=BOCHS_CPUS.get(model, model), cpus=cpus, iso=iso, com1=com1, log=folder / "bochs.log"))
    (folder / "rc").write_text("c\n" * 100)  # its debugger waits for that, and again after any signal
    return ["bochs-bin", "-q", "-f", str(folder / "bochsrc"), "-rc", str(folder / "rc")]
