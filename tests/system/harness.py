# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM under test: batuta's command line with the guest's console on pipes, and its control socket."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BATUTA_BUILD", TOP / "build"))
GUESTS = TOP / "build" / "guests"
# What --engine auto takes where there is no good KVM.
ENGINE = os.environ.get("BATUTA_ENGINE", "bt")
# Sanitized builds are slower; every wait is stretched by this.
PATIENCE = float(os.environ.get("BATUTA_PATIENCE", "1"))
# Exit statuses of batuta run.
OFF, ERROR, USAGE, PANIC, TRIPLE_FAULT, STOPPED = 0, 1, 2, 64, 66, 68


def build_selftest(out):
    """The small guests of tests/guest/kernel as one kernel: `traps` is good everywhere and ends at once."""
    guest = TOP / "tests" / "guest"
    sources = [guest / "kernel" / f"{name}.c" for name in ("doorbell", "moving", "selftest")]
    subprocess.run([guest / "kernel" / "build", out, *sources, guest / "hostile" / "virtio-driver.c"], check=True)
    return out


class GuestError(AssertionError):
    pass


def batuta(*arguments, timeout=30, **kwargs):
    """Runs the command line to its end; stdin is empty."""
    return subprocess.run([BUILD / "batuta", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=timeout * PATIENCE, **kwargs)


class Qmp:
    """A client of the control socket."""

    def __init__(self, path, seconds=10):
        end = time.monotonic() + seconds * PATIENCE
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.buffer = b""
        self.events = []
        self.greeting = self.read()
        self.command("qmp_capabilities")

    def poll(self, seconds):
        """The next message, or None if none came in time."""
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            if not select.select([self.socket], [], [], max(end - time.monotonic(), 0))[0]:
                return None
            chunk = self.socket.recv(65536)
            if not chunk:
                raise GuestError("the control socket was closed")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def read(self, seconds=60):
        message = self.poll(seconds * PATIENCE)
        if message is None:
            raise GuestError("nothing came over the control socket")
        return message

    def send(self, name, **arguments):
        message = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def command(self, name, **arguments):
        self.send(name, **arguments)
        while True:
            answer = self.read()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise GuestError(f"{name}: {answer['error']}")
            else:
                return answer["return"]

    def take_event(self, name):
        for event in self.events:
            if event["event"] == name:
                self.events.remove(event)
                return event
        return None

    def wait_event(self, name, seconds=60, console=None):
        """console: what its guest says meanwhile is read, so that no pipe fills up."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            event = self.take_event(name)
            if event:
                return event
            if time.monotonic() > end:
                raise GuestError(f"no event {name}" + (f"; the last that came:\n{console.tail()}" if console else ""))
            if console:
                console.read_some(0)
            message = self.poll(0.1)
            if message and "event" in message:
                self.events.append(message)


class Console:
    """A process with a console on its standard streams. Everything it said is in .output (bytes)."""

    def __init__(self, command, stderr=subprocess.STDOUT, **kwargs):
        self.output = b""
        self.mark = 0
        self.count = 0
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=stderr, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def tail(self):
        return self.output[-3000:].decode(errors="replace")

    def read_some(self, seconds):
        """False at the end of the output."""
        if select.select([self.process.stdout], [], [], max(seconds, 0))[0]:
            chunk = os.read(self.process.stdout.fileno(), 65536)
            self.output += chunk
            return bool(chunk)
        return True

    def wait_for(self, text, seconds=120):
        """Returns the output from the last mark up to text, and moves the mark behind it."""
        wanted = text.encode()
        end = time.monotonic() + seconds * PATIENCE
        while True:
            at = self.output.find(wanted, self.mark)
            if at >= 0:
                found = self.output[self.mark:at + len(wanted)]
                self.mark = at + len(wanted)
                return found.decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0 or not self.read_some(left):
                raise GuestError(f"'{text}' did not come; the last that came:\n{self.tail()}")

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def boot(self, seconds=180):
        self.wait_for("batuta: shell ready", seconds)
        self.run("dmesg -n 1") # or the kernel talks into what commands print
        return self

    def run(self, command, seconds=60, check=True):
        """Runs a command in the guest's shell and returns what it printed."""
        self.count += 1
        mark = f"<{self.count}:"
        # $'' and quotes keep the marks out of the echoed line.
        self.type(f"echo '{mark[0]}'{mark[1:]}begin; {command}; echo '{mark[0]}'{mark[1:]}$?:end\n")
        self.wait_for(f"{mark}begin", seconds)
        text = self.wait_for(":end", seconds)
        body, _, status = text[:-len(":end")].rpartition(mark)
        if check and status != "0":
            raise GuestError(f"'{command}' ended with {status}:\n{body}")
        return body.replace("\r\n", "\n").strip("\n")

    def end(self, seconds=60):
        """Waits for batuta to exit; returns its status."""
        end = time.monotonic() + seconds * PATIENCE
        while self.read_some(end - time.monotonic()):
            if time.monotonic() > end:
                raise GuestError(f"the VM did not end; the last that came:\n{self.tail()}")
        return self.process.wait(10 * PATIENCE)


class Guest(Console):
    """batuta run with the console on stdio."""

    def __init__(self, *options, engine=None, control=False, kernel=None, initrd=None, append="console=ttyS0",
                 default_boot=True, stderr=subprocess.STDOUT, **kwargs):
        self.folder = tempfile.TemporaryDirectory(prefix="batuta-test-")
        command = [BUILD / "batuta", "run", "--engine", engine or ENGINE]
        if default_boot:
            command += ["--kernel", kernel or GUESTS / "vmlinuz", "--append", append]
            if initrd is not False:
                command += ["--initrd", initrd or GUESTS / "initrd.gz"]
        self.control = pathlib.Path(self.folder.name) / "control"
        if control:
            command += ["--control", self.control]
        super().__init__([*command, *options], stderr, **kwargs)

    def __exit__(self, *_):
        super().__exit__(*_)
        self.folder.cleanup()

    def qmp(self):
        return Qmp(self.control)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)


@contextlib.contextmanager
def http_server(content):
    """A server on the host's loopback that answers every GET with the content: (port, its sha256)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, hashlib.sha256(content).hexdigest()
    finally:
        server.shutdown()
        server.server_close()
