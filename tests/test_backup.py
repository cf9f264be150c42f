"""Copies of a running store, and what participants are told after an old one is restored (docs/operations/backup.md)."""

import shutil
import sqlite3
import subprocess

import pytest
import requests

from harness import Server, problem, wait_until
from participants import Participant, reply, two_phase


def copy_of(server, target, command="VACUUM INTO '{}'"):
    """A copy as the page says: while the server runs."""
    subprocess.run(["sqlite3", "-readonly", server.data / "unanim.db", command.format(target)], check=True, timeout=30)
    return target


def restored(server, copy, tmp_path, name, *args):
    """The server again, on its port, with this copy in an empty folder."""
    data = tmp_path / name
    data.mkdir()
    shutil.copy(copy, data / "unanim.db")
    return Server(tmp_path, *args, port=server.port, data=data, name=name).start()


def inquiry(participant, gid):
    """What a participant in doubt is answered."""
    urls = [call.headers["unanim-inquiry"] for call in participant.calls() if call.gid == gid]
    return requests.get(urls[-1], timeout=10)


@pytest.fixture
def old_copy(server, make_participant, tmp_path):
    """A server that ended `before`, copied, with `open` undecided in the copy and committed after it, and `after` committed."""
    stock, pay = make_participant(), make_participant()
    assert server.submit(two_phase("before", stock.branch("stock"), pay.branch("pay")), wait="finished").json()["outcome"] == "committed"
    slow = make_participant().on("prepare", reply(503))
    server.submit(two_phase("open", stock.branch("stock"), slow.branch("slow")))
    stock.wait_call("prepare", count=2)
    copy = copy_of(server, tmp_path / "copy.db")
    slow.on("prepare", reply(200, {"result": "success"}))
    server.wait_phase("open", "committed")
    assert server.submit(two_phase("after", stock.branch("stock"), pay.branch("pay")), wait="finished").json()["outcome"] == "committed"
    server.kill9()
    return server, copy, stock, slow


@pytest.mark.parametrize("command", ["VACUUM INTO '{}'", ".backup '{}'"], ids=["vacuum", "backup"])
def test_a_copy_of_a_running_store_is_whole(server, make_participant, tmp_path, command):
    a = make_participant()
    for number in range(20):
        server.submit(two_phase(f"g{number}", a.branch("x")), wait="finished")
    down = Participant(up=False)
    server.submit(two_phase("open", a.branch("x"), down.branch("y")))
    copy = copy_of(server, tmp_path / "copy.db", command)
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    server.kill9()
    again = restored(server, copy, tmp_path, "restored")
    assert all(again.read(f"g{number}")["outcome"] == "committed" for number in range(20))
    assert again.read("open")["phase"] == "preparing"
    down.up()
    again.wait_phase("open", "committed")
    down.close()


def test_an_old_copy_says_aborted_about_what_it_does_not_know(old_copy, tmp_path):
    """This is what the page warns of."""
    server, copy, stock, slow = old_copy
    restored(server, copy, tmp_path, "restored")
    assert inquiry(stock, "before").json()["outcome"] == "committed"
    assert inquiry(stock, "after").json()["outcome"] == "aborted", "and it had committed"


def test_an_old_copy_with_an_identity_of_its_own_calls_nobody_and_answers_nobody(old_copy, tmp_path):
    """This is what the page advises: who is in doubt goes on holding, and nothing is sent until a person has compared."""
    server, copy, stock, slow = old_copy
    subprocess.run(["sqlite3", copy, "UPDATE meta SET value = randomblob(16) WHERE key = 'uuid'"], check=True, timeout=30)
    config = tmp_path / "review.toml"
    config.write_text("allow = []\n")
    calls = len(stock.calls()) + len(slow.calls())
    again = restored(server, copy, tmp_path, "restored", "--config", config)
    for gid in ("before", "open", "after"):
        problem(inquiry(stock, gid), 421, "wrong_coordinator")

    def tried():
        return all((branch["last"] or {}).get("code") == "not_allowed" for branch in again.read("open")["branches"])

    wait_until(tried, what="the calls to be refused")
    assert len(stock.calls()) + len(slow.calls()) == calls
