"""Starts, kills and watches the real processes that the black-box tests are about.

Every process logs to a file in the test's own folder; a test that fails shows the end of each log. Nothing here sleeps
and hopes: everything waits for a condition with a time limit (`wait_until`).
"""

import atexit
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import requests

import described

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = pathlib.Path(__file__).resolve().parent

# A proxy in the caller's environment has no business between processes of one machine.
os.environ["NO_PROXY"] = "*"

_started = []
_started_lock = threading.Lock()


def binary():
    """The `unanim` under test: what UNANIM_BIN names, else the release build, else the debug build."""
    named = os.environ.get("UNANIM_BIN")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    candidates = [pathlib.Path(named)] if named else [target / "release/unanim", target / "debug/unanim"]
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK):
            return str(path.resolve())
    raise RuntimeError(f"no unanim binary at {candidates}: build it, or name it in UNANIM_BIN")


def wait_until(condition, timeout=10.0, what="the condition", every=0.01):
    """Polls until `condition()` is truthy and returns that value; fails, saying what it waited for, after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}; last seen: {value!r}")
        time.sleep(every)


_ports = random.Random(os.getpid() ^ int(time.time() * 1000))


def free_port():
    """A port nobody listens on, below the range from which the kernel takes the ports of outgoing connections: else a
    client's connection could sit on the port of a server that is to be restarted on it."""
    for _ in range(1000):
        port = _ports.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port between 10000 and 32000")


def clean_env(extra=None):
    """The environment without any setting of ours that the caller's shell may have."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UNANIM_")}
    env["PYTHONUNBUFFERED"] = "1"
    env.update(extra or {})
    return env


class Process:
    """One process, its log and its restarts. Subclasses say which command it is and when it is ready."""

    def __init__(self, command, log_path, env=None, cwd=None):
        self.command = [str(part) for part in command]
        self.log_path = pathlib.Path(log_path)
        self.env = env
        self.cwd = cwd
        self.popen = None
        self.spawned_at = None
        with _started_lock:
            _started.append(self)

    def spawn(self):
        """Starts it without waiting for anything."""
        assert self.popen is None or self.popen.poll() is not None, f"{self.command} still runs"
        with open(self.log_path, "ab") as log:
            self.mark = log.tell()
            self.spawned_at = time.monotonic()
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd,
                env=clean_env(self.env), start_new_session=True,
            )
        return self

    def is_ready(self):
        raise NotImplementedError

    def start(self, timeout=20.0):
        """Starts it and waits until it serves."""
        self.spawn()
        return self.wait_ready(timeout)

    def wait_ready(self, timeout=20.0):
        def ready_or_dead():
            code = self.popen.poll()
            assert code is None, f"{self.command} ended with {code} before it was ready:\n{self.log()[-3000:]}"
            return self.is_ready()

        wait_until(ready_or_dead, timeout, f"{self.command[1]} to be ready; its log:\n{self.log()[-3000:]}", 0.005)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def kill9(self):
        """SIGKILL to its whole process group, and waits until it is gone."""
        if self.popen is None:
            return self
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(timeout=10)
        return self

    def terminate(self):
        self.popen.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout=20.0):
        """The exit code."""
        try:
            return self.popen.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} still runs after {timeout} s:\n{self.log()[-3000:]}") from None

    def stop(self, timeout=20.0):
        """SIGTERM, and the exit code."""
        self.terminate()
        return self.wait_exit(timeout)

    def log(self):
        """All that it ever wrote, over all starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_since_start(self):
        return self.log_path.read_bytes()[self.mark :].decode(errors="replace")


def kill_everything():
    """Called after every test and at exit: nothing stays behind, whatever the test did."""
    with _started_lock:
        processes, _started[:] = list(_started), []
    for process in processes:
        process.kill9()
    return processes


