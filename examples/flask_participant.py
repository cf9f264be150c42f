"""A participant that sells ten seats: `python3 examples/flask_participant.py PORT FILE`."""
import sqlite3
import sys

from flask import Flask, request

app = Flask(__name__)
db = sqlite3.connect(sys.argv[2], check_same_thread=False)
db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "CREATE TABLE IF NOT EXISTS sales (id TEXT PRIMARY KEY, state TEXT, seats INT)")


@app.post("/tx")
def tx():
    op, id = request.headers["Unanim-Op"], request.headers["Unanim-Gid"] + "/" + request.headers["Unanim-Branch"]
    with db:  # one database transaction, on disk before the answer leaves
        db.execute("BEGIN IMMEDIATE")
        (state,) = db.execute("SELECT state FROM sales WHERE id = ?", [id]).fetchone() or [None]
        if op == "prepare" and state is None:
            (sold,) = db.execute("SELECT coalesce(sum(seats), 0) FROM sales WHERE state <> 'rolled_back'").fetchone()
            if sold + request.json["seats"] > 10:
                return {"result": "failed", "detail": f"{10 - sold} seats are left"}
            db.execute("INSERT INTO sales VALUES (?, 'prepared', ?)", [id, request.json["seats"]])
        elif (op, state) == ("commit", "prepared"):
            db.execute("UPDATE sales SET state = 'committed' WHERE id = ?", [id])
        elif op == "rollback" and state != "committed":  # what it never saw, too: a prepare that comes later is refused
            db.execute("INSERT OR REPLACE INTO sales VALUES (?, 'rolled_back', 0)", [id])
        elif (op, state) not in [("prepare", "prepared"), ("prepare", "committed"), ("commit", "committed")]:
            return {"result": "failed", "detail": f"{op}, but it is {state or 'unknown'} here"}, 409
    return {"result": "ok"}


@app.get("/")
def sales():
    return [dict(zip(("id", "state", "seats"), row)) for row in db.execute("SELECT * FROM sales ORDER BY id")]


app.run(port=int(sys.argv[1]), threaded=False)
