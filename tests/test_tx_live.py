"""`unanim tx list|watch|history|retry|rollback|resolve|forget` against the real server."""

import json
import subprocess
import threading

import pytest

import harness
from harness import run_unanim, wait_until
from participants import NO, YES, Participant, reply, silence, two_phase

# So long a pause that a call within a test was made by hand.
PATIENT = {"first_ms": 600_000, "max_ms": 600_000}


def tx(server, *args, **kwargs):
    return run_unanim("tx", *args, "--server", server.url, **kwargs)


def gids(server, *args):
    """What `tx list --json` lists."""
    code, out, err = tx(server, "list", "--json", *args)
    assert code == 0, err
    return [json.loads(line)["gid"] for line in out.splitlines()]


@pytest.fixture
def shop(make_server, make_participant):
    """Two that committed, one that aborted, one that collects votes, and one that is committing and stuck."""
    server = make_server("--stuck-after", "300ms")
    a, down = make_participant(), make_participant().on("commit", reply(503))
    for gid in ("yes-1", "yes-2"):
        server.submit(two_phase(gid, a.branch("x")), wait="finished")
    server.submit(two_phase("no", make_participant().on("prepare", NO).branch("x")), wait="finished")
    server.submit(two_phase("asking", make_participant().on("prepare", silence()).branch("x")))
    server.submit(two_phase("hanging", a.branch("x"), down.branch("y")), wait="decided")
    wait_until(lambda: server.read("hanging")["stuck"], what="it to be stuck")
    return server, a, down


def test_list_and_its_filters(shop):
    server, a, down = shop
    assert set(gids(server)) == {"yes-1", "yes-2", "no", "asking", "hanging"}
    assert gids(server, "--phase", "committing") == ["hanging"]
    assert set(gids(server, "--outcome", "committed")) == {"yes-1", "yes-2", "hanging"}
    assert "asking" in gids(server, "--outcome", "undecided")
    assert gids(server, "--participant", down.address) == gids(server, "--participant", down.url) == ["hanging"]
    assert "hanging" in gids(server, "--stuck") and "yes-1" not in gids(server, "--stuck")
    assert set(gids(server, "--mode", "two_phase")) == set(gids(server))
    assert len(gids(server, "--limit", "2")) == 2 and "--limit" in tx(server, "list", "--limit", "2")[2]
    code, out, err = tx(server, "list", "--phase", "committing")
    assert code == 0 and out.splitlines()[0].startswith("gid") and "hanging" in out and "STUCK" in out, out
    code, out, err = tx(server, "list", "--participant", "127.0.0.1:1")
    assert (code, out) == (0, "no transactions\n"), err


def test_list_by_time(shop):
    server, a, down = shop
    assert gids(server, "--since", "2020-01-01T00:00:00Z", "--phase", "aborted") == ["no"]
    assert gids(server, "--until", "2020-01-01T00:00:00Z") == []
    assert set(gids(server, "--since", "1h", "--phase", "committed")) == {"yes-1", "yes-2"}


def test_a_long_list_comes_whole(server, make_participant):
    a = make_participant().on("commit", reply(503))
    names = {f"g-{number:03}" for number in range(250)}
    for gid in names:
        server.submit(two_phase(gid, a.branch("x")))
    listed = gids(server, "--limit", "1000")
    assert len(listed) == 250 and set(listed) == names


def test_history(shop):
    server, a, down = shop
    code, out, err = tx(server, "history", "yes-1")
    kinds = [line.split()[2] for line in out.splitlines()]
    assert code == 0 and kinds[0] == "begun" and "decided" in kinds and kinds[-1] == "finished", out
    code, out, err = tx(server, "history", "yes-1", "--json")
    assert [json.loads(line)["type"] for line in out.splitlines()] == kinds
    code, out, err = tx(server, "history", "nobody")
    assert code == 1 and "nobody" in err and "older" not in err, err


def test_watch_says_how_it_ended(shop):
    server, a, down = shop
    assert tx(server, "watch", "yes-1")[0] == 0
    code, out, err = tx(server, "watch", "no")
    assert code == 2 and "finished" in out.splitlines()[-1], out
    code, out, err = tx(server, "watch", "hanging", "--timeout", "1s")
    assert code == 3 and "decided" in out and "finished" not in out, out
    code, out, err = tx(server, "watch", "nobody")
    assert code == 1 and "nobody" in err and "older" not in err, err


def test_watch_survives_a_restart(server, make_participant):
    a = make_participant().on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x"), a.branch("y")), wait="decided")
    command = [harness.binary(), "tx", "watch", "g", "--json", "--server", server.url]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=harness.clean_env())
    seen, said = [], []
    readers = [threading.Thread(target=lambda: seen.extend(watch.stdout)), threading.Thread(target=lambda: said.extend(watch.stderr))]
    try:
        for reader in readers:
            reader.start()
        wait_until(lambda: any('"decided"' in line for line in seen), what="the decision to be seen")
        for _ in range(2):
            before = len(said)
            server.kill9()
            wait_until(lambda before=before: len(said) > before, what="it to say that the server is away")
            server.start()
            wait_until(lambda: "back" in said[-1], what="it to say that the server is back")
        a.on("commit", YES)
        assert watch.wait(30) == 0
    finally:
        watch.kill()
        for reader in readers:
            reader.join(10)
    seqs = [json.loads(line)["seq"] for line in seen]
    assert seqs == sorted(set(seqs)), "none twice, and in order"
    code, out, err = tx(server, "history", "g", "--json")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == seqs, "none is missing"
    assert "trying again" in "".join(said)


