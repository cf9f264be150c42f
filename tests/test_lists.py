"""Lists: every filter, every page, and every way to ask for one wrongly."""

import threading

import pytest

from harness import problem, wait_until
from participants import NO, reply, silence, two_phase


def listed(server, **query):
    """All pages of a list; their gids, in order."""
    found, cursor, pages = [], None, 0
    while True:
        answer = server.get("/v1/transactions", params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["transactions"]) <= query.get("limit", 100)
        found += page["transactions"]
        cursor, pages = page["next_cursor"], pages + 1
        assert pages < 1000
        if cursor is None:
            return [transaction["gid"] for transaction in found]


@pytest.fixture
def some(server, make_participant):
    """Two active, one preparing, one committing, one aborting; three committed, one aborted."""
    a, b, c = (make_participant() for _ in range(3))
    for n in range(3):
        server.submit(two_phase(f"done/{n}", a.branch("x"), b.branch("y")), wait="finished")
    b.on("prepare", NO)
    server.submit(two_phase("refused", a.branch("x"), b.branch("y")), wait="finished")
    for gid in ("active-1", "active-2"):
        server.submit({"gid": gid, "mode": "two_phase", "start": False, "branches": [a.branch("x")]})
    slow = {"retry": {"first_ms": 50_000, "max_ms": 60_000}}
    c.on("commit", reply(503)).on("rollback", reply(503))
    server.submit(two_phase("committing", a.branch("x"), c.branch("y", **slow)), wait="decided")
    server.submit(two_phase("aborting", b.branch("x"), c.branch("y", **slow)), wait="decided")
    c.on("prepare", silence(threading.Event()))
    server.submit(two_phase("preparing", c.branch("y")))
    c.wait_call("prepare", "preparing")
    # An answer that it has ended may come a moment before that is durable.
    wait_until(lambda: listed(server) == OPEN + ENDED, what="all to be where they stay")
    return server, a, b, c


OPEN = ["active-1", "active-2", "committing", "aborting", "preparing"]
ENDED = ["refused", "done/2", "done/1", "done/0"]


def test_open_ones_come_first_then_the_last_that_ended(some):
    server, *_ = some
    assert listed(server)[: len(OPEN)] == OPEN
    assert sorted(listed(server)) == sorted(OPEN + ENDED)
    assert listed(server)[len(OPEN) :] == ENDED
    entry = server.get("/v1/transactions").json()["transactions"][0]
    whole = server.read("active-1")
    del whole["branches"]
    assert entry == whole, "as a read shows it, without its branches"


def test_filters(some):
    server, a, b, c = some
    for query, expected in (
        ({"phase": "active"}, OPEN[:2]), ({"phase": "committing"}, ["committing"]), ({"phase": "aborted"}, ["refused"]),
        ({"phase": "preparing"}, ["preparing"]), ({"outcome": "undecided"}, ["active-1", "active-2", "preparing"]),
        ({"outcome": "aborted"}, ["aborting", "refused"]), ({"outcome": "committed"}, ["committing", *ENDED[1:]]),
        ({"participant": c.url}, ["committing", "aborting", "preparing"]), ({"participant": b.url}, ["aborting", *ENDED]),
        ({"participant": a.url, "phase": "active"}, OPEN[:2]), ({"participant": "http://nobody:1"}, []),
        ({"mode": "two_phase"}, OPEN + ENDED), ({"stuck": "true"}, []), ({"stuck": "false"}, OPEN + ENDED),
        ({"outcome": "committed", "stuck": "false", "limit": 1}, ["committing", *ENDED[1:]]),
    ):
        assert listed(server, **query) == expected, query


def test_between_instants(some):
    server, *_ = some
    begun, ended = server.read("aborting")["created_at"], server.read("done/1")["finished_at"]
    assert listed(server, since_at=begun, outcome="undecided") == ["preparing"]
    assert "aborting" in listed(server, since_at=begun) and "active-1" in listed(server, until_at=begun)
    assert "done/2" not in listed(server, until_at=ended) and "done/1" in listed(server, until_at=ended)
    assert set(ENDED[:3]) <= set(listed(server, since_at=ended)) and listed(server, since_at="2999-01-01T00:00:00Z") == []
    assert listed(server, until_at="1970-01-01T00:00:00Z") == []


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
def test_pages_have_everything_once(some, limit):
    server, *_ = some
    assert listed(server, limit=limit) == OPEN + ENDED


def test_stuck_ones_are_found(make_server, make_participant):
    server = make_server("--stuck-after", "1s")
    a = make_participant().on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x", retry={"max_ms": 200})), wait="decided")
    wait_until(lambda: listed(server, stuck="true") == ["g"], 10, "the mark")
    assert listed(server, stuck="false") == []


def test_a_cursor_outlives_a_restart(some):
    server, *_ = some
    for limit in (2, 7):
        page = server.get("/v1/transactions", params={"limit": limit}).json()
        server.kill9()
        server.start()
        seen, cursor = [entry["gid"] for entry in page["transactions"]], page["next_cursor"]
        while cursor:
            page = server.get("/v1/transactions", params={"cursor": cursor}).json()
            seen, cursor = seen + [entry["gid"] for entry in page["transactions"]], page["next_cursor"]
        assert sorted(seen) == sorted(OPEN + ENDED), limit


BAD = [
    "phase=Active", "phase=", "mode=saga", "mode=", "participant=stock", "participant=", "participant=http://", "stuck=1", "stuck=",
    "stuck=TRUE", "outcome=done", "since_at=today", "since_at=", "until_at=1700000000", "until_at=2026-02-30T00:00:00Z", "limit=0",
    "limit=1001", "limit=-1", "limit=1e2", "limit=%2B5", "limit=99999999999999999999999", "cursor=", "cursor=x", "cursor=ff", "cursor=6f",
    "cursor=%FF", "gid=x", "phase=active&phase=active", "wait=decided", "limit=%zz",
]


@pytest.mark.parametrize("query", BAD)
def test_bad_queries(server, query):
    found = problem(server.get("/v1/transactions?" + query), 400, "invalid_request")
    assert found["errors"][0]["pointer"] == "?" + query.split("=")[0], found


def test_a_token_is_needed(make_server, tmp_path):
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret")
    (tmp_path / "token").chmod(0o600)
    server = make_server("--token-file", tmp_path / "token")
    problem(server.get("/v1/transactions"), 401, "unauthenticated")
    server.token = "s3cret-s3cret-s3cret"
    assert listed(server) == []
    assert server.request("PUT", "/v1/transactions").headers["Allow"] in ("POST, GET, HEAD", "GET, HEAD, POST")


def test_nothing_is_listed_that_a_branch_hides(server, make_participant):
    """Headers and payloads are in no list."""
    a = make_participant()
    server.submit(two_phase("g", a.branch("x", {"secret": "s3cret"}, headers={"x-key": "s3cret"})), wait="finished")
    for path in ("/v1/transactions", "/v1/transactions/g/history", "/v1/transactions/g"):
        assert "s3cret" not in server.get(path).text
