"""The v1 door as its clients and participants see it: submissions, waiting, steps, digests, odd gids."""

import json
import threading
import time
import urllib.parse

import pytest
import requests

from harness import problem, quote, wait_until
from participants import NO, reply, silence, slow, two_phase

VIEW = {"gid", "mode", "phase", "outcome", "reason", "stuck", "heuristic", "created_at", "deadline_at", "decided_at", "finished_at", "seq", "branches"}


def test_commit(server, make_participant):
    a, b = make_participant(), make_participant()
    answer = server.submit(two_phase("order-17", a.branch("stock"), b.branch("pay")), wait="finished")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Location"].endswith("/v1/transactions/order-17")
    view = answer.json()
    assert VIEW <= set(view), VIEW - set(view)
    assert (view["gid"], view["mode"], view["phase"], view["outcome"]) == ("order-17", "two_phase", "committed", "committed")
    assert view["decided_at"].endswith("Z") and view["finished_at"].endswith("Z")
    assert [(branch["id"], branch["participant"], branch["state"]) for branch in view["branches"]] == [
        ("stock", a.url, "done"), ("pay", b.url, "done"),
    ]
    assert a.ops() == b.ops() == ["prepare", "commit"]
    assert server.read("order-17")["outcome"] == "committed"


def test_what_a_participant_gets(server, make_participant):
    a = make_participant()
    payload = '{ "b":1.0000000000000000000001 ,"a" : [1e400,"\\u00e9é"] }'
    branch = json.dumps(a.branch("é/x", "PAYLOAD", headers={"x-tenant": "t-9"})).replace('"PAYLOAD"', payload)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    text = '{"gid":"a b","mode":"two_phase","timeout_ms":9000,"branches":[%s]}' % branch
    answer = server.submit(text, wait="finished", headers={"traceparent": trace})
    assert answer.json()["outcome"] == "committed", answer.text
    for call in a.calls():
        assert call.body == payload.encode(), "the payload goes out byte for byte"
        headers = call.headers
        assert headers["unanim-gid"] == "a%20b" and headers["unanim-branch"] == "%C3%A9%2Fx"
        assert headers["unanim-op"] == call.op and headers["unanim-mode"] == "two_phase"
        assert int(headers["unanim-attempt"]) >= 1 and int(headers["unanim-fence"]) > 1_600_000_000_000
        assert headers["x-tenant"] == "t-9"
        assert headers["content-type"] == "application/json"
        assert headers["traceparent"].split("-")[1] == trace.split("-")[1], "one trace"
        assert headers["unanim-inquiry"].startswith(f"{server.url}/v1/transactions/a%20b/outcome?")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["unanim-inquiry"]).query)
        assert query["branch"] == ["é/x"] and query["store"] and query["key"]
        assert headers["host"] == a.address
    assert 0 < int(a.calls("prepare")[0].headers["unanim-deadline"]) <= 9000


def test_endpoints_per_operation(server, make_participant):
    a = make_participant()
    endpoints = {op: f"{a.url}/do/{op}?x=1" for op in ("prepare", "commit", "rollback")}
    server.submit(two_phase("g", {"id": "x", "endpoints": endpoints}), wait="finished")
    assert [call.path for call in a.calls()] == ["/do/prepare?x=1", "/do/commit?x=1"]
    assert a.calls()[0].body == b""


def test_refused(server, make_participant):
    a, b = make_participant(), make_participant()
    for number, (vote, more) in enumerate(((NO, {}), (reply(409), {}), (reply(422), {}), (reply(410), {"refused_statuses": [410]}))):
        b.on("prepare", vote)
        gid = f"no-{number}"
        answer = server.submit(two_phase(gid, a.branch("stock"), b.branch("pay", **more)), wait="finished")
        assert answer.status_code == 200, "an abort is no HTTP error"
        view = answer.json()
        assert (view["phase"], view["outcome"]) == ("aborted", "aborted")
        assert (view["reason"]["code"], view["reason"]["branch"]) == ("refused", "pay"), view["reason"]
        assert a.ops(gid) == ["prepare", "rollback"]
    assert "the test says no" in server.read("no-0")["reason"]["detail"]