def test_watch_follows_a_server_that_drains(server, make_participant):
    a = make_participant().on("commit", reply(503))
    server.submit(two_phase("g", a.branch("x")), wait="decided")
    with subprocess.Popen([harness.binary(), "tx", "watch", "g", "--server", server.url], env=harness.clean_env(), stdout=subprocess.PIPE) as watch:
        assert b"begun" in watch.stdout.readline()
        assert server.stop() == 0
        a.on("commit", YES)
        server.start()
        assert b"finished" in watch.stdout.read().splitlines()[-1]
        assert watch.wait(30) == 0


def test_retry_calls_now(make_server, make_participant):
    server = make_server("--stuck-after", "200ms")
    a, b = make_participant().on("commit", reply(503)), make_participant().on("commit", reply(503))
    for number in range(3):
        server.submit(two_phase(f"a{number}", a.branch("x", retry=PATIENT)), wait="decided")
        server.submit(two_phase(f"b{number}", b.branch("x", retry=PATIENT)), wait="decided")
    a.wait_call("commit", count=3)
    b.wait_call("commit", count=3)
    a.on("commit", YES)
    code, out, err = tx(server, "retry", "a0")
    assert code == 0 and out.startswith("a0 committed"), (out, err)
    server.wait_phase("a0", "committed")
    code, out, err = tx(server, "retry", "--participant", a.address)
    assert code == 0 and out.splitlines()[-1] == "2 retried, 0 failed", (out, err)
    server.wait_phase("a1", "committed")
    server.wait_phase("a2", "committed")
    assert server.read("b0")["phase"] == "committing"
    b.on("commit", YES)
    wait_until(lambda: len(gids(server, "--stuck")) == 3, what="all of b to be stuck")
    code, out, err = tx(server, "retry", "--stuck")
    assert code == 0 and out.splitlines()[-1] == "3 retried, 0 failed", (out, err)
    for number in range(3):
        server.wait_phase(f"b{number}", "committed")
    code, out, err = tx(server, "retry", "nobody", "also-nobody")
    assert code == 1 and "also-nobody" in err and out == "0 retried, 2 failed\n", (out, err)


def test_rollback(shop, make_participant):
    server, a, down = shop
    code, out, err = tx(server, "rollback", "asking", "yes-1", "nobody", "no")
    assert code == 1 and "already_decided" in err and "nobody" in err and out.splitlines()[-1] == "2 rolled back, 2 failed", (out, err)
    assert server.read("asking")["outcome"] == "aborted"
    assert server.read("yes-1")["outcome"] == "committed"


def test_resolve_ends_what_would_never_end(server, make_participant):
    a, b = make_participant(), make_participant().on("commit", reply(500))
    server.submit(two_phase("g", a.branch("x"), b.branch("pay here")), wait="decided")
    b.wait_call("commit")
    code, out, err = tx(server, "resolve", "g", "pay here", "--outcome", "committed", "--reason", "by hand", "--by", "alice")
    assert code == 0 and out.startswith("g committed"), (out, err)
    view = server.wait_phase("g", "committed")
    assert view["heuristic"] is None, view
    history = tx(server, "history", "g")[1]
    assert "resolved" in history and "alice" in history and "by hand" in history, history
    code, out, err = tx(server, "resolve", "g", "nothing", "--outcome", "committed", "--reason", "r", "--by", "alice")
    assert code == 1 and err, (out, err)


def test_resolve_against_the_decision_is_marked(server, make_participant):
    a, gone = make_participant(), make_participant().on("commit", reply(500))
    server.submit(two_phase("g", a.branch("x"), gone.branch("y")), wait="decided")
    code, out, err = tx(server, "resolve", "g", "y", "--outcome", "rolled_back", "--reason", "the money was gone", env={"USER": "bob"})
    assert code == 0 and "HEURISTIC" in out, (out, err)
    assert "HEURISTIC" in tx(server, "list")[1]


def test_forget(make_server, make_participant):
    server = make_server("--retention", "1s")
    down = Participant(up=False)
    server.submit(two_phase("g", make_participant().branch("x"), down.branch("y"), timeout_ms=300))
    server.wait_phase("g", "aborting")
    code, out, err = tx(server, "forget", "g")
    assert code == 1 and "g" in err, (out, err)
    assert tx(server, "resolve", "g", "y", "--outcome", "rolled_back", "--reason", "r", "--by", "me")[0] == 0
    server.wait_phase("g", "aborted")
    wait_until(lambda: tx(server, "forget", "g")[0] == 0, what="it to be past its retention")
    code, out, err = tx(server, "forget", "never-there")
    assert code == 1, (out, err)
