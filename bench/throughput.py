# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk and network of the small guest under interp, beside TCG's."""

import http.server
import os
import threading

import peers
from footprint import beside, small_guest


def serve(folder):
    """50 MB over HTTP on the host's loopback; returns the port."""
    (folder / "blob").write_bytes(os.urandom(50 << 20))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def rates(guest, port):
    def seconds(command):
        text = guest.run(f"t=$(cut -d' ' -f1 /proc/uptime); {command} >/dev/null 2>&1; echo $t $(cut -d' ' -f1 /proc/uptime)",
                         seconds=300)
        first, last = (float(x) for x in text.split())
        return max(last - first, 0.01)

    return {
        "virtio-blk read, 1 MiB direct": 64 / seconds("dd if=/dev/vda of=/dev/null bs=1M count=64 iflag=direct"),
        "virtio-blk write, 1 MiB direct": 32 / seconds("dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct"),
        "virtio-net, HTTP download": 50 / seconds(f"wget -q -O /dev/null http://10.0.2.2:{port}/blob"),
    }


def measure(settings):
    port = serve(settings.work)
    disk = settings.work / "disk.img"
    disk.write_bytes(os.urandom(64 << 20))
    with small_guest("--net", "user", "--disk", f"{disk},format=raw") as guest:
        mine = rates(guest.boot(), port)
    with peers.Qemu(disk=disk) as qemu:
        theirs = rates(qemu.boot(), port)
    return [beside(f"(e) {name} (more is better)", "MB/s", mine[name], theirs[name], "QEMU TCG", "as found")
            for name in mine]
