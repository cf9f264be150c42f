"""`kill -9` of the real server, again and again, at random moments, under load through both doors.

Every accepted transaction ends, all participants agree, the money adds up, no gid is lost or run twice, and nobody ever
sees an outcome and later another one. UNANIM_KILL_SEED repeats a run's choices, UNANIM_KILLS sets how many there are.
"""

import copy
import os
import random
import time

import pytest
import requests

import harness
import load
from harness import wait_until
from history import check, final_outcomes
from load import ClassicClient, Plan, V1Client, check_books

SEED = int(os.environ.get("UNANIM_KILL_SEED", random.SystemRandom().randrange(10**9)))
KILLS = int(os.environ.get("UNANIM_KILLS", 50))
OPENING = {"a": 100_000, "b": 100_000, "c": 0}


@pytest.fixture
def bank(tmp_path):
    """Two durable participants that move money, and one that refuses."""
    def start(name, *args):
        participant = harness.DemoParticipant(
            tmp_path, name, "--inquire-after", "1s", "--classic-account", "funds", *args, accounts={"funds": OPENING[name]},
        )
        return participant.spawn()

    participants = {
        "a": start("a", "--classic-amount", "-1"),
        "b": start("b", "--classic-amount", "1"),
        "c": start("c", "--classic-amount", "1", "--fail", "prepare"),
    }
    for participant in participants.values():
        participant.wait_ready()
    return participants


def kill_in_a_loop(server, bank, rng, records):
    """KILLS times SIGKILL to the server; now and then a participant goes too, and comes back at once."""
    for kill in range(KILLS):
        # Early kills hit the start and the loading, late ones the running server.
        alive_for = rng.uniform(0, 0.15) if rng.random() < 0.25 else rng.uniform(0.15, 1.2)
        # This is the time under test: how long the server lives.
        time.sleep(max(0.0, server.spawned_at + alive_for - time.monotonic()))
        code = server.popen.poll()
        assert code is None, f"the server ended by itself with {code} before kill {kill}:\n{server.log()[-3000:]}"
        server.kill9()
        if rng.random() < 0.2:
            rng.choice(list(bank.values())).kill9().spawn()
        server.spawn()
        assert not records.errors, records.errors[:5]
    server.wait_ready()
    for participant in bank.values():
        participant.wait_ready()


def read_all(server, records):
    """Reads every planned transaction once more, by either view, into the history; the outcomes."""
    reader = V1Client("last-reader", server.url, {}, records, SEED)
    for plan in list(records.plans.values()):
        if plan.door == "classic":
            reader.call("GET", f"/transaction/{plan.gid}", "classic get", plan.gid, load.read_classic)
        else:
            reader.call("GET", "/v1/transactions/" + harness.quote(plan.gid), "get", plan.gid, load.read_v1)
    return final_outcomes(records.observations)


@pytest.fixture
def seed():
    print(f"UNANIM_KILL_SEED={SEED} UNANIM_KILLS={KILLS}")
    return SEED


@pytest.mark.parametrize("commit", ["inline", "thread"])
def test_kill_9_in_a_loop(make_server, bank, seed, commit):
    rng = random.Random(f"{seed}/{commit}")
    server = make_server("--classic-prepare-timeout", "5s", "--commit", commit)
    records = load.Records()
    clients = [
        kind(f"{kind.__name__.lower()}{n}", server.url, bank, records, seed)
        for kind, count in ((V1Client, 5), (ClassicClient, 3))
        for n in range(count)
    ]
    for client in clients:
        client.start()
    try:
        kill_in_a_loop(server, bank, rng, records)
    finally:
        load.stop(clients)
    assert not records.errors, records.errors[:5]

    def quiet():
        books = {name: participant.books() for name, participant in bank.items()}
        busy = [b for b in books.values() if b["held"] or "prepared" in b["transactions"].values()]
        return books if not busy else None

    wait_until(quiet, 60, "nobody to hold anything", 0.1)

    def ended():
        outcomes = read_all(server, records)
        accepted = (g for g, plan in records.plans.items() if plan.accepted)
        return outcomes if all(outcomes.values()) and all(map(outcomes.get, accepted)) else None

    outcomes = wait_until(ended, 60, "every accepted transaction to end", 0.5)
    books = wait_until(quiet, 60, "nobody to hold anything", 0.1)
    assert check_books(records.plans, outcomes, books, OPENING) == []
    assert check(records.observations) == []
    counts = {o: sum(1 for x in outcomes.values() if x == o) for o in ("committed", "aborted")}
    print(f"{len(records.plans)} transactions, {counts}, {len(records.observations)} observations, {KILLS} kills")
    assert counts["committed"] > 2 * KILLS and counts["aborted"] > KILLS / 2, f"too little load to mean anything: {counts}"
    assert server.stop() == 0


def test_a_second_pass_over_the_same_folder_reads_the_same(make_server, bank, seed):
    """What ended is still readable after a kill right behind the answer, through both doors."""
    server = make_server()
    records = load.Records()
    for round_ in range(5):
        client = V1Client(f"v1-{round_}", server.url, bank, records, seed)
        classic = ClassicClient(f"classic-{round_}", server.url, bank, records, seed)
        for _ in range(3):
            client.transact()
            classic.transact()
        server.kill9().start()
        read_all(server, records)
        assert check(records.observations) == []
    assert not records.errors
    assert len(requests.get(bank["a"].url + "/books", timeout=10).json()["transactions"]) > 5


GOOD_BOOKS = {
    "plans": {"g": Plan("g", "v1", {"a": -5, "b": 5}, True), "h": Plan("h", "v1", {"a": -1, "b": 1, "c": 1}, True)},
    "outcomes": {"g": "committed", "h": "aborted"},
    "books": {
        "a": {"held": 0, "accounts": {"funds": 95}, "transactions": {"g": "committed", "h": "rolled_back"}},
        "b": {"held": 0, "accounts": {"funds": 5}, "transactions": {"g": "committed"}},
        "c": {"held": 0, "accounts": {"funds": 0}, "transactions": {"h": "rolled_back"}},
    },
    "opening": {"a": 100, "b": 0, "c": 0},
}


def spoil(*path_and_value):
    """The good books with one entry changed."""
    spoiled = copy.deepcopy(GOOD_BOOKS)
    *path, last, value = path_and_value
    place = spoiled
    for key in path:
        place = place[key]
    place[last] = value
    return spoiled


@pytest.mark.parametrize(
    "change",
    [
        ("books", "a", "held", 1),
        ("books", "a", "accounts", "funds", 90),
        ("books", "b", "accounts", "funds", 10),
        ("books", "b", "transactions", "g", "rolled_back"),
        ("books", "b", "transactions", "g", "prepared"),
        ("books", "b", "transactions", {}),
        ("books", "c", "transactions", "h", "committed"),
        ("books", "c", "transactions", "stranger", "rolled_back"),
        ("outcomes", "g", None),
        ("outcomes", {"h": "aborted"}),
        ("outcomes", "h", "committed"),
    ],
    ids=str,
)
def test_spoiled_books_are_seen(change):
    assert check_books(**GOOD_BOOKS) == []
    assert check_books(**spoil(*change)) != []