atexit.register(kill_everything)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Server(Process):
    """`unanim serve` on a port and a data folder of its own."""

    def __init__(self, folder, *args, port=None, data=None, env=None, listen=True, name="server", prefix=()):
        self.folder = pathlib.Path(folder)
        self.port = port or free_port()
        self.data = pathlib.Path(data or self.folder / f"{name}-data")
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = None
        command = [*prefix, binary(), "serve", "--data-dir", self.data]
        if listen:
            command += ["--listen", f"127.0.0.1:{self.port}"]
        super().__init__([*command, *args], self.folder / f"{name}.log", env, cwd=self.folder)

    def is_ready(self):
        try:
            return requests.get(self.url + "/readyz", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def request(self, method, path, timeout=30, **kwargs):
        if self.token:
            kwargs.setdefault("headers", {})["Authorization"] = f"Bearer {self.token}"
        answer = self.session.request(method, self.url + path, timeout=timeout, allow_redirects=False, **kwargs)
        if not kwargs.get("stream"):
            described.document_of(self).check(method, answer.request.url, answer)
        return answer

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.request("POST", path, **kwargs)

    def submit(self, body, wait=None, timeout_ms=None, **kwargs):
        """A v1 submission; `body` is an object, or text that is sent as it is."""
        query = {"wait": wait, "timeout_ms": timeout_ms}
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        headers = {"Content-Type": "application/json", **kwargs.pop("headers", {})}
        return self.post("/v1/transactions", params=query, data=data, headers=headers, **kwargs)

    def read(self, gid):
        """The v1 view of a transaction that must exist."""
        answer = self.get("/v1/transactions/" + quote(gid))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_phase(self, gid, *phases, timeout=15.0):
        """Reads until the transaction is in one of these phases; the last view."""
        def view():
            seen = self.read(gid)
            return seen if seen["phase"] in phases else None

        return wait_until(view, timeout, f"{gid} to be {phases}, is {self.read(gid)['phase']}")


class DemoParticipant(Process):
    """`unanim demo-participant`: a durable one, the same on every restart."""

    def __init__(self, folder, name, *args, accounts=None, port=None):
        self.name = name
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        folder = pathlib.Path(folder)
        command = [binary(), "demo-participant", "--listen", self.address, "--data-dir", folder / f"{name}-data", "--name", name]
        for account, balance in (accounts or {}).items():
            command += ["--account", f"{account}={balance}"]
        super().__init__([*command, *args], folder / f"{name}.log", cwd=folder)

    def is_ready(self):
        try:
            return requests.get(self.url + "/livez", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def books(self):
        answer = requests.get(self.url + "/books", timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()


def quote(text):
    """A gid or branch id as one path segment."""
    return urllib.parse.quote(text, safe="")


def problem(answer, status, code=None):
    """Asserts that an answer is a problem+json of this status and code, and returns it."""
    assert answer.status_code == status, f"{answer.status_code}, not {status}: {answer.text[:500]}"
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json", answer.headers
    body = answer.json()
    assert body["status"] == status, body
    for field in ("type", "title", "code", "retryable"):
        assert field in body, body
    assert body["type"] == f"/docs/errors/{body['code']}", body
    if code is not None:
        assert body["code"] == code, body
    return body


def raw_exchange(port, data, timeout=10.0, host="127.0.0.1"):
    """Sends bytes and returns all that comes back until the other side closes or is silent for `timeout`."""
    with socket.create_connection((host, port), timeout=timeout) as sock:
        sock.sendall(data)
        return read_reply(sock)


def read_reply(sock):
    """Reads one HTTP reply as far as its Content-Length goes, or to the end of the connection."""
    received = b""
    while True:
        head, mark, body = received.partition(b"\r\n\r\n")
        if mark:
            lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if lengths and len(body) >= int(lengths[0]):
                return received
        try:
            piece = sock.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return received
        if not piece:
            return received
        received += piece


def run_unanim(*args, timeout=20.0, env=None, cwd=None, stdin=None):
    """A `unanim` command that ends by itself: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [binary(), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=timeout, env=clean_env(env), cwd=cwd,
        stdin=subprocess.DEVNULL if stdin is None else None,
    )
    return done.returncode, done.stdout, done.stderr
