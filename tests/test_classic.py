"""The classic door, from a Flask participant and a `requests` client that know nothing but the classic protocol.

The participant is flask_participant.py, a process of its own; the client is a few lines in classic.py.
"""

import time

import pytest
import requests

import harness
from classic import Client, Flask
from harness import wait_until

PREPARE_TIMEOUT = 2.0


@pytest.fixture
def server(make_server):
    return make_server("--classic-prepare-timeout", f"{PREPARE_TIMEOUT:g}s")


@pytest.fixture
def client(server):
    return Client(server.url)


@pytest.fixture
def pair(tmp_path, server):
    """Two participants."""
    both = Flask(tmp_path, "a", up=False).spawn(), Flask(tmp_path, "b", up=False).spawn()
    return [participant.wait_ready() for participant in both]


def test_begin_needs_no_body_and_no_content_type(server, client):
    gid = client.begin()
    assert client.get(gid)["state"] == "init"
    assert client.get(gid)["participants"] == []
    assert requests.post(server.url + "/transaction", data="{}").status_code == 200
    assert requests.post(server.url + "/transaction", json={}).status_code == 200
    assert client.begin() != gid


def test_yes(client, pair):
    gid = client.begin()
    assert client.prepare(gid, *pair) == "success"
    wait_until(lambda: client.state(gid) == "committed", what="committed")
    seen = client.get(gid)
    assert set(seen) == {"transaction_id", "state", "participants"}
    assert sorted(p["address"] for p in seen["participants"]) == sorted(p.address for p in pair)
    assert all(set(p) == {"address", "state"} and p["state"] == "committed" for p in seen["participants"]), seen
    for participant in pair:
        assert participant.ops(gid) == ["prepare", "commit"]
        assert [body for *_, body in participant.calls(gid=gid)] == ["", ""], "the calls carry no body"
        assert participant.state(gid) == "committed"


def test_a_single_participant_is_prepared_and_committed(client, pair):
    gid = client.begin()
    assert client.prepare(gid, pair[0]) == "success"
    assert pair[0].ops(gid) == ["prepare", "commit"]
    assert pair[1].calls() == []


@pytest.mark.parametrize(
    "vote", ["refuse", "fail", "teapot", "body failed", "garbage", "other json", "empty", "other success", "yes, but no json"],
)
def test_no(client, pair, vote):
    a, b = pair
    b.behave(prepare=vote)
    gid = client.begin()
    started = time.monotonic()
    assert client.prepare(gid, a, b) == "failed"
    assert time.monotonic() - started < PREPARE_TIMEOUT / 2, "a no needs no deadline"
    assert client.state(gid) == "aborted"
    for participant in pair:
        assert participant.ops(gid) == ["prepare", "rollback"], "who refused is rolled back too"
        assert participant.state(gid) == "aborted"


def test_silence_is_a_no_at_the_deadline_and_everybody_is_rolled_back(client, tmp_path, pair):
    a, b = pair
    c = Flask(tmp_path, "c")
    b.behave(prepare="hang")
    gid = client.begin()
    started = time.monotonic()
    assert client.prepare(gid, a, b) == "failed"
    took = time.monotonic() - started
    assert PREPARE_TIMEOUT * 0.9 < took < PREPARE_TIMEOUT * 2 + 2, took
    assert client.state(gid) == "aborted"
    b.behave()
    b.wait_call("rollback", gid)
    assert "commit" not in a.ops(gid) + b.ops(gid)
    assert a.state(gid) == "aborted"
    # One silent and one that refuses: the refusal decides at once; all three are rolled back.
    b.behave(prepare="hang")
    c.behave(prepare="body failed")
    gid = client.begin()
    finish = client.in_background(gid, a, b, c)
    c.wait_call("prepare", gid)
    wait_until(lambda: client.state(gid) == "aborted", PREPARE_TIMEOUT, "the abort")
    b.behave()
    assert finish() == "failed"
    for participant in (a, b, c):
        participant.wait_call("rollback", gid)
        assert "commit" not in participant.ops(gid)


