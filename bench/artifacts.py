# SPDX-License-Identifier: GPL-2.0-or-later
"""What the subjects run: the first kernels, the kernels binary, its initramfs, the disk of program workloads."""

import os
import pathlib
import random
import shutil
import subprocess
import tarfile

from harness import BUILD, GUESTS, TOP

HERE = pathlib.Path(__file__).resolve().parent
MADE = BUILD / "bench"
CFLAGS = ["-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"]


def call(*command, **kwargs):
    return subprocess.run([str(c) for c in command], check=True, **kwargs)


def stale(made, *sources):
    return not made.exists() or any(s.stat().st_mtime > made.stat().st_mtime for s in sources)


def first_kernel(work):
    """Ends the machine with its first instruction; multiboot."""
    out = work / "first.elf"
    call("gcc", "-m32", "-c", HERE / "guest" / "first.S", "-o", work / "first.o")
    call("ld", "-n", "-m", "elf_i386", "--section-start=.multiboot=0x100000", "-Ttext=0x100040", "-e", "_start", "-o", out,
         work / "first.o")
    return out


def first_bios(work):
    """The same as firmware."""
    out = work / "first.bin"
    call("gcc", "-m32", "-c", HERE / "guest" / "first-bios.S", "-o", work / "bios.o")
    call("objcopy", "-O", "binary", "-j", ".text", work / "bios.o", out)
    return out


def kernels():
    """The one binary of all small kernels, for the host and all guests."""
    sources = sorted((HERE / "guest" / "kernels").glob("*.[ch]"))
    out = MADE / "kernels"
    if stale(out, *sources):
        MADE.mkdir(exist_ok=True)
        call(os.environ.get("CC", "gcc"), *CFLAGS, "-o", out, *(s for s in sources if s.suffix == ".c"))
    return out


def kernels_initrd():
    """The small guest's initramfs with /bin/kernels in it: Linux reads archives one behind the other."""
    out, binary = MADE / "initrd.gz", kernels()
    if stale(out, binary, GUESTS / "initrd.gz", pathlib.Path(__file__)):
        tree = MADE / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "bin").mkdir(parents=True)
        shutil.copy(binary, tree / "bin" / "kernels")
        packed = call("sh", "-c", "find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n", cwd=tree,
                      stdout=subprocess.PIPE).stdout
        base = (GUESTS / "initrd.gz").read_bytes()
        out.write_bytes(base + bytes(-len(base) % 4) + packed)
    return out


def bench_root():
    """The Debian root with the programs: (its image, the same tree as a folder for the host)."""
    call(TOP / "tools" / "guests", GUESTS, "bench")
    return GUESTS / "bench.img", GUESTS / "bench-root"


def c_source(lines):
    """A C file of about so many lines: functions with loops, branches, tables, structures and calls to each other."""
    dice = random.Random(5)
    text = ["#include <stdint.h>", "#include <stdio.h>", "#include <string.h>", "",
            "struct item { uint32_t key, weight; int64_t score; struct item *next; };", ""]
    count = 0
    while len(text) < lines:
        a, b, c = (dice.randrange(3, 60) for _ in range(3))
        other = f"work_{dice.randrange(count)}(items, n - 1)" if count else "(int64_t)n"
        text += [f"static const int32_t table_{count}[8] = {{{', '.join(str(dice.randrange(999)) for _ in range(8))}}};",
                 f"int64_t work_{count}(struct item *items, unsigned n)", "{",
                 f"    int64_t sum = {a};", "    char text[64];", "",
                 "    for (unsigned i = 0; i < n; i++) {", "        struct item *p = &items[i];", "",
                 f"        if (p->key % {b} == {c % b})", f"            sum += p->score * {a} + table_{count}[i & 7];",
                 f"        else if (p->weight > {c * 7})", f"            sum ^= p->score >> {a % 13};",
                 "        else", "            for (struct item *q = p->next; q; q = q->next)",
                 f"                sum += q->weight / {b}u;", f"        switch (sum & {3 | a & 4}) {{"]
        for case in range(4):
            text += [f"        case {case}:", f"            p->score = sum * {dice.randrange(2, 99)};", "            break;"]
        text += ["        }", "    }", f'    snprintf(text, sizeof(text), "{count} %d", (int)sum);',
                 f"    return sum + (int64_t)strlen(text) + (n ? {other} : 0);", "}", ""]
        count += 1
    return "\n".join(text) + "\n"


def sql_script(rows):
    dice = random.Random(7)
    yield "PRAGMA journal_mode=DELETE;\nCREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, price REAL);"
    yield "CREATE INDEX by_kind ON item(kind);\nBEGIN;"
    for i in range(rows):
        yield f"INSERT INTO item VALUES({i},'name {dice.randrange(rows)} of {i}',{dice.randrange(500)},{i % 977}.25);"
    yield "COMMIT;"
    for i in range(max(rows // 500, 1)):
        yield f"SELECT count(*), sum(price) FROM item WHERE kind = {dice.randrange(500)};"
        yield f"SELECT name FROM item WHERE id BETWEEN {i * 7} AND {i * 7 + 20} ORDER BY name LIMIT 3;"
    yield "SELECT kind, count(*), max(name) FROM item GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 20;"
    yield "UPDATE item SET price = price * 2 WHERE kind < 250;\nSELECT sum(price) FROM item WHERE name LIKE '%99%';"


def programs_disk(work, percent):
    """A tar archive, which a guest reads straight from its second disk: the workloads, sized to so many percent."""
    tree = work / "programs"
    shutil.copytree(HERE / "guest" / "programs", tree)
    shutil.copy(kernels(), tree / "kernels")
    (tree / "percent").write_text(f"{percent}\n")
    (tree / "big.c").write_text(c_source(5000 * percent // 100))
    with open(tree / "items.sql", "w", encoding="ascii") as out:
        out.writelines(line + "\n" for line in sql_script(100000 * percent // 100))
    disk = work / "programs.tar"
    with tarfile.open(disk, "w") as tar:
        tar.add(tree, arcname=".")
    return disk
