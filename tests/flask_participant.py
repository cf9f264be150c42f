"""A participant as a plain Flask service would write it: the classic protocol in twenty lines, plus hooks for the tests.

    python flask_participant.py PORT FOLDER

State is one file per transaction in FOLDER. The hooks are files too, so that they work while the service is down: every
call is appended to `calls`, and `behave.json` (`{"prepare": "hang", …}`) says which call misbehaves, and how.
"""

import json
import os
import pathlib
import sys
import threading
import time

import flask

app = flask.Flask(__name__)
folder = pathlib.Path(sys.argv[2])


def store(gid, state):
    """Durably: a vote is a promise."""
    path = folder / f"{gid}.state"
    temporary = path.with_suffix(".new")
    with open(temporary, "w") as file:
        file.write(state)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


@app.post("/transaction/<gid>/prepare")
def prepare(gid):
    store(gid, "prepared")
    return {"result": "success"}


@app.post("/transaction/<gid>/commit")
def commit(gid):
    store(gid, "committed")
    return {"result": "success"}


@app.post("/transaction/<gid>/rollback")
def rollback(gid):
    store(gid, "aborted")
    return {"result": "success"}


# Everything below is for the tests.

VOTES = {
    "refuse": ({"result": "failed"}, 409),
    "fail": ({"result": "success"}, 500),
    "teapot": ("no", 418),
    "body failed": ({"result": "failed"}, 200),
    "garbage": ("<html>welcome, please log in</html>", 200),
    "other json": (["success"], 200),
    "empty": ("", 200),
    "other success": ({"result": "success"}, 201),
    "yes, but no json": ("thanks", 200),
}
calls = threading.Lock()


@app.before_request
def misbehave():
    if not flask.request.path.startswith("/transaction/"):
        return None
    gid, op = flask.request.path.split("/")[2:4]
    with calls, open(folder / "calls", "a") as file:
        file.write(json.dumps([time.monotonic(), op, gid, flask.request.get_data(as_text=True)]) + "\n")
    how = behaviour(op)
    if how == "crash":
        os._exit(9)
    if how == "work, then crash":
        store(gid, "prepared" if op == "prepare" else op)
        os._exit(9)
    while how == "hang":
        time.sleep(0.02)
        how = behaviour(op)
    return VOTES.get(how)


def behaviour(op):
    try:
        return json.loads((folder / "behave.json").read_text()).get(op)
    except FileNotFoundError:
        return None


@app.get("/livez")
def livez():
    return "ok"


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
