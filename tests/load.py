"""Clients that keep a coordinator busy through both doors, never give up on a transaction, and write down all they see."""

import dataclasses
import json
import random
import threading
import time

import requests

from harness import quote, wait_until
from history import Observation


@dataclasses.dataclass
class Plan:
    """What a transaction would do, if it commits: amounts by participant's name."""

    gid: str
    door: str
    amounts: dict
    accepted: bool = False


class Records:
    """What all clients planned and saw, shared between their threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.plans = {}
        self.observations = []
        self.errors = []

    def plan(self, plan):
        with self._lock:
            assert plan.gid not in self.plans, f"{plan.gid} was given out twice"
            self.plans[plan.gid] = plan
        return plan

    def saw(self, start, client, what, gid, seen):
        with self._lock:
            self.observations.append(Observation(start, time.monotonic(), client, what, gid, seen))

    def failed(self, text):
        with self._lock:
            self.errors.append(text)

    def some_gid(self, rng):
        """A gid that somebody planned, rather a late one."""
        with self._lock:
            gids = list(self.plans)[-200:]
            return self.plans[rng.choice(gids)] if gids else None


# Answers that promise nothing: the request is sent again as it was.
AGAIN = (429, 503)
CLASSIC_SEEN = {"init": "undecided", "prepared": "prepared", "committed": "committed", "aborted": "aborted"}


class Client(threading.Thread):
    """One closed loop. `participants` maps names to demo participants; `bank` names the two that hold money, `refuser` one
    that refuses everything."""

    def __init__(self, name, url, participants, records, seed):
        super().__init__(name=name, daemon=True)
        self.url, self.participants, self.records = url, participants, records
        self.rng = random.Random(f"{seed}/{name}")
        self.run_id = f"{name}-{seed}"
        self.session = requests.Session()
        self.stopping = threading.Event()
        self.count = 0

    def run(self):
        while not self.stopping.is_set():
            try:
                self.transact()
                for _ in range(self.rng.randrange(3)):
                    self.look()
            except Exception as error:  # noqa: BLE001: whatever it is, the test must hear of it
                self.records.failed(f"{self.name}: {error!r}")
                return

    def call(self, method, path, what, gid, read, body=None, params=None, timeout=20, persist=True):
        """Calls until there is an answer that says something; `read(answer)` says what was seen, or None for an error."""
        deadline = time.monotonic() + 90
        while True:
            start = time.monotonic()
            try:
                answer = self.session.request(
                    method, self.url + path, params=params, timeout=timeout, allow_redirects=False,
                    data=None if body is None else json.dumps(body),
                    headers={} if body is None else {"Content-Type": "application/json"},
                )
            except requests.RequestException:
                answer = None
            if answer is None or answer.status_code in AGAIN:
                if gid:
                    self.records.saw(start, self.name, what, gid, "unknown")
                if not persist:
                    return None
                assert time.monotonic() < deadline, f"{what} {gid}: no answer for 90 s"
                # The pause of a client between two tries; the server may be dead just now.
                time.sleep(self.rng.uniform(0.005, 0.05))
                continue
            seen = read(answer)
            if seen is None:
                self.records.failed(f"{self.name}: {what} {gid}: {answer.status_code} {answer.text[:300]}")
            elif gid:
                self.records.saw(start, self.name, what, gid, seen)
            return answer

    def look(self):
        """Reads somebody's transaction, one way or another."""
        plan = self.records.some_gid(self.rng)
        if plan is None:
            return
        if plan.door == "classic":
            self.call("GET", f"/transaction/{plan.gid}", "classic get", plan.gid, read_classic, persist=False)
        else:
            path = "/v1/transactions/" + quote(plan.gid) + self.rng.choice(["", "/outcome"])
            self.call("GET", path, "get", plan.gid, read_v1, persist=False)


def read_v1(answer):
    if answer.status_code in (200, 202):
        return answer.json()["outcome"]
    return "missing" if answer.status_code == 404 else None


def read_classic(answer):
    if answer.status_code == 200:
        return CLASSIC_SEEN.get(answer.json()["state"])
    return "missing" if answer.status_code == 404 else None


def read_classic_result(answer):
    if answer.status_code != 200:
        return None
    return {"success": "committed", "failed": "aborted"}.get(answer.json()["result"])


