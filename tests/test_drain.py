"""A drain as clients see it: whoever was let in gets an answer, whoever comes later is refused, and streams end whole."""

import http.client
import threading
import time

import pytest
import requests

from harness import wait_until
from participants import reply, silence, two_phase
from test_events import Stream


class Background:
    """A request in a thread of its own."""

    def __init__(self, call):
        self.answer = self.error = None
        self.thread = threading.Thread(target=self.run, args=(call,), daemon=True)
        self.thread.start()

    def run(self, call):
        try:
            self.answer = call()
        except Exception as error:
            self.error = error

    def wait(self, timeout=20):
        self.thread.join(timeout)
        assert self.answer is not None, f"no answer: {self.error}"
        return self.answer


def open_requests(server, gids):
    return wait_until(lambda: [server.get(f"/v1/transactions/{gid}").status_code for gid in gids] == [200] * len(gids), what="all to have begun")


def test_everybody_who_was_let_in_gets_an_answer(make_server, make_participant):
    server = make_server("--drain", "20s")
    a, b = make_participant(), make_participant()
    release = threading.Event()
    b.on("prepare", silence(release))
    b.on("commit", reply(200))
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    idle.request("GET", "/livez")
    assert idle.getresponse().read()
    gids = [f"g{n}" for n in range(10)]
    waiting = [
        Background(lambda gid=gid: requests.post(
            server.url + "/v1/transactions?wait=decided", json=two_phase(gid, a.branch("x"), b.branch("y")), timeout=30,
        )) for gid in gids
    ]
    open_requests(server, gids)
    server.submit({"gid": "open", "mode": "two_phase", "start": False})
    streams = [Stream(server, gid) for gid in ("open", *gids[:3])]
    wait_until(lambda: all(stream.events for stream in streams), what="the streams to begin")
    server.session.close()
    server.terminate()
    for stream in streams:
        stream.wait_end()
        assert "finished" not in stream.types(), "it ends whole, and can go on later"

    def refused():
        try:
            requests.get(server.url + "/livez", timeout=5)
        except requests.ConnectionError:
            return True

    wait_until(refused, what="new connections to be refused")
    # An idle connection is closed, not left to find out.
    wait_until(lambda: idle.sock is None or idle.sock.recv(1) == b"", what="the idle connection to end")
    assert not any(request.answer for request in waiting)
    release.set()
    for request in waiting:
        answer = request.wait()
        assert answer.status_code == 200 and answer.json()["outcome"] == "committed", answer.text
    assert server.wait_exit() == 0
    server.start()
    events = server.get("/v1/transactions/g0/events", headers={"Last-Event-ID": str(streams[1].events[-1]["seq"])}, stream=True)
    assert events.status_code == 200
    assert server.read("open")["phase"] == "active"


def test_at_the_limit_everybody_is_told_how_far_it_is(make_server, make_participant):
    server = make_server("--drain", "1s")
    a = make_participant().on("prepare", silence())
    waiting = [
        Background(lambda n=n: requests.post(
            server.url + "/v1/transactions?wait=finished", json=two_phase(f"g{n}", a.branch("x")), timeout=30,
        )) for n in range(5)
    ]
    open_requests(server, [f"g{n}" for n in range(5)])
    server.session.close()
    started = time.monotonic()
    server.terminate()
    for request in waiting:
        answer = request.wait()
        assert answer.status_code == 202 and answer.json()["phase"] == "preparing", answer.text
    assert server.wait_exit() == 0 and time.monotonic() - started < 5
    server.start()
    assert {server.read(f"g{n}")["outcome"] for n in range(5)} == {"undecided"}


@pytest.mark.parametrize("count", [50])
def test_no_request_of_a_busy_connection_is_lost(make_server, make_participant, count):
    """Keep-alive clients that never stop asking: each request is answered, or the connection was closed before it."""
    server = make_server("--drain", "10s")
    a = make_participant()
    accepted, broken, stop = [], [], threading.Event()

    def client(name):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        number = 0
        while not stop.is_set():
            number += 1
            gid, body = f"{name}-{number}", two_phase(f"{name}-{number}", a.branch("x"))
            try:
                connection.request("POST", "/v1/transactions?wait=decided", requests.compat.json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                broken.append((gid, error))
                return
            if answer.status in (200, 202):
                accepted.append(gid)
            if answer.getheader("Connection") == "close":
                return

    threads = [threading.Thread(target=client, args=(f"c{n}",), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(accepted) > 2 * count, what="some load")
    server.terminate()
    assert server.wait_exit() == 0
    stop.set()
    for thread in threads:
        thread.join(10)
    # What breaks is a request that was sent while the connection was being closed: nobody has read it, or it says so.
    assert all(isinstance(error, (ConnectionError, http.client.RemoteDisconnected)) for _, error in broken), broken[:3]
    server.start()
    for gid in accepted:
        assert server.read(gid)["outcome"] == "committed", gid
