"""A participant in doubt asks: never told `aborted` by a coordinator that is not the one that called it."""

import shutil
import threading
import urllib.parse

import pytest
import requests

import harness
from harness import problem, quote
from participants import NO, YES, forward, silence, two_phase


def ask(inquiry, timeout=5):
    return requests.get(inquiry, timeout=timeout)


def inquiry_of(participant, gid="g"):
    return participant.calls("prepare", gid)[0].headers["unanim-inquiry"]


def changed(inquiry, **query):
    """The same question with other query values; None leaves one out."""
    parts = urllib.parse.urlsplit(inquiry)
    values = {**dict(urllib.parse.parse_qsl(parts.query)), **query}
    return parts._replace(query=urllib.parse.urlencode({k: v for k, v in values.items() if v is not None})).geturl()


def moved(inquiry, gid):
    """The same question about another gid."""
    parts = urllib.parse.urlsplit(inquiry)
    return parts._replace(path=f"/v1/transactions/{quote(gid)}/outcome").geturl()


def test_the_outcome_as_its_participant_hears_it(server, make_participant):
    a, b = make_participant(), make_participant()
    release = threading.Event()
    b.on("prepare", silence(release))
    server.submit(two_phase("g", a.branch("x"), b.branch("y")))
    b.wait_call("prepare")
    a.wait_call("prepare")
    answer = ask(inquiry_of(a))
    assert answer.status_code == 200 and answer.json() == {"gid": "g", "branch": "x", "outcome": "undecided"}
    assert answer.headers["Retry-After"] == "1"
    release.set()
    server.wait_phase("g", "committed")
    answer = ask(inquiry_of(a))
    assert answer.json()["outcome"] == "committed" and "Retry-After" not in answer.headers
    b.on("prepare", NO)
    server.submit(two_phase("no", a.branch("x"), b.branch("y")), wait="finished")
    assert ask(inquiry_of(a, "no")).json()["outcome"] == "aborted"
    answer = server.get("/v1/transactions/no/outcome")
    assert answer.status_code == 200 and answer.json()["outcome"] == "aborted", "a client may ask as well"


@pytest.fixture
def in_doubt(server, make_participant):
    """A committed transaction whose participant did not hear of it, and the URL it holds."""
    a = make_participant().on("commit", silence())
    server.submit(two_phase("g", a.branch("x")), wait="decided")
    return a, inquiry_of(a)


def test_another_instance_behind_the_same_url(server, make_server, in_doubt):
    _, inquiry = in_doubt
    server.kill9()
    other = make_server(port=server.port, name="other")
    problem(ask(inquiry), 421, "wrong_coordinator")
    # It knows a gid of that name: of its own, which is none of that participant's business.
    other.submit({"gid": "g", "mode": "two_phase", "start": False})
    assert other.post("/v1/transactions/g/rollback").json()["outcome"] == "aborted"
    problem(ask(inquiry), 421, "wrong_coordinator")
    for change in ({"key": "0" * 64}, {"key": None}, {"branch": "other"}):
        problem(ask(changed(inquiry, **change)), 421, "wrong_coordinator")
    problem(ask(moved(inquiry, "never-heard-of")), 421, "wrong_coordinator")
    other.kill9()
    server.start()
    assert ask(inquiry).json()["outcome"] == "committed", "the right one is back"


def test_a_wiped_folder(server, in_doubt):
    _, inquiry = in_doubt
    server.kill9()
    shutil.rmtree(server.data)
    server.start()
    problem(ask(inquiry), 421, "wrong_coordinator")
    problem(server.get("/v1/transactions/g"), 404, "not_found")


def test_a_wrong_key(server, in_doubt):
    _, inquiry = in_doubt
    key = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(inquiry).query))["key"]
    flipped = key[:-1] + ("0" if key[-1] != "0" else "1")
    for wrong in (flipped, key[:-1], key + "0", "", "é", key.swapcase() if key.swapcase() != key else "x"):
        answer = ask(changed(inquiry, key=wrong))
        assert answer.status_code in (401, 403), (wrong, answer.text)
        assert "outcome" not in answer.text
    # A key is for one gid and one branch.
    for question in (changed(inquiry, branch="y"), moved(inquiry, "h"), moved(inquiry, "gx")):
        assert ask(question).status_code in (401, 403), question
    assert ask(inquiry).json()["outcome"] == "committed"


