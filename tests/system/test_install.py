# SPDX-License-Identifier: GPL-2.0-or-later
"""What `make install` puts in place works from there."""

import os
import subprocess

import pytest

from harness import BUILD, PATIENCE


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True,
                   env={**os.environ, "DESTDIR": str(folder)})
    return folder


def find(root, name):
    found = list(root.rglob(name))
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def test_programs_find_each_other(root):
    done = subprocess.run([find(root, "bin/batuta"), "run", "--help"], capture_output=True, text=True, timeout=20 * PATIENCE)
    assert done.returncode == 0 and "--kernel" in done.stdout


def test_manual(root):
    for page in ("batuta", "batuta-run", "batuta-doctor", "batuta-hv"):
        assert find(root, f"{page}.1").parent.name == "man1"


@pytest.mark.parametrize("line, offers", [
    ("batuta ''", ["run", "doctor", "ctl", "stats", "profile", "code", "hv", "version", "help"]),
    ("batuta run --kernel-", ["--kernel-format"]),
    ("batuta run --cpu ''", ["v2", "v3", "host"]),
    ("batuta run --trace e", ["engine", "exception"]),
    ("batuta run --rng ''", ["on", "off"]),
    ("batuta run ke", ["kernel one.elf"]),
    ("batuta run --kernel ke", ["kernel one.elf"]),
    ("batuta doctor ''", ["--json"]),
    ("batuta ctl nowhere.sock --", ["--events"]),
    ("batuta stats ke", ["kernel one.elf"]),
    ("batuta stats vm.sock --", ["--json"]),
    ("batuta profile vm.sock --s", ["--seconds", "--symbols"]),
    ("batuta help d", ["doctor"]),
    ("batuta hv ''", ["check"]),
    ("batuta hv check ke", ["kernel one.elf"]),
    ("batuta hv check --m", ["--modules", "--memory"]),
])
def test_completion(root, tmp_path, line, offers):
    (tmp_path / "kernel one.elf").touch()
    script = f"""
        source '{find(root, "batuta.bash")}'
        COMP_WORDS=({line})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _batuta "${{COMP_WORDS[0]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert sorted(done.stdout.splitlines()) == sorted(offers), done.stderr