def test_read_only_votes_get_no_second_call(server, make_participant):
    a, b = make_participant(), make_participant()
    a.on("prepare", reply(200, {"result": "read_only"}))
    view = server.submit(two_phase("some", a.branch("r"), b.branch("w")), wait="finished").json()
    assert view["outcome"] == "committed" and view["branches"][0]["state"] == "read_only"
    assert a.ops("some") == ["prepare"] and b.ops("some") == ["prepare", "commit"]
    view = server.submit(two_phase("all", a.branch("r"), a.branch("s")), wait="finished").json()
    assert view["outcome"] == "committed" and a.ops("all") == ["prepare"] * 2


def test_one_phase(server, make_participant):
    a = make_participant()
    view = server.submit(two_phase("one", a.branch("x", one_phase=True)), wait="finished").json()
    assert view["outcome"] == "committed" and a.ops("one") == ["commit_one_phase"]
    a.on("commit_one_phase", reply(503), reply(500), NO)
    view = server.submit(two_phase("no", a.branch("x", one_phase=True, retry={"first_ms": 10})), wait="finished").json()
    assert view["outcome"] == "aborted" and a.ops("no") == ["commit_one_phase"] * 3
    # Once asked, nobody but the participant decides: neither a client nor the deadline.
    a.on("commit_one_phase", reply(500))
    branch = a.branch("x", one_phase=True, retry={"first_ms": 50, "max_ms": 50})
    server.submit(two_phase("closed", branch, timeout_ms=300))
    a.wait_call("commit_one_phase", "closed", 10)
    problem(server.post("/v1/transactions/closed/rollback"), 409, "closed")
    assert server.read("closed")["outcome"] == "undecided"
    a.on("commit_one_phase", reply(200))
    server.wait_phase("closed", "committed")


def test_wait(server, make_participant):
    a, b = make_participant(), make_participant()
    release = threading.Event()
    b.on("commit", silence(release))
    branches = a.branch("x"), b.branch("y")
    answer = server.submit(two_phase("none", *branches))
    assert answer.status_code == 202
    started = time.monotonic()
    answer = server.submit(two_phase("decided", *branches), wait="decided")
    assert answer.status_code == 200 and answer.json()["phase"] == "committing" and answer.json()["outcome"] == "committed"
    answer = server.submit(two_phase("finished", *branches), wait="finished", timeout_ms=300)
    assert answer.status_code == 202 and answer.json()["outcome"] == "committed"
    assert time.monotonic() - started < 3
    release.set()
    answer = server.submit(two_phase("finished", *branches), wait="finished")
    assert answer.status_code == 200 and answer.json()["phase"] == "committed"


def test_a_gid_is_made_when_none_is_given(server, make_participant):
    a = make_participant()
    one, two = (server.submit(two_phase(None, a.branch("x")), wait="finished").json() for _ in range(2))
    assert one["gid"] != two["gid"] and one["outcome"] == two["outcome"] == "committed"
    assert server.read(one["gid"])["gid"] == one["gid"]


