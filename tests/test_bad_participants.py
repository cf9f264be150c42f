"""Participants that answer slowly, endlessly, with garbage or not at all: unknown is not refused, and a decision stands."""

import time

import pytest

import participants
from participants import YES, cut, drip, endless, raw, reply, slow, two_phase

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

# None of these is a vote, and none acknowledges anything.
SAYS_NOTHING = {
    "an internal error": reply(500),
    "a bad gateway": reply(502, "<html>bad gateway</html>", "text/html"),
    "not found": reply(404),
    "precondition failed": reply(412),
    "not modified": reply(304),
    "a login page": reply(200, "<html><form>password</form></html>", "text/html"),
    "text": reply(200, "success", "text/plain"),
    "an array": reply(200, ["success"]),
    "a string": reply(200, '"success"'),
    "another result": reply(200, {"result": "maybe"}),
    "a result that is no string": reply(200, {"result": True}),
    "half a json": reply(200, '{"result": "success"'),
    "a reply too large": reply(200, '{"result": "success", "x": "' + "x" * 70_000 + '"}'),
    "an endless reply": endless(),
    "a reply byte by byte": drip(OK + b"Content-Length: 20\r\n\r\n" + b'{"result":"success"}'),
    "garbage": raw(b"\x00\xff\x13garbage\r\n\r\n" * 20),
    "a wrong status line": raw(b"HTTP/9.9 abc\r\n\r\n"),
    "endless headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000),
    "a reply cut short": raw(OK + b"Content-Length: 100\r\n\r\n{}"),
    "a chunk cut short": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n14\r\n{\"result\""),
    "a reset": cut(),
    "silence": slow(3600),
}
QUICK = {"call_timeout_ms": 250, "retry": {"first_ms": 20, "max_ms": 50}}


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_no_vote_is_unknown_and_asked_again(server, make_participant, name):
    """Twice, then a yes: committed. A refusal would have aborted it."""
    a, b = make_participant(), make_participant().on("prepare", SAYS_NOTHING[name], SAYS_NOTHING[name], YES)
    answer = server.submit(two_phase("g", a.branch("x", **QUICK), b.branch("y", **QUICK)), wait="finished", timeout_ms=15_000)
    assert answer.json()["outcome"] == "committed", answer.text
    assert b.ops() == ["prepare"] * 3 + ["commit"]


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_no_vote_until_the_deadline_aborts(server, make_participant, name):
    a, b = make_participant(), make_participant().on("prepare", SAYS_NOTHING[name])
    body = two_phase("g", a.branch("x", **QUICK), b.branch("y", **QUICK), timeout_ms=700)
    view = server.submit(body, wait="finished", timeout_ms=15_000).json()
    assert view["phase"] == "aborted" and view["reason"]["code"] == "deadline", view
    assert "commit" not in a.ops() + b.ops()
    assert a.ops()[-1] == b.ops()[-1] == "rollback"


@pytest.mark.parametrize("name", [*SAYS_NOTHING, "refused", "a status that refuses"])
def test_after_the_decision_nothing_but_an_acknowledgement_ends_it(server, make_participant, name):
    further = {"refused": participants.NO, "a status that refuses": reply(409)}
    behaviour = {**SAYS_NOTHING, **further}[name]
    a, b = make_participant(), make_participant().on("commit", behaviour, behaviour, YES)
    view = server.submit(two_phase("g", a.branch("x", **QUICK), b.branch("y", **QUICK)), wait="finished", timeout_ms=15_000).json()
    assert (view["phase"], view["outcome"]) == ("committed", "committed"), view
    assert b.ops() == ["prepare"] + ["commit"] * 3
    assert a.ops() == ["prepare", "commit"]


@pytest.mark.parametrize("ok", [reply(200), reply(204), reply(201, {}), reply(200, {"result": "ok"}), reply(200, {"more": 1}),
                                reply(200, {"result": "success"}, content_type="text/plain")], ids=range(6))
