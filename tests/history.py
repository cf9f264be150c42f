"""Checks a history of what clients saw against the promise: once anyone saw an outcome, nobody later sees another, or 404.

An observation is an interval (from before the request left until after the answer came) and what the answer said. "Later"
means: began after the other one ended. Outcomes that contradict each other are wrong even when they overlap.
"""

import collections
import dataclasses

OUTCOMES = ("committed", "aborted")

# What an answer can say about a gid.
#   committed, aborted   the outcome
#   prepared             classic only: everybody voted yes; the decision may be durable already
#   undecided            it exists, and has no outcome yet (classic: `init`)
#   missing              404
#   unknown              no answer, or one that says nothing (a broken connection, 503)
SEEN = (*OUTCOMES, "prepared", "undecided", "missing", "unknown")


@dataclasses.dataclass(frozen=True)
class Observation:
    start: float
    end: float
    client: str
    what: str
    gid: str
    seen: str

    def __post_init__(self):
        assert self.seen in SEEN, self.seen
        assert self.start <= self.end


def check(observations):
    """The violations, as sentences; an empty list is a clean history."""
    by_gid = collections.defaultdict(list)
    for observation in observations:
        if observation.seen != "unknown":
            by_gid[observation.gid].append(observation)
    return [line for gid, seen in by_gid.items() for line in _check_gid(gid, seen)]


def _check_gid(gid, seen):
    outcomes = {observation.seen for observation in seen if observation.seen in OUTCOMES}
    if len(outcomes) > 1:
        first = {o: min((s for s in seen if s.seen == o), key=lambda s: s.end) for o in outcomes}
        yield f"{gid}: both outcomes were seen: {first['committed']} and {first['aborted']}"
    decided = _earliest(seen, lambda s: s in OUTCOMES)
    exists = _earliest(seen, lambda s: s != "missing")
    for observation in seen:
        if decided and observation.start > decided.end:
            # Classic `prepared` is what a commit reads as until everybody acknowledged; a rollback never reads so.
            if observation.seen == "undecided" or (observation.seen == "prepared" and decided.seen == "aborted"):
                yield f"{gid}: {observation} came after {decided}"
        if exists and observation.seen == "missing" and observation.start > exists.end:
            yield f"{gid}: lost: {observation} came after {exists}"


def _earliest(seen, wanted):
    matching = [observation for observation in seen if wanted(observation.seen)]
    return min(matching, key=lambda observation: observation.end, default=None)


def final_outcomes(observations):
    """The outcome that was seen of each gid; a gid that exists without one maps to None."""
    outcomes = {}
    for observation in observations:
        if observation.seen in OUTCOMES:
            outcomes[observation.gid] = observation.seen
        elif observation.seen in ("undecided", "prepared"):
            outcomes.setdefault(observation.gid, None)
    return outcomes
