"""Histories, page by page and as they happen: what is durable, in order, without a gap, over restarts of the server."""

import http.client
import json
import socket
import threading

import pytest

from harness import problem, quote, wait_until
from participants import NO, reply, two_phase


class Stream:
    """A client of server-sent events that reads in the background."""

    def __init__(self, server, gid, last=None, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        if server.token:
            headers["Authorization"] = f"Bearer {server.token}"
        self.connection.request("GET", f"/v1/transactions/{quote(gid)}/events", headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.events, self.comments, self.ended, self.broken = [], 0, False, None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        try:
            while line := self.answer.readline():
                line = line.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    data = json.loads(event["data"])
                    assert event["id"] == str(data["seq"]) and event["event"] == data["type"], event
                    self.events.append(data)
                    event = {}
            self.ended = True
        except Exception as error:
            self.broken = error

    def types(self):
        return [event["type"] for event in self.events]

    def wait_end(self, timeout=15):
        wait_until(lambda: self.ended or self.broken, timeout, f"the stream to end; {self.types()}")
        assert self.broken is None, self.broken
        return self

    def close(self):
        """Not by closing the answer, which would wait for its reader."""
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.connection.close()


def history(server, gid, **query):
    answer = server.get(f"/v1/transactions/{quote(gid)}/history", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def whole_history(server, gid):
    """With its end: an answer that it has ended may come a moment before that is durable."""
    def ended():
        events = history(server, gid, limit=1000)["events"]
        return events if events[-1]["type"] == "finished" else None

    return wait_until(ended, what=f"the end of {gid} to be durable")


def metric(server, name):
    text = server.get("/metrics").text
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[1])


COMMITTED = ["begun", "phase", "voted", "voted", "decided", "acknowledged", "acknowledged", "finished"]


def test_a_history_is_what_happened(server, make_participant):
    a, b = make_participant(), make_participant()
    server.submit(two_phase("a/b", a.branch("x"), b.branch("y")), wait="finished")
    events = whole_history(server, "a/b")
    view = server.read("a/b")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["seq"] == view["seq"]
    assert sorted(event["type"] for event in events) == sorted(COMMITTED)
    decided = next(event for event in events if event["type"] == "decided")
    assert decided["outcome"] == "committed" and decided["at"] == view["decided_at"]
    b.on("prepare", NO)
    server.submit(two_phase("no", a.branch("x"), b.branch("y")), wait="finished")
    decided = next(event for event in whole_history(server, "no") if event["type"] == "decided")
    assert (decided["outcome"], decided["reason"]["code"], decided["reason"]["branch"]) == ("aborted", "refused", "y")


def test_a_history_in_pages(server, make_participant):
    a = make_participant()
    server.submit(two_phase("g", *(a.branch(f"b{n}") for n in range(5))), wait="finished")
    whole = whole_history(server, "g")
    for limit in (1, 2, 7):
        pages, cursor = [], None
        while True:
            page = history(server, "g", limit=limit, **({"cursor": cursor} if cursor else {}))
            assert len(page["events"]) <= limit
            pages += page["events"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert pages == whole, limit


def test_a_stream_begins_with_what_was_and_ends_with_the_end(server, make_participant):
    a, b = make_participant(), make_participant()
    release = threading.Event()
    b.on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x"), b.branch("y", retry={"first_ms": 50, "max_ms": 50})), wait="decided")
    stream = Stream(server, "g")
    assert stream.status == 200 and stream.answer.getheader("Content-Type") == "text/event-stream"
    assert stream.answer.getheader("Cache-Control") == "no-store"
    wait_until(lambda: "acknowledged" in stream.types(), what="what had happened")
    assert not stream.ended and "finished" not in stream.types()
    b.on("commit", reply(200))
    release.set()
    assert stream.wait_end().types()[-1] == "finished"
    assert stream.events == history(server, "g")["events"], "the stream is the history"


def test_going_on_behind_an_event(server, make_participant):
    a = make_participant()
    server.submit(two_phase("g", a.branch("x")), wait="finished")
    events = whole_history(server, "g")
    for last in range(len(events)):
        assert Stream(server, "g", last=last).wait_end().events == events[last:]
    for known in (len(events), len(events) + 1, 10**15):
        stream = Stream(server, "g", last=known)
        assert stream.status == 204 and stream.answer.read() == b"" and stream.answer.getheader("Content-Type") is None
    answer = server.get("/v1/transactions/g/events", headers={"Last-Event-ID": str(len(events))})
    assert answer.status_code == 204
    assert Stream(server, "g", last="").wait_end().events == events


def test_a_stream_over_kill_9(server, make_participant):
    """Nothing is seen twice, nothing is missing, and nothing that was seen is taken back."""
    a, b = make_participant(), make_participant()
    b.on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x"), b.branch("y", retry={"first_ms": 50, "max_ms": 50})), wait="decided")
    seen = []
    for _ in range(3):
        stream = Stream(server, "g", last=seen[-1]["seq"] if seen else None)
        assert stream.status == 200
        if not seen:
            wait_until(lambda: "decided" in stream.types(), what="the decision")
        server.kill9()
        wait_until(lambda: stream.broken or stream.ended, what="the stream to break")
        seen += stream.events
        server.start()
    stream = Stream(server, "g", last=seen[-1]["seq"])
    b.on("commit", reply(200))
    seen += stream.wait_end().events
    whole = history(server, "g")["events"]
    assert seen == whole and [event["seq"] for event in whole] == list(range(1, len(whole) + 1))


def test_a_client_that_goes_away_frees_everything(server, make_participant):
    a = make_participant()
    server.submit({"gid": "open", "mode": "two_phase", "start": False, "branches": [a.branch("x")]})
    streams = [Stream(server, "open") for _ in range(20)]
    wait_until(lambda: all(stream.events for stream in streams), what="the streams to begin")
    assert metric(server, "unanim_http_event_streams") == 20
    for stream in streams:
        stream.close()
    wait_until(lambda: metric(server, "unanim_http_event_streams") == 0, what="the streams to end")
    wait_until(lambda: metric(server, "unanim_http_connections") <= 2, what="the connections to end")


def test_the_bound_on_streams(make_server, make_participant):
    """Other requests keep their half of the connections."""
    server = make_server(prefix=["prlimit", "--nofile=40:40"])
    bound = int(metric(server, "unanim_http_connections_max")) // 2
    server.submit({"gid": "open", "mode": "two_phase", "start": False})
    streams = [Stream(server, "open") for _ in range(bound)]
    assert {stream.status for stream in streams} == {200}
    answer = server.get("/v1/transactions/open/events")
    assert problem(answer, 429, "too_many_streams")["retryable"] and answer.headers["Retry-After"]
    streams.pop().close()
    wait_until(lambda: metric(server, "unanim_http_event_streams") < bound, what="a place")
    assert Stream(server, "open").status == 200


def test_a_reader_that_is_slow_delays_nobody(server, make_participant):
    a = make_participant()
    many = [a.branch(f"b{n}") for n in range(2000)]
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.submit(two_phase("g", *many, start=False))
    slow.sendall(b"GET /v1/transactions/g/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert server.post("/v1/transactions/g/commit", params={"wait": "finished"}, timeout=60).status_code == 200
    quick = Stream(server, "g")
    assert quick.wait_end(30).types()[-1] == "finished" and len(quick.events) > 4000
    received = b""
    slow.settimeout(20)
    while b"event: finished" not in received[-1000:]:
        received += slow.recv(1 << 16)
    assert received.count(b"\nid: ") + received.count(b"\n\r\nid: ") >= len(quick.events) - 1
    slow.close()


def test_a_ping_every_fifteen_seconds(server):
    server.submit({"gid": "open", "mode": "two_phase", "start": False})
    stream = Stream(server, "open")
    wait_until(lambda: stream.comments, 20, "a ping")
    assert stream.types() == ["begun"] and not stream.ended


def test_an_abort_that_nobody_asked_for_is_seen(server, make_participant):
    server.submit({"gid": "late", "mode": "two_phase", "start": False, "timeout_ms": 300})
    stream = Stream(server, "late").wait_end()
    assert stream.types() == ["begun", "decided", "finished"] and stream.events[1]["reason"]["code"] == "deadline"


BAD = [
    ("GET", "history?limit=0"), ("GET", "history?limit=1001"), ("GET", "history?limit=x"), ("GET", "history?limit=-1"),
    ("GET", "history?limit="), ("GET", "history?cursor="), ("GET", "history?cursor=x"), ("GET", "history?cursor=-1"),
    ("GET", "history?cursor=99999999999999999999999999"), ("GET", "history?colour=red"), ("GET", "history?limit=1&limit=2"),
    ("GET", "events?limit=1"), ("POST", "retry?wait=finished"),
]


@pytest.mark.parametrize(("method", "rest"), BAD)
def test_bad_queries(server, method, rest):
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    found = problem(server.request(method, f"/v1/transactions/g/{rest}"), 400, "invalid_request")
    assert found["errors"][0]["pointer"].startswith("?")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1, 2", "9" * 40, "0x1", "é"])
def test_a_last_event_id_that_is_none(server, last):
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    problem(server.get("/v1/transactions/g/events", headers={"Last-Event-ID": last.encode()}), 400, "invalid_request")


def test_methods_and_unknown_gids(server):
    for rest in ("history", "events"):
        problem(server.get(f"/v1/transactions/nobody/{rest}"), 404, "not_found")
        assert server.post(f"/v1/transactions/g/{rest}").headers["Allow"] == "GET, HEAD"
    problem(server.post("/v1/transactions/nobody/retry"), 404, "not_found")
    assert server.get("/v1/transactions/g/retry").headers["Allow"] == "POST"
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    head = server.request("HEAD", "/v1/transactions/g/events")
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream" and head.content == b""
    wait_until(lambda: metric(server, "unanim_http_event_streams") == 0, what="nothing to be left of it")


def test_a_token_is_needed(make_server, tmp_path):
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret")
    (tmp_path / "token").chmod(0o600)
    server = make_server("--token-file", tmp_path / "token")
    for method, rest in (("GET", "history"), ("GET", "events"), ("POST", "retry")):
        problem(server.request(method, f"/v1/transactions/g/{rest}"), 401, "unauthenticated")


def test_retry_calls_at_once(server, make_participant):
    a = make_participant()
    a.on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x", retry={"first_ms": 60_000, "max_ms": 60_000})), wait="decided")
    a.wait_call("commit", "g")
    wait_until(lambda: server.read("g")["branches"][0]["next_at"], what="the backoff")
    a.on("commit", reply(200))
    answer = server.post("/v1/transactions/g/retry")
    assert answer.status_code == 202 and answer.json()["outcome"] == "committed"
    server.wait_phase("g", "committed", timeout=5)
    assert len(a.calls("commit")) == 2
    for body in (None, "{}"):
        answer = server.post("/v1/transactions/g/retry", data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200 and answer.json()["phase"] == "committed", "it has ended: nothing is done"
    assert len(a.calls("commit")) == 2


@pytest.mark.parametrize(("body", "kind", "status", "code"), [
    ("[]", "application/json", 400, "invalid_request"), ('{"now":true}', "application/json", 400, "invalid_request"),
    ("{", "application/json", 400, "malformed_json"), ("{}", "text/plain", 415, "unsupported_media_type"),
])
def test_a_retry_says_nothing_more(server, body, kind, status, code):
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    problem(server.post("/v1/transactions/g/retry", data=body, headers={"Content-Type": kind}), status, code)
