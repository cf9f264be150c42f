"""A person says how a branch ended whose participant does not answer any more, and forgets what has ended."""

import pytest

from harness import problem, quote, wait_until
from participants import reply, two_phase

HOW = {"outcome": "committed", "reason": "seen in its books, ticket 4711", "by": "alice"}


def resolve(server, gid, branch, body=HOW, **kwargs):
    return server.post(f"/v1/transactions/{quote(gid)}/branches/{quote(branch)}/resolve", json=body, **kwargs)


@pytest.fixture
def waiting(server, make_participant):
    """A committed transaction whose second branch never acknowledges."""
    a, b = make_participant(), make_participant()
    b.on("commit", reply(503))
    server.submit(two_phase("a/b", a.branch("x"), b.branch("y/z", retry={"first_ms": 50, "max_ms": 100})), wait="decided")
    b.wait_call("commit", "a/b")
    # The first branch has acknowledged by then, and only the second is waited for.
    wait_until(lambda: server.read("a/b")["branches"][0]["state"] == "done", what="the first branch")
    return server, a, b


def test_it_ends_the_calls_and_the_transaction(waiting):
    server, _, b = waiting
    answer = resolve(server, "a/b", "y/z")
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert (view["phase"], view["outcome"], view["heuristic"]) == ("committed", "committed", None)
    assert view["branches"][1]["state"] == "resolved" and view["branches"][1]["resolution"] == HOW
    calls = len(b.calls("commit"))
    for _ in range(2):
        assert resolve(server, "a/b", "y/z").status_code == 200, "the same again is the same"
    other = problem(resolve(server, "a/b", "y/z", {**HOW, "outcome": "rolled_back"}), 409, "already_decided")
    assert other["detail"] == "y/z has ended, committed"
    server.kill9()
    server.start()
    view = server.read("a/b")
    assert view["branches"][1]["resolution"] == HOW and view["phase"] == "committed"
    events = server.get("/v1/transactions/a%2Fb/history").json()["events"]
    assert next(event for event in events if event["type"] == "resolved")["resolution"] == HOW
    assert len(b.calls("commit")) <= calls + 1, "nobody asks it any more"


def test_what_contradicts_is_marked_and_changes_no_outcome(waiting):
    server, *_ = waiting
    view = resolve(server, "a/b", "y/z", {"outcome": "rolled_back"}).json()
    assert (view["phase"], view["outcome"], view["heuristic"]) == ("committed", "committed", "rollback"), view
    assert view["branches"][1]["resolution"] == {"outcome": "rolled_back", "reason": None, "by": None}
    # In the word that the person gave, not in that of an outcome.
    assert problem(resolve(server, "a/b", "y/z"), 409, "already_decided")["detail"] == "y/z has ended, rolled_back"
    wait_until(lambda: "unanim_heuristics_total 1\n" in server.get("/metrics").text, what="the metric")
    assert "or a person resolved its branch against the decision" in server.log()


def test_a_branch_that_has_acknowledged_has_ended(waiting):
    server, *_ = waiting
    problem(resolve(server, "a/b", "x", {"outcome": "rolled_back"}), 409, "already_decided")
    assert server.read("a/b")["branches"][0]["state"] == "done"


def test_others_are_still_waited_for(server, make_participant):
    a = make_participant().on("commit", reply(503))
    slow = {"retry": {"first_ms": 50, "max_ms": 50}}
    server.submit(two_phase("g", a.branch("x", **slow), a.branch("y", **slow)), wait="decided")
    answer = resolve(server, "g", "x")
    assert answer.status_code == 202 and answer.json()["phase"] == "committing"
    a.on("commit", reply(200))
    assert server.wait_phase("g", "committed")["branches"][0]["state"] == "resolved"


def test_before_the_decision_there_is_nothing_to_resolve(server, make_participant):
    a = make_participant()
    server.submit({"gid": "g", "mode": "two_phase", "start": False, "branches": [a.branch("x")]})
    problem(resolve(server, "g", "x"), 409, "closed")
    assert server.read("g")["branches"][0]["state"] == "waiting"


def test_of_a_stuck_one_phase_transaction_it_is_the_decision(make_server, make_participant):
    server = make_server("--stuck-after", "300ms")
    a = make_participant().on("commit_one_phase", reply(503))
    server.submit(two_phase("g", a.branch("x", one_phase=True, retry={"max_ms": 100})))
    wait_until(lambda: server.read("g")["stuck"], what="the mark")
    refused = problem(server.post("/v1/transactions/g/rollback"), 409, "closed")
    assert refused["detail"] == "a one-phase commit is under way: only its participant's answer tells how it ends"
    view = resolve(server, "g", "x", {"outcome": "rolled_back", "by": "bob"}).json()
    assert (view["phase"], view["outcome"]) == ("aborted", "aborted")


