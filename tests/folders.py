"""Writes a data folder with open, stuck and finished transactions in it, for every later version to open (test_folders.py).

    UNANIM_BIN=target/release/unanim python tests/folders.py

makes tests/fixtures/schema-N.tar.gz, as a SIGKILL leaves it, and schema-N.json with what is in it. Run it once when the
schema or a stored format has changed, under a new name; a folder that is there is never written anew.
"""

import json
import pathlib
import sqlite3
import sys
import tarfile
import tempfile
import time

import harness
from classic import Client
from harness import HERE, Server, wait_until
from participants import NO, YES, Participant, reply, silence, two_phase

FIXTURES = HERE / "fixtures"
# Addresses that are the same in every later test, and that nobody else has.
HOSTS, PORT = ("127.77.0.1", "127.77.0.2"), 9371
DOWN = reply(500)
UNDECIDED_MS = 10_000


def participants(up=True):
    return [Participant(port=PORT, host=host, up=up) for host in HOSTS]


def finished(server, a, b):
    """One of each kind that ends; their gids."""
    def submit(gid, *branches, **more):
        return server.submit(two_phase(gid, *branches, **more), wait="finished").json()

    assert submit("committed", a.branch("x", "payload ü"), b.branch("y"))["outcome"] == "committed"
    b.on("prepare", NO)
    assert submit("refused", a.branch("x"), b.branch("y"))["outcome"] == "aborted"
    b.on("prepare", silence())
    assert submit("late", a.branch("x"), b.branch("y", call_timeout_ms=100), timeout_ms=300)["outcome"] == "aborted"
    b.on("prepare", reply(200, {"result": "read_only"}))
    assert submit("read only", a.branch("x"), b.branch("y"))["outcome"] == "committed"
    b.on("prepare", YES).on("commit", reply(200, {"result": "heuristic_rollback"}))
    assert submit("heuristic", a.branch("x"), b.branch("y"))["heuristic"]
    b.on("commit", YES)
    assert submit("one/phase", a.branch("x", one_phase=True))["outcome"] == "committed"
    many = [(a, b)[n % 2].branch(f"b{n}") for n in range(40)]
    assert submit("many", *many)["outcome"] == "committed"
    classic = Client(server.url)
    gid = classic.begin()
    assert classic.prepare(gid, a, b) == "success"
    b.on("commit", DOWN)
    server.submit(two_phase("resolved", a.branch("x"), b.branch("y")), wait="decided")
    by_hand = {"outcome": "committed", "by": "somebody", "reason": "seen in its books"}
    assert server.post("/v1/transactions/resolved/branches/y/resolve", json=by_hand).ok
    server.wait_phase("resolved", "committed")
    b.on("commit", YES)
    return ["committed", "refused", "late", "read only", "heuristic", "one/phase", "many", gid, "resolved"]


def decided(server, a, b):
    """Decided, not acknowledged by one, and stuck; how each will end."""
    b.on("commit", DOWN).on("rollback", DOWN)
    server.submit(two_phase("committing", a.branch("x"), b.branch("y")), wait="decided")
    a.on("prepare", NO)
    server.submit(two_phase("aborting", a.branch("x"), b.branch("y")), wait="decided")
    a.on("prepare", YES)
    classic = Client(server.url)
    gid = classic.begin()
    classic.in_background(gid, a, b)
    ends = {"committing": "committed", "aborting": "aborted", gid: "committed"}
    for name in ends:
        wait_until(lambda: server.read(name)["stuck"], what=f"{name} to be stuck")
    return ends


def undecided(server, a, b):
    """Their deadline will be over when they are opened; how each will end."""
    b.on("prepare", DOWN)
    server.submit(two_phase("preparing", a.branch("x"), b.branch("y"), timeout_ms=UNDECIDED_MS))
    b.wait_call("prepare", "preparing")
    server.submit(two_phase("active", a.branch("x"), start=False, timeout_ms=UNDECIDED_MS))
    answer = server.submit(two_phase("empty", start=False, timeout_ms=UNDECIDED_MS))
    assert answer.status_code in (200, 202), answer.text
    return dict.fromkeys(["preparing", "active", "empty"], "aborted")


def history(server, gid):
    answer = server.get(f"/v1/transactions/{harness.quote(gid)}/history", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


def write(folder):
    a, b = participants()
    server = Server(folder, "--stuck-after", "300ms").start()
    ended = finished(server, a, b)
    ends = decided(server, a, b) | undecided(server, a, b)
    known = {gid: {"view": server.read(gid), "history": history(server, gid)} for gid in [*ended, *ends]}
    for gid, end in ends.items():
        known[gid]["ends"] = end
    deadline = time.monotonic() + UNDECIDED_MS / 1000
    server.kill9()
    for participant in (a, b):
        participant.close()
    wait_until(lambda: time.monotonic() > deadline, UNDECIDED_MS / 1000 + 5, "the deadlines to be over")
    return server.data, known


def pack(data, known):
    with sqlite3.connect(f"file:{data}/unanim.db?mode=ro", uri=True) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    name = FIXTURES / f"schema-{version}"
    archive, text = name.with_suffix(".tar.gz"), name.with_suffix(".json")
    if archive.exists():
        sys.exit(f"{archive} is there already, and is kept as it is")
    FIXTURES.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for file in ("unanim.db", "unanim.db-wal"):
            tar.add(data / file, arcname=file)
    lines = [f"{json.dumps(gid)}: {json.dumps(was, ensure_ascii=False)}" for gid, was in known.items()]
    text.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{archive}: {archive.stat().st_size} bytes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        pack(*write(pathlib.Path(folder)))