def test_nobody_listens(client, pair):
    gid = client.begin()
    assert client.prepare(gid, pair[0], f"127.0.0.1:{harness.free_port()}") == "failed"
    assert client.state(gid) == "aborted"
    assert pair[0].state(gid) == "aborted"


def test_a_participant_crashes_between_the_phases(client, pair):
    a, b = pair
    b.behave(commit="crash")
    gid = client.begin()
    assert client.prepare(gid, a, b) == "success", "the decision is durable; the crash changes nothing"
    assert b.wait_exit() == 9
    assert a.state(gid) == "committed"
    assert b.state(gid) == "prepared"
    seen = client.get(gid)
    assert seen["state"] == "prepared", "not everybody has acknowledged"
    assert {p["address"]: p["state"] for p in seen["participants"]}[a.address] == "committed"
    b.behave()
    b.start()
    client.wait_state(gid, "committed", 40)
    assert b.state(gid) == "committed"
    assert a.ops(gid) == ["prepare", "commit"]


def test_a_participant_crashes_before_its_vote_is_heard(client, pair):
    a, b = pair
    b.behave(prepare="work, then crash")
    gid = client.begin()
    finish = client.in_background(gid, a, b)
    assert b.wait_exit() == 9
    b.behave()
    b.start()
    # It is asked again until the deadline: back in time or not, both end in the same state.
    result = finish()
    client.wait_state(gid, {"success": "committed", "failed": "aborted"}[result], 40)
    assert a.state(gid) == b.state(gid) == client.state(gid)


def test_the_coordinator_is_killed_while_commits_are_unanswered(client, server, pair):
    a, b = pair
    b.behave(commit="hang")
    gid = client.begin()
    finish = client.in_background(gid, a, b)
    b.wait_call("commit", gid)
    a.wait_call("commit", gid)
    server.kill9()
    assert finish() is None
    before = len(b.calls("commit", gid))
    server.start()
    assert client.state(gid) in ("prepared", "committed"), "a commit once decided stays"
    b.wait_call("commit", gid, before + 1)
    assert client.state(gid) == "prepared"
    b.behave()
    client.wait_state(gid, "committed", 40)
    assert client.prepare(gid, a, b) == "success", "the client asks again and gets the same answer"
    assert a.state(gid) == b.state(gid) == "committed"
    assert "rollback" not in a.ops(gid) + b.ops(gid)


def test_the_coordinator_is_killed_before_the_decision(client, server, pair):
    a, b = pair
    b.behave(prepare="hang")
    gid = client.begin()
    finish = client.in_background(gid, a, b)
    b.wait_call("prepare", gid)
    server.kill9()
    assert finish() is None
    server.start()
    b.behave()
    result = client.prepare(gid, a, b)
    client.wait_state(gid, {"success": "committed", "failed": "aborted"}[result], 40)
    wait_until(lambda: a.state(gid) == b.state(gid) == client.state(gid), 40, "everybody to agree")


def test_begun_and_never_prepared_survives_a_kill(client, server, pair):
    gid = client.begin()
    server.kill9()
    server.start()
    assert client.state(gid) == "init"
    assert client.prepare(gid, *pair) == "success"


def test_a_commit_that_is_not_acknowledged(client, pair):
    a, b = pair
    b.behave(commit="fail")
    gid = client.begin()
    assert client.prepare(gid, a, b) == "success"
    assert client.state(gid) == "prepared"
    b.wait_call("commit", gid, 3)
    assert client.state(gid) == "prepared"
    b.behave()
    client.wait_state(gid, "committed", 40)
    assert a.ops(gid) == ["prepare", "commit"], "who acknowledged is left alone"