@pytest.mark.parametrize("store", ["", "00000000-0000-0000-0000-000000000000", "nonsense", "é"])
def test_a_foreign_store_is_told_so_first(server, in_doubt, store):
    _, inquiry = in_doubt
    problem(ask(changed(inquiry, store=store)), 421, "wrong_coordinator")
    problem(ask(changed(inquiry, store=store, key="wrong")), 421, "wrong_coordinator")
    problem(ask(changed(moved(inquiry, "unknown"), store=store)), 421, "wrong_coordinator")
    # Whatever else is wrong with it.
    problem(ask(changed(inquiry, store=store) + "&colour=red"), 421, "wrong_coordinator")
    problem(ask(changed(inquiry, store=store) + "&store=&branch=%zz"), 421, "wrong_coordinator")
    problem(ask(changed(moved(inquiry, "\x01"), store=store)), 421, "wrong_coordinator")


def test_a_question_without_a_store_is_never_answered_aborted(server, in_doubt):
    """A branch that asks and does not say who called it cannot be told that an unknown gid is aborted."""
    _, inquiry = in_doubt
    for question in (changed(inquiry, store=None), changed(moved(inquiry, "unknown"), store=None), changed(moved(inquiry, "unknown"), store=None, key=None)):
        answer = ask(question)
        assert answer.status_code >= 400, answer.text


def test_an_unknown_gid_is_aborted_to_its_participant_and_404_to_a_client(server, make_participant, tmp_path):
    """A backup that is older than the transaction: the same store, the right key, and nothing in it."""
    a = make_participant()
    assert server.stop() == 0
    backup = shutil.copytree(server.data, tmp_path / "backup")
    server.start()
    for gid, branches in (("gone", ["x"]), ("known", ["x", "y"])):
        a.on("prepare", NO)
        server.submit(two_phase(gid, *(a.branch(b) for b in branches)), wait="finished")
    x, y = (next(c.headers["unanim-inquiry"] for c in a.calls("prepare", "known") if c.branch == b) for b in "xy")
    server.kill9()
    shutil.rmtree(server.data)
    shutil.copytree(backup, server.data)
    server.start()
    answer = ask(inquiry_of(a, "gone"))
    assert answer.status_code == 200 and answer.json() == {"gid": "gone", "branch": "x", "outcome": "aborted"}
    problem(server.get("/v1/transactions/gone/outcome"), 404, "not_found")
    problem(server.get("/v1/transactions/gone"), 404, "not_found")
    # A branch that the record does not list was never part of it, whatever became of the others.
    a.on("prepare", YES)
    assert server.submit(two_phase("known", a.branch("x")), wait="finished").json()["outcome"] == "committed"
    assert ask(x).json()["outcome"] == "committed"
    assert ask(y).json()["outcome"] == "aborted"


def test_a_durable_participant_waits_for_the_right_coordinator(server, make_server, make_participant, tmp_path):
    """The real participant: killed behind its vote, its coordinator replaced by a stranger, then back."""
    stock = harness.DemoParticipant(tmp_path, "stock", "--inquire-after", "200ms", accounts={"widgets": 10}).start()
    pay = harness.DemoParticipant(tmp_path, "pay", "--delay", "600", accounts={"cash": 10}).start()
    body = two_phase(
        "g", {"id": "s", "endpoint": stock.url, "payload": {"account": "widgets", "amount": -3}},
        {"id": "p", "endpoint": pay.url, "payload": {"account": "cash", "amount": 3}},
    )
    server.submit(body)
    harness.wait_until(lambda: stock.books()["transactions"].get("g") == "prepared", what="the vote")
    stock.kill9()
    harness.wait_until(lambda: server.read("g")["outcome"] == "committed", what="the decision")
    server.kill9()
    stranger, said = make_server(name="stranger"), []
    between = make_participant(port=server.port).on("outcome", forward(stranger.url, said))
    stock.start()
    harness.wait_until(lambda: len(said) >= 2, what="two inquiries")
    assert set(said) == {421}
    assert stock.books()["transactions"]["g"] == "prepared" and stock.books()["held"] != 0
    between.close()
    server.start()
    harness.wait_until(lambda: stock.books()["transactions"]["g"] == "committed", 20, "the commit")
    assert stock.books()["accounts"]["widgets"] == 7 and stock.books()["held"] == 0
