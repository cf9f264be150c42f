"""Data folders that earlier versions have written: what had ended reads the same, what was open ends (see folders.py)."""

import json
import tarfile

import pytest

from folders import FIXTURES, history, participants
from harness import quote
from participants import two_phase

FOLDERS = sorted(FIXTURES.glob("*.json"))


def test_there_are_some():
    assert FOLDERS


@pytest.fixture
def both():
    made = participants(up=False)
    yield made
    for participant in made:
        participant.close()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.stem)
def test_a_folder_of_an_earlier_version(make_server, both, folder):
    known = json.loads(folder.read_text())
    # What has ended would be purged after its retention, however young this version is.
    server = make_server("--retention", "36500d", start=False)
    server.data.mkdir()
    with tarfile.open(folder.with_suffix(".tar.gz")) as tar:
        tar.extractall(server.data, filter="data")
    server.start()
    for gid, was in known.items():
        view, events = server.read(gid), history(server, gid)
        assert events[: len(was["history"])] == was["history"], gid
        if "ends" in was:
            assert was["view"]["outcome"] in (view["outcome"], "undecided"), view
        else:
            assert {name: view[name] for name in was["view"]} == was["view"]
            assert len(events) == len(was["history"])
    for participant in both:
        participant.up()
    open_ones = {gid: was["ends"] for gid, was in known.items() if "ends" in was}
    assert len(open_ones) >= 5
    for gid in open_ones:
        # Those that were stuck for long are asked only now and then.
        server.post(f"/v1/transactions/{quote(gid)}/retry")
    for gid, end in open_ones.items():
        assert server.wait_phase(gid, "committed", "aborted", timeout=40)["phase"] == end, gid
    assert server.submit(two_phase("new", both[0].branch("x"), both[1].branch("y")), wait="finished").json()["outcome"] == "committed"
    server.kill9().start()
    for gid, was in known.items():
        assert server.read(gid)["phase"] == was.get("ends", was["view"]["phase"]), gid