BAD = [
    ("{", 400, "malformed_json", None), ("", 400, "malformed_json", None), ("[]", 400, "invalid_request", ""),
    ("{}", 400, "invalid_request", ""), ('{"outcome":"aborted"}', 400, "invalid_request", "/outcome"),
    ('{"outcome":null}', 400, "invalid_request", "/outcome"), ('{"outcome":7}', 400, "invalid_request", "/outcome"),
    ('{"outcome":"committed","colour":1}', 400, "invalid_request", "/colour"),
    ('{"outcome":"committed","reason":7}', 400, "invalid_request", "/reason"),
    ('{"outcome":"committed","reason":"%s"}' % ("x" * 1025), 413, "too_large", "/reason"),
    ('{"outcome":"committed","by":"%s"}' % ("é" * 129), 413, "too_large", "/by"),
    ('{"outcome":"committed","reason":""}', 400, "invalid_request", "/reason"),
    ('{"outcome":"committed","reason":" \\t\\n"}', 400, "invalid_request", "/reason"),
    ('{"outcome":"committed","by":" "}', 400, "invalid_request", "/by"),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), BAD, ids=range(len(BAD)))
def test_bad_bodies(waiting, body, status, code, pointer):
    server, *_ = waiting
    path = "/v1/transactions/a%2Fb/branches/y%2Fz/resolve"
    found = problem(server.post(path, data=body, headers={"Content-Type": "application/json"}), status, code)
    assert pointer is None or found["errors"][0]["pointer"] == pointer, found
    assert server.read("a/b")["branches"][1]["state"] == "yes"


def test_bad_requests(waiting):
    server, *_ = waiting
    problem(resolve(server, "nobody", "x"), 404, "not_found")
    problem(resolve(server, "a/b", "z"), 404, "not_found")
    problem(resolve(server, "a/b", "x" * 65), 400, "invalid_request")
    problem(resolve(server, "a/b", "a\u0001"), 400, "invalid_request")
    problem(resolve(server, "a/b", "y/z", params={"wait": "finished"}), 400, "invalid_request")
    path = "/v1/transactions/a%2Fb/branches/y%2Fz/resolve"
    problem(server.post(path, data="{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    for method in ("GET", "PUT", "DELETE"):
        assert server.request(method, path).headers["Allow"] == "POST"
    problem(server.post("/v1/transactions/a%2Fb/branches//resolve", json=HOW), 404, "not_found")


def test_a_token_is_needed(make_server, tmp_path):
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret")
    (tmp_path / "token").chmod(0o600)
    server = make_server("--token-file", tmp_path / "token")
    problem(resolve(server, "g", "x"), 401, "unauthenticated")


def forget(server, gid, **kwargs):
    return server.request("DELETE", "/v1/transactions/" + quote(gid), **kwargs)


def test_what_was_resolved_stays_until_it_is_forgotten(make_server, make_participant):
    server = make_server("--retention", "1s")
    a = make_participant().on("commit", reply(503))
    body = two_phase("a/b", a.branch("x", retry={"first_ms": 50, "max_ms": 50}))
    server.submit(body, wait="decided")
    problem(forget(server, "a/b"), 409, "not_finished")
    inquiry = a.wait_call("prepare", "a/b").headers["unanim-inquiry"].removeprefix(server.url)
    assert resolve(server, "a/b", "x", {"outcome": "rolled_back"}).status_code == 200
    problem(forget(server, "a/b"), 409, "retained")
    server.submit(two_phase("plain", make_participant().branch("x")), wait="finished")
    wait_until(lambda: server.get("/v1/transactions/plain").status_code == 404, 20, "the other one to be purged")
    assert server.read("a/b")["branches"][0]["state"] == "resolved"
    assert forget(server, "a/b").status_code == 204
    problem(server.get("/v1/transactions/a%2Fb"), 404, "not_found")
    problem(server.get("/v1/transactions/a%2Fb/history"), 404, "not_found")
    problem(server.get("/v1/transactions/a%2Fb/events"), 404, "not_found")
    assert server.get("/v1/transactions").json()["transactions"] == []
    for _ in range(2):
        assert server.get(inquiry).json()["outcome"] == "committed", "its participant may still ask"
        problem(forget(server, "a/b"), 404, "not_found")
        assert server.submit(body).status_code == 409, "the gid never begins again"
        server.kill9()
        server.start()


def test_bad_wishes_to_forget(server):
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    problem(forget(server, "g"), 409, "not_finished")
    problem(forget(server, "nobody"), 404, "not_found")
    problem(forget(server, "a\u0001"), 400, "invalid_request")
    problem(forget(server, "g", params={"force": "true"}), 400, "invalid_request")
    problem(forget(server, "g", data='{"force":true}', headers={"Content-Type": "application/json"}), 400, "invalid_request")
    problem(forget(server, "g", data="{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    assert server.request("PUT", "/v1/transactions/g").headers["Allow"] == "GET, HEAD, DELETE"
    assert server.read("g")["phase"] == "active"
