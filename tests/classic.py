"""A Flask participant and a `requests` client that know nothing but the classic protocol."""

import json
import sys
import threading

import requests

import harness
from harness import HERE, wait_until


class Flask(harness.Process):
    """A Flask participant; what it does and did is in its folder, whether it runs or not."""

    def __init__(self, folder, name, up=True):
        self.folder = folder / name
        self.folder.mkdir()
        self.port = harness.free_port()
        self.address = f"127.0.0.1:{self.port}"
        command = [sys.executable, HERE / "flask_participant.py", self.port, self.folder]
        super().__init__(command, folder / f"{name}.log")
        if up:
            self.start()

    def is_ready(self):
        try:
            return requests.get(f"http://{self.address}/livez", timeout=2).ok
        except requests.ConnectionError:
            return False

    def behave(self, **ops):
        """`behave(prepare="hang")`; without arguments: as it should."""
        new = self.folder / "behave.new"
        new.write_text(json.dumps(ops))
        new.rename(self.folder / "behave.json")
        return self

    def calls(self, op=None, gid=None):
        path = self.folder / "calls"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in lines if op in (None, call[1]) and gid in (None, call[2])]

    def ops(self, gid):
        return [op for _, op, _, _ in self.calls(gid=gid)]

    def state(self, gid):
        path = self.folder / f"{gid}.state"
        return path.read_text() if path.exists() else None

    def wait_call(self, op, gid, count=1, timeout=15.0):
        wait_until(lambda: len(self.calls(op, gid)) >= count, timeout, f"call {count} of {op}")


class Client:
    """A client of the classic protocol, with nothing but `requests`."""

    def __init__(self, url):
        self.url = url + "/transaction"

    def begin(self):
        answer = requests.post(self.url)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"transaction_id"}
        return answer.json()["transaction_id"]

    def prepare(self, gid, *participants, timeout=30):
        """The result, `success` or `failed`."""
        body = {"participants": [getattr(p, "address", p) for p in participants]}
        answer = requests.post(f"{self.url}/{gid}/prepare", json=body, timeout=timeout)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"result"}, answer.text
        return answer.json()["result"]

    def get(self, gid):
        answer = requests.get(f"{self.url}/{gid}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["transaction_id"] == gid
        assert body["state"] in ("init", "prepared", "committed", "aborted"), body
        return body

    def state(self, gid):
        return self.get(gid)["state"]

    def wait_state(self, gid, state, timeout=15.0):
        wait_until(lambda: self.state(gid) == state, timeout, f"{gid} to be {state}, is {self.state(gid)}")

    def in_background(self, gid, *participants):
        """`prepare` on a thread; a function that waits for its result (None if the connection broke)."""
        result = []

        def run():
            try:
                result.append(self.prepare(gid, *participants))
            except requests.RequestException:
                result.append(None)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def finish(timeout=30):
            thread.join(timeout)
            assert result, "prepare never returned"
            return result[0]

        return finish
