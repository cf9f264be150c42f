"""Participants whose every answer a test decides, down to the bytes.

They keep nothing durable and live inside the test: for what a participant *does*, see demo-participant and
flask_participant.py; these are for what a coordinator makes of it.
"""

import dataclasses
import json
import http.server
import socket
import socketserver
import threading
import time
import urllib.parse

import requests

import harness


@dataclasses.dataclass
class Call:
    at: float
    path: str
    op: str
    gid: str
    branch: str
    headers: dict
    body: bytes


def reply(status=200, body=b"", content_type="application/json", **headers):
    """An ordinary answer; an object is sent as JSON, text as it is. `retry_after=1` becomes `Retry-After: 1`."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def behave(handler, _call):
        handler.send_response(status)
        if data:
            handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return behave


YES = reply(200, {"result": "success"})
NO = reply(200, {"result": "failed", "detail": "the test says no"})


def raw(data):
    """These bytes, then the connection closes."""

    def behave(handler, _call):
        handler.wfile.write(data)
        handler.close_connection = True

    return behave


def drip(data, every=0.05):
    """An answer that comes byte by byte."""

    def behave(handler, _call):
        handler.close_connection = True
        for at in range(len(data)):
            handler.wfile.write(data[at : at + 1])
            handler.wfile.flush()
            if handler.server.owner.closed.wait(every):
                return

    return behave


def endless(piece=b'{"result":"success"}' + b" " * 65536):
    """A chunked 200 whose body never ends."""

    def behave(handler, _call):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not handler.server.owner.closed.is_set():
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    return behave


def silence(until=None):
    """No answer until the event `until` (or the participant's end), then yes."""

    def behave(handler, call):
        closed = handler.server.owner.closed
        while not closed.is_set() and not (until and until.wait(0.02)):
            if not until:
                closed.wait(3600)
        if not closed.is_set():
            YES(handler, call)

    return behave


def cut():
    """Closes the connection without a word."""

    def behave(handler, _call):
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    return behave


def slow(seconds, then=YES):
    """Answers after a while."""

    def behave(handler, call):
        if not handler.server.owner.closed.wait(seconds):
            then(handler, call)

    return behave


def forward(url, statuses):
    """Passes a GET on to another server, and notes in `statuses` what it said."""

    def behave(handler, call):
        answer = requests.get(url + call.path, timeout=10)
        statuses.append(answer.status_code)
        reply(answer.status_code, answer.content, answer.headers["Content-Type"])(handler, call)

    return behave


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.owner._opened(self.connection)

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        classic = self.path.partition("?")[0].split("/")
        op = self.headers.get("Unanim-Op") or classic[-1]
        gid = urllib.parse.unquote(self.headers.get("Unanim-Gid") or classic[-2])
        branch = urllib.parse.unquote(self.headers.get("Unanim-Branch") or "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(time.monotonic(), self.path, op, gid, branch, headers, body)
        try:
            self.server.owner._behaviour(call)(self, call)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        self.do_POST()


class _Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass

    def server_bind(self):
        # HTTPServer looks its own name up here, which may ask a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


class Participant:
    """Says yes to everything until told otherwise: `on("prepare", NO)`; several behaviours are taken one per call, and
    the last one stays."""

    def __init__(self, port=None, up=True, tls=None, host="127.0.0.1"):
        self.host, self.port = host, port or harness.free_port()
        self.address = f"{host}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        self._tls = tls
        self._calls = []
        self._lock = threading.Lock()
        self._script = {}
        self._listener = None
        if up:
            self.up()

    def up(self):
        """Listens (again)."""
        self.closed = threading.Event()
        self._connections = []
        self._listener = _Listener((self.host, self.port), _Handler)
        self._listener.owner = self
        if self._tls:
            self._listener.socket = self._tls.wrap_socket(self._listener.socket, server_side=True)
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def close(self):
        """Goes down: refuses connections and breaks those there are."""
        if not self._listener:
            return
        self.closed.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener = None
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _opened(self, connection):
        self._connections.append(connection)

    def _behaviour(self, call):
        with self._lock:
            self._calls.append(call)
            script = self._script.get(call.op)
            if not script:
                return YES
            return script.pop(0) if len(script) > 1 else script[0]

    def on(self, op, *behaviours):
        with self._lock:
            self._script[op] = list(behaviours)
        return self

    def calls(self, op=None, gid=None, branch=None):
        """The calls so far, filtered."""
        with self._lock:
            calls = list(self._calls)
        return [c for c in calls if op in (None, c.op) and gid in (None, c.gid) and branch in (None, c.branch)]

    def ops(self, gid=None):
        return [call.op for call in self.calls(gid=gid)]

    def wait_call(self, op, gid=None, count=1, timeout=10.0):
        """Waits for the `count`th call of this operation and returns it."""
        calls = harness.wait_until(
            lambda: len(self.calls(op, gid)) >= count and self.calls(op, gid), timeout, f"call {count} of {op} {gid or ''}",
        )
        return calls[count - 1]

    def branch(self, branch_id, payload=None, **more):
        """This participant as a branch of a v1 submission."""
        return {"id": branch_id, "endpoint": self.url + "/tx", "payload": payload if payload is not None else {"n": 1}, **more}


def two_phase(gid, *branches, **more):
    """A v1 submission."""
    return {**({"gid": gid} if gid is not None else {}), "mode": "two_phase", "branches": list(branches), **more}