def test_in_steps(server, make_participant):
    a, b = make_participant(), make_participant()
    for gid, wish, outcome, ops in (("yes", "commit", "committed", ["prepare", "commit"]), ("no", "rollback", "aborted", [])):
        path = f"/v1/transactions/{gid}"
        body = {"gid": gid, "mode": "two_phase", "start": False}
        assert server.submit(body).json()["phase"] == "active"
        for branch in (a.branch("x"), b.branch("y")):
            answer = server.post(path + "/branches", json={"branches": [branch]})
            assert answer.status_code in (200, 202), answer.text
        assert a.ops(gid) == []
        assert server.submit(body).json()["gid"] == gid, "the same submission is the same transaction, whatever was added"
        for _ in range(2):
            answer = server.post(f"{path}/{wish}", params={"wait": "finished"})
            assert answer.status_code == 200 and answer.json()["outcome"] == outcome, answer.text
        assert a.ops(gid) == b.ops(gid) == ops
        assert problem(server.post(path + "/branches", json={"branches": [a.branch("z")]}), 409)["code"] in ("closed", "already_decided")
    problem(server.post("/v1/transactions/yes/rollback"), 409, "already_decided")
    assert server.post("/v1/transactions/no/commit?wait=decided").json()["outcome"] == "aborted", "an outcome, no error"


def test_a_client_rolls_back_before_the_decision(server, make_participant):
    a, b = make_participant(), make_participant()
    release = threading.Event()
    b.on("prepare", silence(release))
    server.submit(two_phase("g", a.branch("x"), b.branch("y")))
    b.wait_call("prepare")
    answer = server.post("/v1/transactions/g/rollback", params={"wait": "decided"})
    assert answer.status_code == 200 and answer.json()["outcome"] == "aborted"
    assert answer.json()["reason"]["code"] == "client"
    assert b.ops() == ["prepare"], "a rollback waits for the end of the branch's earlier call"
    release.set()
    server.wait_phase("g", "aborted")
    assert a.ops() == b.ops() == ["prepare", "rollback"]


def test_the_deadline(server, make_participant):
    a, b = make_participant(), make_participant(up=False)
    started = time.monotonic()
    answer = server.submit(two_phase("late", a.branch("x"), b.branch("y"), timeout_ms=600), wait="decided")
    assert 0.5 < time.monotonic() - started < 3
    view = answer.json()
    assert view["outcome"] == "aborted" and view["reason"]["code"] == "deadline", view
    silent = next(branch for branch in view["branches"] if branch["id"] == "y")
    assert silent["attempts"] >= 2 and silent["last"]["code"], silent
    b.up()
    server.wait_phase("late", "aborted", timeout=40)
    assert b.ops() == ["rollback"], "who was silent is rolled back too"
    # Nobody starts it: it lives until its deadline, too.
    server.submit({"gid": "idle", "mode": "two_phase", "start": False, "timeout_ms": 300})
    assert server.wait_phase("idle", "aborted")["reason"]["code"] == "deadline"


def test_stuck_is_a_mark(make_server, make_participant):
    server = make_server("--stuck-after", "300ms")
    a = make_participant().on("commit", reply(500))
    server.submit(two_phase("g", a.branch("x", retry={"first_ms": 20, "max_ms": 100})))
    view = wait_until(lambda: (v := server.read("g"))["stuck"] and v, what="the mark")
    assert (view["phase"], view["outcome"]) == ("committing", "committed")
    count = len(a.calls("commit"))
    a.wait_call("commit", count=count + 2)
    a.on("commit", reply(200))
    server.wait_phase("g", "committed")


@pytest.mark.parametrize("when", ["prepare", "commit"])
def test_heuristics_are_recorded(server, make_participant, when):
    a, b = make_participant(), make_participant()
    b.on(when, reply(200, {"result": "heuristic_rollback"}))
    view = server.submit(two_phase("g", a.branch("x"), b.branch("y")), wait="finished").json()
    assert view["outcome"] == {"prepare": "aborted", "commit": "committed"}[when]
    if when == "commit":
        assert view["heuristic"] is not None, view


GIDS = [
    'a"b', "it's", "a/b", "/", "a b", "a+b", "a%2Fb", "100%", "a?b#c", "a&b=c", "x", "xx", "xx/", "order", "order-1", "order-17",
    "commit", "outcome", "branches", "a/commit", "ünïcödé", "日本語", "🦀" * 32, "e\u0301", "é", "\u05d4\u05d6\u05de", "\ufeffbom", "...", ".x", "a;b", "a\\b",
    "<script>", "'; DROP TABLE transactions; --", "%00", "null", "g" * 128, "G" * 128, "\u00a0",
]


