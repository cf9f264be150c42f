"""The history checker sees what it is for: fabricated histories, good and bad."""

import pytest

from history import Observation, check, final_outcomes


def history(*entries):
    """Entries `(start, end, seen)` of one gid, or `(start, end, seen, gid)`."""
    return [
        Observation(start, end, f"client{i % 3}", "get", *(rest[1:] or ("g",)), rest[0])
        for i, (start, end, *rest) in enumerate(entries)
    ]


GOOD = {
    "nothing": [],
    "ends": [(0, 1, "undecided"), (2, 3, "committed"), (4, 5, "committed")],
    "missing before it was accepted": [(0, 1, "missing"), (2, 3, "undecided")],
    "missing while it was being accepted": [(0, 5, "undecided"), (1, 6, "missing")],
    "undecided overlaps the outcome": [(0, 5, "committed"), (4, 9, "undecided")],
    "classic reads prepared again after a crash": [(0, 1, "committed"), (2, 3, "prepared"), (4, 5, "committed")],
    "classic prepared, then refused by its client": [(0, 1, "prepared"), (2, 3, "aborted")],
    "a broken connection says nothing": [(0, 1, "committed"), (2, 3, "unknown"), (4, 5, "committed")],
    "two gids end differently": [(0, 1, "committed", "a"), (2, 3, "aborted", "b")],
}

BAD = {
    "another outcome later": [(0, 1, "committed"), (2, 3, "aborted")],
    "another outcome at the same time": [(0, 5, "committed"), (1, 4, "aborted")],
    "another outcome through the other view, far apart": [(0, 1, "aborted"), (2, 3, "aborted"), (900, 901, "committed")],
    "lost after acceptance": [(0, 1, "undecided"), (2, 3, "missing")],
    "lost after the outcome": [(0, 1, "committed"), (2, 3, "missing")],
    "undecided again": [(0, 1, "committed"), (2, 3, "undecided")],
    "abort reads undecided again": [(0, 1, "aborted"), (2, 3, "undecided")],
    "classic prepared after an abort": [(0, 1, "aborted"), (2, 3, "prepared")],
    "lost, then found again": [(0, 1, "undecided"), (2, 3, "missing"), (4, 5, "committed")],
    "only one of many gids": [(0, 1, "committed", "a"), (0, 1, "aborted", "b"), (2, 3, "committed", "b")],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_clean(name):
    assert check(history(*GOOD[name])) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_seen(name):
    assert check(history(*BAD[name])) != []


def test_final_outcomes():
    seen = history((0, 1, "undecided", "a"), (2, 3, "committed", "a"), (0, 1, "prepared", "b"), (0, 1, "missing", "c"))
    assert final_outcomes(seen) == {"a": "committed", "b": None}
