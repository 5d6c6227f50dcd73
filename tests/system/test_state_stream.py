# SPDX-License-Identifier: GPL-2.0-or-later
"""The saved state's format cannot change unnoticed (docs/formats/state-stream.md, which the reader here follows).

golden/state-stream.txt lists each table of a machine with every kind of device: its version and its fields.
golden/state-N.gz are streams that were saved once; each loads, and its guest runs to its end, for ever.
After a change that the document allows, `python3 tests/system/test_state_stream.py` writes the list anew and adds
a stream; the commit shows what changed.
"""

import gzip
import pathlib
import struct
import subprocess
import sys
import tempfile

import pytest

from harness import BUILD, PATIENCE, TOP, Guest, build_selftest

GOLDEN = pathlib.Path(__file__).parent / "golden"
LIST = GOLDEN / "state-stream.txt"
MAGIC = b"BATUTA-STATE\r\n\x1a\0"
OBJECT, RAM, END = 1, 2, 3
KINDS = {1: "int", 2: "bool", 3: "bytes", 4: "struct"}
PASSED = 0x10 << 1 | 1  # what the test kernel ends with


def text(name):
    return name.split(b"\0")[0].decode()


def fields(body, tree):
    """Adds the fields to a tree of lines: one for each field of a struct, however often the struct is repeated."""
    while body:
        head = struct.unpack_from("<I", body)[0]
        if not head:
            assert len(body) == 4, "something is behind the end of the structs"
            break
        count, length = struct.unpack_from("<II", body, 4)
        size, kind, name = head >> 16 & 255, head >> 8 & 255, body[12:12 + (head & 255)].decode()
        payload = body[12 + len(name):][:length]
        assert len(payload) == length, f"{name} is cut short"
        body = body[12 + len(name) + length:]
        line = f"{name} {KINDS[kind]}{size * 8 if kind == 1 else ''}[{count}]"
        if kind == 4:
            fields(payload, tree.setdefault(line, {}))
        else:
            assert length == count * (size if kind == 1 else 1), name
            tree[line] = {}
    return tree


def indented(tree, indent="  "):
    for line, below in tree.items():
        yield indent + line
        yield from indented(below, indent + "  ")


def tables(stream):
    """What a stream is made of: the version, then each table once, with the fields of its first instance."""
    assert stream.startswith(MAGIC)
    yield f"stream version {struct.unpack_from('<I', stream, len(MAGIC))[0]}"
    at, seen, kind = len(MAGIC) + 4, set(), None
    while kind != END:
        kind, version, length, name, instance = struct.unpack_from("<IIQ32s32s", stream, at)
        body = stream[at + 80:at + 80 + length]
        assert len(body) == length, f"{text(name)} is cut short"
        at += 80 + length
        if kind == OBJECT and text(name) not in seen:
            seen.add(text(name))
            yield ""
            yield f"{text(name)} version {version}"
            yield from indented(fields(body, {}))
        elif kind == RAM:
            assert length > 8 and (length - 8) % 4096 == 0
    assert at == len(stream), "something is behind the end"


def description(folder):
    """Every kind of device, and a kernel that ends by itself."""
    kernel, disk = folder / "kernel.elf", folder / "disk.img"
    if not kernel.exists():
        build_selftest(kernel)
        disk.write_bytes(bytes(1 << 20))
    return ["--kernel", kernel, "--append", "traps", "--debug-exit", "0xf4", "--memory", "16M", "--cpus", "2",
            "--disk", disk, "--net", "user", "--console", "none", "--console", "none", "--debugcon", folder / "debug",
            "--engine", "interp"]


def save(folder):
    state = folder / "state"
    with Guest("--paused", *description(folder), default_boot=False, control=True) as vm:
        vm.qmp().command("x-batuta-save", file=str(state))
    return state.read_bytes()


def test_tables(tmp_path):
    now = list(tables(save(tmp_path)))
    assert now == LIST.read_text().splitlines(), "the format of the saved state has changed: see this file's head"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("state-*.gz")) or ["none"])
def test_old_stream_loads(tmp_path, name):
    state = tmp_path / "state"
    state.write_bytes(gzip.decompress((GOLDEN / name).read_bytes()))
    done = subprocess.run([BUILD / "batuta", "run", *description(tmp_path), "--load", state],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * PATIENCE)
    assert done.returncode == PASSED, done.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        stream = save(pathlib.Path(folder))
    lines = list(tables(stream))
    if LIST.exists() and lines == LIST.read_text().splitlines():
        print("nothing has changed")
        return
    LIST.write_text("\n".join(lines) + "\n")
    number = 1 + sum(1 for _ in GOLDEN.glob("state-*.gz"))
    (GOLDEN / f"state-{number}.gz").write_bytes(gzip.compress(stream, mtime=0))
    print(f"wrote {LIST.name} and state-{number}.gz")


if __name__ == "__main__":
    sys.exit(main())