def test_odd_gids(server, make_participant):
    """All at once, so that one could be taken for another; in paths, headers and bodies, and after a restart."""
    a = make_participant()
    for gid in GIDS:
        view = server.submit(two_phase(gid, a.branch(gid[:16])), wait="finished").json()
        assert (view["gid"], view["outcome"]) == (gid, "committed"), gid
        location = server.submit(two_phase(gid, a.branch(gid[:16]))).headers["Location"]
        assert server.get(urllib.parse.urlsplit(location).path).json()["gid"] == gid, location
        problem(server.submit(two_phase(gid, a.branch("other"))), 409, "gid_conflict")
        assert server.post(f"/v1/transactions/{quote(gid)}/commit").json()["gid"] == gid
    server.kill9().start()
    for gid in GIDS:
        assert server.read(gid)["gid"] == gid
        # An acknowledgement is written a little later: after a kill a commit may be asked for again.
        assert a.ops(gid)[:2] == ["prepare", "commit"] and set(a.ops(gid)[2:]) <= {"commit"}
        for call in a.calls(gid=gid):
            assert urllib.parse.unquote(call.headers["unanim-gid"]) == gid
            assert call.branch == gid[:16]
            inquiry = urllib.parse.urlsplit(call.headers["unanim-inquiry"])
            answer = server.get(f"{inquiry.path}?{inquiry.query}")
            assert answer.status_code == 200 and answer.json() == {"gid": gid, "branch": gid[:16], "outcome": "committed"}
    problem(server.get("/v1/transactions/" + "g" * 127), 404, "not_found")


def test_the_same_body_is_the_same_transaction(server, make_participant):
    a = make_participant()
    one = f'{{"gid":"g","mode":"two_phase","branches":[{{"id":"x","endpoint":"{a.url}/tx","payload":{{"n":1,"m":{{"p":1,"q":2}}}}}}]}}'
    same = f' {{ "branches" : [ {{"payload": {{"m":{{"q":2,\n"p":1}},"n":1}},\t"endpoint":"{a.url}/tx","id":"\\u0078"}} ] , "mode":"two_phase", "gid":"g"}}\n'
    first = server.submit(one, wait="finished").json()
    for text in (same, one):
        again = server.submit(text, wait="finished")
        assert again.status_code == 200 and again.json()["created_at"] == first["created_at"]
    assert a.ops() == ["prepare", "commit"]
    others = {
        "another number literal": one.replace('"n":1', '"n":1.0'),
        "a default written out": one.replace('"mode"', '"timeout_ms":60000,"mode"'),
        "another branch id": one.replace('"id":"x"', '"id":"y"'),
        "another payload": one.replace('"p":1', '"p":2'),
        "another branch": one.replace("]}", f',{{"id":"z","endpoint":"{a.url}"}}]}}'),
    }
    for name, text in others.items():
        found = problem(server.submit(text), 409, "gid_conflict")
        assert found["gid"] == "g" and found["retryable"] is False, name
    server.kill9().start()
    assert server.submit(same).json()["outcome"] == "committed"
    for text in others.values():
        problem(server.submit(text), 409, "gid_conflict")
    assert a.ops()[:2] == ["prepare", "commit"] and set(a.ops()[2:]) <= {"commit"}


def test_many_clients_submit_the_same_at_once(server, make_participant):
    a = make_participant().on("prepare", slow(0.2))
    answers = []
    body = two_phase("g", a.branch("x"))

    def submit():
        answer = requests.post(server.url + "/v1/transactions", json=body, params={"wait": "finished"}, timeout=20)
        answers.append(answer.json()["outcome"])

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == ["committed"] * 12
    assert a.ops() == ["prepare", "commit"]