@pytest.mark.parametrize("body", ["yes, but no json", "body failed", "garbage", "empty"])
def test_a_commit_is_acknowledged_by_its_status_alone(client, pair, body):
    a, b = pair
    b.behave(commit=body)
    gid = client.begin()
    assert client.prepare(gid, a, b) == "success"
    client.wait_state(gid, "committed")
    assert b.ops(gid) == ["prepare", "commit"]


def test_a_rollback_that_is_not_acknowledged_is_asked_again(client, pair):
    a, b = pair
    a.behave(rollback="fail")
    b.behave(prepare="body failed")
    gid = client.begin()
    assert client.prepare(gid, a, b) == "failed"
    assert client.state(gid) == "aborted"
    a.behave()
    wait_until(lambda: a.state(gid) == "aborted", 40, "the rollback")


def test_prepare_twice_runs_once(client, pair):
    gid = client.begin()
    assert [client.prepare(gid, *pair) for _ in range(2)] == ["success", "success"]
    assert all(participant.ops(gid) == ["prepare", "commit"] for participant in pair)
    gid = client.begin()
    pair[1].behave(prepare="body failed")
    assert [client.prepare(gid, *pair) for _ in range(2)] == ["failed", "failed"]
    assert all(participant.ops(gid) == ["prepare", "rollback"] for participant in pair)


def test_prepare_twice_at_the_same_time_runs_once(client, pair):
    a, b = pair
    b.behave(prepare="hang")
    gid = client.begin()
    finish = [client.in_background(gid, a, b) for _ in range(2)]
    b.wait_call("prepare", gid)
    b.behave()
    assert [f() for f in finish] == ["success", "success"]
    assert all(participant.ops(gid) == ["prepare", "commit"] for participant in pair)


def test_prepare_again_with_other_participants_is_an_error(server, client, pair):
    a, b = pair
    gid = client.begin()
    assert client.prepare(gid, a) == "success"
    answer = requests.post(f"{server.url}/transaction/{gid}/prepare", json={"participants": [b.address]})
    assert answer.status_code == 409, answer.text
    assert b.calls() == []


def test_explicit_rollback(server, client, pair):
    gid = client.begin()
    for _ in range(2):
        assert requests.post(f"{server.url}/transaction/{gid}/rollback").status_code == 200
        assert client.state(gid) == "aborted"
    a, b = pair
    answer = requests.post(f"{server.url}/transaction/{gid}/prepare", json={"participants": [a.address]})
    assert answer.status_code == 409 or answer.json() == {"result": "failed"}, answer.text
    assert a.calls() == []
    # While votes are awaited a rollback is still heard.
    b.behave(prepare="hang")
    gid = client.begin()
    finish = client.in_background(gid, a, b)
    b.wait_call("prepare", gid)
    a.wait_call("prepare", gid)
    assert requests.post(f"{server.url}/transaction/{gid}/rollback", timeout=30).status_code == 200
    assert client.state(gid) == "aborted"
    b.behave()
    assert finish() == "failed"
    wait_until(lambda: a.state(gid) == b.state(gid) == "aborted", 15, "both rollbacks")
    assert requests.post(f"{server.url}/transaction/{gid}/commit").json() == {"result": "failed"}, "too late, and no error"
    assert client.state(gid) == "aborted"


def test_explicit_wishes_after_the_end_change_nothing(server, client, pair):
    gid = client.begin()
    assert client.prepare(gid, *pair) == "success"
    client.wait_state(gid, "committed")
    assert requests.post(f"{server.url}/transaction/{gid}/rollback").status_code == 409
    assert requests.post(f"{server.url}/transaction/{gid}/commit").status_code == 200
    assert client.state(gid) == "committed"
    assert all(participant.ops(gid) == ["prepare", "commit"] for participant in pair)


def test_a_client_that_goes_away_changes_nothing(client, pair):
    a, b = pair
    b.behave(prepare="hang")
    gid = client.begin()
    with pytest.raises(requests.Timeout):
        client.prepare(gid, a, b, timeout=0.3)
    b.behave()
    client.wait_state(gid, "committed")
