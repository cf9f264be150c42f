"""Bounds: past one a client is told 429, nothing that was accepted is lost, and what is over is purged in time."""

import threading

from harness import problem, wait_until
from participants import reply, silence, two_phase


def submit_when_there_is_room(server, body):
    """An ended transaction gives its place back when its end is written, which may be a moment after it was told."""
    def accepted():
        answer = server.submit(body, wait="finished")
        return answer.json() if answer.status_code != 429 else None

    return wait_until(accepted, 5, "room")


def test_too_many_open(make_server, make_participant):
    """A full server still reads, answers inquiries and ends what is open."""
    server = make_server("--max-open", "5")
    release = threading.Event()
    a = make_participant().on("prepare", silence(release))
    for number in range(5):
        assert server.submit(two_phase(f"g{number}", a.branch("x"))).status_code == 202
    answer = server.submit(two_phase("more", a.branch("x")))
    found = problem(answer, 429, "too_many_open")
    assert found["retryable"] is True and answer.headers["Retry-After"]
    assert server.post("/transaction").status_code == 429
    assert server.submit(two_phase("g3", a.branch("x"))).status_code == 202, "the same again is not a new one"
    problem(server.submit(two_phase("g3", a.branch("y"))), 409, "gid_conflict")
    assert server.read("g3")["outcome"] == "undecided"
    assert server.get("/v1/transactions/g3/outcome").json()["outcome"] == "undecided"
    problem(server.get("/v1/transactions/more"), 404, "not_found")
    assert server.post("/v1/transactions/g0/rollback").status_code in (200, 202)
    release.set()
    for number in range(1, 5):
        server.wait_phase(f"g{number}", "committed")
    assert submit_when_there_is_room(server, two_phase("more", a.branch("x")))["outcome"] == "committed"


def test_too_many_bytes_open(make_server, make_participant):
    server = make_server("--max-open-bytes", "1MiB")
    release = threading.Event()
    a = make_participant().on("prepare", silence(release))
    payload = "p" * 300_000
    answers = [server.submit(two_phase(f"g{number}", a.branch("x", payload))) for number in range(6)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert 1 <= len(refused) <= 4, [answer.status_code for answer in answers]
    for answer in refused:
        problem(answer, 429, "too_many_open")
    release.set()
    for number in range(6 - len(refused)):
        server.wait_phase(f"g{number}", "committed")
    assert submit_when_there_is_room(server, two_phase("again", a.branch("x", payload)))["outcome"] == "committed"


def test_the_bounds_hold_after_a_restart(make_server, make_participant):
    server = make_server("--max-open", "3")
    a = make_participant().on("commit", reply(500))
    for number in range(3):
        server.submit(two_phase(f"g{number}", a.branch("x")), wait="decided")
    server.kill9().start()
    problem(server.submit(two_phase("more", a.branch("x"))), 429, "too_many_open")
    a.on("commit", reply(200))
    for number in range(3):
        server.wait_phase(f"g{number}", "committed", timeout=40)
    assert submit_when_there_is_room(server, two_phase("more", a.branch("x")))["outcome"] == "committed"


def test_what_is_over_is_purged_and_what_is_open_is_not(make_server, make_participant):
    server = make_server("--retention", "1s")
    a = make_participant()
    stuck = make_participant().on("commit", reply(500))
    server.submit(two_phase("stuck", stuck.branch("x")), wait="decided")
    for number in range(50):
        server.submit(two_phase(f"g{number}", a.branch("x")), wait="finished")
    for number in range(50):
        path = f"/v1/transactions/g{number}"
        wait_until(lambda path=path: server.get(path).status_code == 404, 30, f"{path} to be purged", 0.1)
    assert server.read("stuck")["outcome"] == "committed"
    stuck.on("commit", reply(200))
    wait_until(lambda: server.get("/v1/transactions/stuck").status_code == 404, 40, "the last one to end and be purged", 0.1)
    assert server.submit(two_phase("g0", a.branch("y")), wait="finished").json()["outcome"] == "committed", "the gid is free again"
