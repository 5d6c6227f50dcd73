# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel images made to be wrong in one place."""

import struct

PT_LOAD, PT_NOTE = 1, 4
HLT = b"\xfa\xf4\xeb\xfd"


def elf(segments=((0x100000, HLT),), bits=64, machine=None, kind=2, entry=0x100000, data=1, phnum=None, phentsize=None,
        phoff=None, sizes=None):
    """An ELF executable of segments (address, bytes); sizes says (file size, memory size, offset) where they lie."""
    wide = bits == 64
    header = 64 if wide else 52
    entry_size = 56 if wide else 32
    count = len(segments)
    body = b""
    table = b""
    at = (header + entry_size * count + 0xfff) & ~0xfff
    for i, (address, content) in enumerate(segments):
        filesz, memsz, offset = (sizes or {}).get(i, (len(content), len(content), at + len(body)))
        if wide:
            table += struct.pack("<IIQQQQQQ", PT_LOAD, 7, offset, address, address, filesz, memsz, 0x1000)
        else:
            table += struct.pack("<IIIIIIII", PT_LOAD, offset, address, address, filesz, memsz, 7, 0x1000)
        body += content
    machine = machine if machine is not None else (62 if wide else 3)
    ident = b"\x7fELF" + bytes([2 if wide else 1, data, 1]) + bytes(9)
    rest = struct.pack("<HHI" + ("QQQ" if wide else "III"), kind, machine, 1, entry, header if phoff is None else phoff,
                       0)
    rest += struct.pack("<IHHHHHH", 0, header, entry_size if phentsize is None else phentsize,
                        count if phnum is None else phnum, 0, 0, 0)
    image = ident + rest + table
    return image.ljust(at, b"\0") + body


def multiboot1(flags=0, checksum=None, addresses=None):
    """A flat or (without addresses) an ELF kernel with a multiboot 1 header."""
    magic = 0x1badb002
    if checksum is None:
        checksum = -(magic + flags) & 0xffffffff
    header = struct.pack("<III", magic, flags, checksum)
    if addresses is None:
        return elf([(0x100000, header + HLT)], bits=32, entry=0x10000c)
    return header + struct.pack("<IIIII", *addresses) + HLT * 64


def multiboot2(tags=((0, 0, b""),), checksum=None, length=None):
    """Tags are (type, flags, content); each gets its length and padding."""
    magic = 0xe85250d6
    body = b""
    for kind, flags, content in tags:
        tag = struct.pack("<HHI", kind, flags, 8 + len(content)) + content
        body += tag.ljust((len(tag) + 7) & ~7, b"\0")
    length = 16 + len(body) if length is None else length
    if checksum is None:
        checksum = -(magic + length) & 0xffffffff
    header = struct.pack("<IIII", magic, 0, length, checksum) + body
    return elf([(0x100000, header + HLT)], bits=64, entry=0x100000 + len(header))


def patched(image, offset, fmt, value):
    image = bytearray(image)
    struct.pack_into("<" + fmt, image, offset, value)
    return bytes(image)