class V1Client(Client):
    """Moves money between the two banks, sometimes with one who refuses; sometimes in steps; sometimes it goes away."""

    def transact(self):
        self.count += 1
        amount = self.rng.choice([1, 2, 3, 5, 8, 200_000 if self.rng.random() < 0.3 else 13])
        amounts = dict(zip(self.rng.sample(["a", "b"], 2), (-amount, amount)))
        if self.rng.random() < 0.1:
            amounts["c"] = 1
        # A gid that needs care in paths and headers, for all that comes with it.
        plan = self.records.plan(Plan(f"{self.run_id}/{self.count} é", "v1", amounts))
        if self.rng.random() < 0.15:
            self.in_steps(plan)
        else:
            self.at_once(plan)

    def branches(self, plan):
        retry = {"first_ms": 20, "max_ms": 500}
        return [
            {"id": name, "endpoint": self.participants[name].url + "/tx", "call_timeout_ms": 2000, "retry": retry,
             "payload": {"account": "funds", "amount": amount}}
            for name, amount in plan.amounts.items()
        ]

    def at_once(self, plan):
        body = {"gid": plan.gid, "mode": "two_phase", "timeout_ms": 20_000, "branches": self.branches(plan)}
        wait = self.rng.choice([None, "decided", "finished"])
        leaves = self.rng.random() < 0.05
        params = {"wait": wait, "timeout_ms": 3000} if wait else None
        answer = self.call(
            "POST", "/v1/transactions", "submit", plan.gid, read_v1, body, params, 0.003 if leaves else 20, not leaves,
        )
        plan.accepted = answer is not None

    def in_steps(self, plan):
        path = "/v1/transactions/" + quote(plan.gid)
        body = {"gid": plan.gid, "mode": "two_phase", "start": False, "timeout_ms": 60_000}
        self.call("POST", "/v1/transactions", "begin", plan.gid, read_v1, body)
        plan.accepted = True
        for branch in self.branches(plan):
            self.call("POST", path + "/branches", "add", plan.gid, read_v1, {"branches": [branch]})
        wish = "rollback" if self.rng.random() < 0.3 else "commit"
        self.call("POST", f"{path}/{wish}", wish, plan.gid, read_v1, params={"wait": "decided", "timeout_ms": 3000})


class ClassicClient(Client):
    """Moves one from `a` to `b`, which is all that a call without a body can say."""

    def transact(self):
        answer = self.call("POST", "/transaction", "begin", None, lambda a: "undecided" if a.status_code == 200 else None)
        names = ["a", "b", "c"] if self.rng.random() < 0.15 else ["a", "b"]
        amounts = {"a": -1, "b": 1, "c": 1}
        plan = self.records.plan(Plan(answer.json()["transaction_id"], "classic", {n: amounts[n] for n in names}, True))
        body = {"participants": [self.participants[name].address for name in names]}
        self.call("POST", f"/transaction/{plan.gid}/prepare", "prepare", plan.gid, read_classic_result, body)


def stop(clients, timeout=120):
    """Lets every client finish what it is at."""
    for client in clients:
        client.stopping.set()
    wait_until(lambda: not any(c.is_alive() for c in clients), timeout, "the clients to finish")


def check_books(plans, outcomes, books, opening):
    """What is wrong with the books, as sentences.

    `plans`: by gid; `outcomes`: by gid, for each that the coordinator knows; `books`: what `GET /books` said, by
    participant's name; `opening`: the balance of the account `funds` at the start, by name.
    """
    wrong = []
    for name, book in books.items():
        if book["held"] != 0:
            wrong.append(f"{name} still holds {book['held']}")
        for gid, state in book["transactions"].items():
            if state not in ("committed", "rolled_back"):
                wrong.append(f"{name}: {gid} is {state}")
            if gid not in plans:
                wrong.append(f"{name}: nobody planned {gid}")
            elif gid not in outcomes:
                wrong.append(f"{name}: the coordinator called for {gid} and does not know it")
    for gid, plan in plans.items():
        outcome = outcomes.get(gid)
        if outcome is None:
            if plan.accepted:
                wrong.append(f"{gid} was accepted and has no outcome")
            continue
        for name in plan.amounts:
            state = books[name]["transactions"].get(gid)
            # Who was never asked knows nothing; that is as good as rolled back.
            if state not in {"committed": ["committed"], "aborted": ["rolled_back", None]}[outcome]:
                wrong.append(f"{gid} is {outcome}, and {name} says {state}")
    for name, start in opening.items():
        moved = sum(p.amounts.get(name, 0) for g, p in plans.items() if outcomes.get(g) == "committed")
        balance = books[name]["accounts"]["funds"]
        if balance != start + moved:
            wrong.append(f"{name}: {balance} is not {start} and the committed {moved}: something ran twice, or not at all")
    total = sum(book["accounts"]["funds"] for book in books.values())
    if total != sum(opening.values()):
        wrong.append(f"the money does not add up: {total}, not {sum(opening.values())}")
    return wrong
