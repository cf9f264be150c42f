"""The example service of the Rust crate (crates/sdk/examples/seats.rs), with a real coordinator and real crashes."""

import os
import pathlib
import subprocess

import pytest
import requests

import harness
from harness import wait_until
from participants import YES, reply, two_phase


@pytest.fixture(scope="session")
def seats_binary():
    """Built by cargo; that is nothing to do when the unit tests ran before."""
    command = ["cargo", "build", "--quiet", "--locked", "--package", "unanim", "--example", "seats"]
    subprocess.run(command, cwd=harness.ROOT, check=True, timeout=900)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", harness.ROOT / "target"))
    return target / "debug/examples/seats"


class Seats(harness.Process):
    def __init__(self, binary, folder, port=None):
        self.port = port or harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__([binary, f"127.0.0.1:{self.port}", folder / "seats.db"], folder / "seats.log", cwd=folder)

    def is_ready(self):
        try:
            return requests.get(self.url, timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def shown(self):
        return requests.get(self.url, timeout=10).text

    def branch(self, number, **more):
        return {"id": "seats", "endpoint": self.url + "/tx", "payload": number, "retry": {"first_ms": 50, "max_ms": 200}, **more}


@pytest.fixture
def seats(seats_binary, tmp_path):
    return Seats(seats_binary, tmp_path).start()


def test_it_sells_what_it_has_and_nothing_twice(server, seats):
    order = two_phase("a", seats.branch(4))
    for _ in range(2):
        assert server.submit(order, wait="finished").json()["outcome"] == "committed"
    assert seats.shown() == "6 free, 4 sold"
    refused = server.submit(two_phase("b", seats.branch(7)), wait="finished").json()
    assert (refused["outcome"], refused["reason"]["detail"]) == ("aborted", "there are not that many seats left")
    assert server.submit(two_phase("c", seats.branch("seven")), wait="finished").json()["outcome"] == "aborted"
    assert server.submit(two_phase("d", seats.branch(6, one_phase=True)), wait="finished").json()["outcome"] == "committed"
    assert seats.shown() == "0 free, 10 sold"


def test_what_others_refuse_is_given_back(server, seats, make_participant):
    other = make_participant().on("prepare", reply(200, {"result": "failed"}))
    assert server.submit(two_phase("a", seats.branch(4), other.branch("x")), wait="finished").json()["outcome"] == "aborted"
    assert seats.shown() == "10 free, 0 sold"


def test_it_holds_through_crashes_of_both_sides(server, seats, make_participant):
    other = make_participant().on("prepare", reply(500))
    server.submit(two_phase("a", seats.branch(4), other.branch("x", retry={"first_ms": 50, "max_ms": 200}), timeout_ms=600_000))
    wait_until(lambda: seats.shown() == "6 free, 0 sold", what="the seats to be held")
    seats.kill9().start()
    server.kill9().start()
    assert seats.shown() == "6 free, 0 sold"
    other.on("prepare", YES)
    server.wait_phase("a", "committed")
    assert seats.shown() == "6 free, 4 sold"


def test_in_doubt_it_asks_and_believes_no_other_coordinator(make_server, seats, make_participant, tmp_path):
    """The coordinator's folder is replaced by an empty one: that one must not free what is held. Then the first is back."""
    server = make_server()
    other = make_participant().on("prepare", reply(500))
    server.submit(two_phase("a", seats.branch(4), other.branch("x"), timeout_ms=600_000))
    wait_until(lambda: seats.shown() == "6 free, 0 sold", what="the seats to be held")
    server.kill9()
    stranger = harness.Server(tmp_path, port=server.port, name="stranger").start()
    wait_until(lambda: 'method="GET",status="421"' in stranger.get("/metrics").text, 20, "a question that is answered with 421")
    assert seats.shown() == "6 free, 0 sold"
    stranger.kill9()
    server.start()
    assert server.post("/v1/transactions/a/rollback", params={"wait": "decided"}).json()["outcome"] == "aborted"
    wait_until(lambda: seats.shown() == "10 free, 0 sold", 20, "the seats to be free")