def test_what_counts_as_yes(server, make_participant, ok):
    a = make_participant().on("prepare", ok).on("commit", ok)
    view = server.submit(two_phase("g", a.branch("x")), wait="finished", timeout_ms=5000).json()
    assert view["outcome"] == "committed" and a.ops() == ["prepare", "commit"]


@pytest.mark.parametrize("wait", [reply(202), reply(202, {"result": "success"}), reply(425), reply(200, {"result": "ongoing"})], ids=range(4))
@pytest.mark.parametrize("op", ["prepare", "commit"])
def test_not_yet_is_no_answer_and_no_failure(server, make_participant, wait, op):
    a = make_participant().on(op, wait, wait, YES)
    view = server.submit(two_phase("g", a.branch("x", **QUICK)), wait="finished", timeout_ms=15_000).json()
    assert view["outcome"] == "committed"
    assert len(a.calls(op)) == 3


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("op", ["prepare", "commit"])
def test_retry_after_is_kept(server, make_participant, status, op):
    a = make_participant().on(op, reply(status, Retry_After=1), YES)
    view = server.submit(two_phase("g", a.branch("x", **QUICK)), wait="finished", timeout_ms=15_000).json()
    assert view["outcome"] == "committed"
    first, second = a.calls(op)
    assert 0.99 < second.at - first.at < 3


def test_retry_after_never_delays_an_abort(server, make_participant):
    a, b = make_participant(), make_participant().on("prepare", reply(503, Retry_After=200))
    started = time.monotonic()
    view = server.submit(two_phase("g", a.branch("x"), b.branch("y"), timeout_ms=600), wait="finished", timeout_ms=15_000).json()
    assert view["phase"] == "aborted" and time.monotonic() - started < 3
    assert b.ops() == ["prepare", "rollback"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server, make_participant, status):
    """Neither to another participant nor out of the allow-list."""
    other = make_participant()
    b = make_participant().on("prepare", reply(status, Location=other.url + "/elsewhere"))
    view = server.submit(two_phase("g", b.branch("y", **QUICK), timeout_ms=500), wait="finished", timeout_ms=15_000).json()
    assert view["outcome"] == "aborted" and view["reason"]["code"] == "deadline"
    assert other.calls() == []


def test_a_keep_alive_connection_that_died_costs_nothing(server, make_participant):
    """A participant that restarts between two transactions: its old connections are of no use, and nobody is refused."""
    a = make_participant()
    for number in range(5):
        view = server.submit(two_phase(f"g{number}", a.branch("x")), wait="finished", timeout_ms=10_000).json()
        assert view["outcome"] == "committed"
        a.close()
        a.up()


def test_what_a_participant_says_is_shown_and_not_believed(server, make_participant):
    detail = "<script>alert(1)</script>\u0000\r\n" + "x" * 10_000
    a = make_participant().on("prepare", reply(200, {"result": "failed", "detail": detail}))
    view = server.submit(two_phase("g", a.branch("x")), wait="finished").json()
    assert view["outcome"] == "aborted" and len(view["reason"]["detail"] or "") < 5_000
    log = server.log()
    assert "\u0000" not in log and len(log) < 100_000


def test_a_hung_participant_delays_nobody_else(server, make_participant):
    hung, a = make_participant().on("prepare", slow(3600)), make_participant()
    for number in range(150):
        assert server.submit(two_phase(f"hung-{number}", hung.branch("x"), a.branch("y"))).status_code == 202
    hung.wait_call("prepare", count=64)
    slowest = 0.0
    for number in range(50):
        started = time.monotonic()
        view = server.submit(two_phase(f"fast-{number}", a.branch("x"), a.branch("y")), wait="finished").json()
        slowest = max(slowest, time.monotonic() - started)
        assert view["outcome"] == "committed"
    assert slowest < 1.0, slowest
    assert len(hung.calls()) == 64, "no more than 64 calls in flight to one participant"
