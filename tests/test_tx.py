"""`unanim tx list|watch|history|retry|rollback|resolve|forget` against a server whose every answer a test decides.

For what the real one cannot be made to do: pages of one, a stream that breaks off, an older version.
"""

import http.server
import json
import socketserver
import threading
import urllib.parse

import pytest

import harness
from harness import run_unanim


class Fake:
    """Answers each request with what `answer(method, path, query, headers)` returns: (status, body[, content type])."""

    def __init__(self, answer):
        self.requests = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                path, _, query = self.path.partition("?")
                query = dict(urllib.parse.parse_qsl(query))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.requests.append((self.command, path, query, headers, body))
                status, body, kind = (*answer(self.command, path, query, self.headers), "application/json")[:3]
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if kind == "text/event-stream":
                    self.close_connection = True
                else:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tx(self, *args, **kwargs):
        return run_unanim("tx", *args, "--server", self.url, **kwargs)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake():
    made = []

    def make(answer):
        made.append(Fake(answer))
        return made[-1]

    yield make
    for server in made:
        server.close()


def row(number, **more):
    return {
        "gid": f"g-{number}", "mode": "two_phase", "phase": "committing", "outcome": "committed", "reason": None, "stuck": False,
        "heuristic": None, "created_at": "2026-11-21T11:00:00.000Z", "seq": 4, **more,
    }


def problem(status, code, **more):
    return status, {"type": f"/docs/errors/{code}", "status": status, "code": code, "title": code, "retryable": False, **more}, "application/problem+json"


def pages_of_one(count):
    """A list that has a page per transaction."""

    def answer(method, path, query, headers):
        at = int(query.get("cursor", 0))
        return 200, {"transactions": [row(at)], "next_cursor": str(at + 1) if at + 1 < count else None}

    return answer


def test_a_list_follows_its_cursor_up_to_the_limit(fake):
    server = fake(pages_of_one(5))
    code, out, err = server.tx("list", "--json")
    assert code == 0 and [json.loads(line)["gid"] for line in out.splitlines()] == [f"g-{n}" for n in range(5)] and not err, err
    code, out, err = server.tx("list", "--json", "--limit", "2")
    assert code == 0 and len(out.splitlines()) == 2 and "--limit" in err
    assert server.tx("list", "--json", "--limit", "5")[2] == "", "the limit leaves nothing out"
    code, out, err = server.tx("list")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("gid") and len(lines) == 7 and "ago" in lines[2], out


def test_a_list_that_does_not_go_on(fake):
    server = fake(lambda *_: (200, {"transactions": [], "next_cursor": "same"}))
    code, out, err = server.tx("list")
    assert code == 1 and "does not go on" in err


def test_an_empty_list(fake):
    server = fake(lambda *_: (200, {"transactions": [], "next_cursor": None}))
    assert server.tx("list")[:2] == (0, "no transactions\n")
    assert server.tx("list", "--json")[:2] == (0, "")
    assert server.tx("retry", "--stuck")[:2] == (0, "no transactions\n")


def test_filters_are_asked_for(fake):
    server = fake(lambda *_: (200, {"transactions": [], "next_cursor": None}))
    args = "--phase", "committing", "--mode", "two_phase", "--participant", "127.0.0.1:5001", "--stuck", "--outcome", "committed"
    assert server.tx("list", *args, "--since", "2026-11-21T11:00:00Z", "--until", "2026-11-21T12:00:00Z")[0] == 0
    assert server.requests[-1][2] == {
        "phase": "committing", "mode": "two_phase", "participant": "http://127.0.0.1:5001", "stuck": "true", "outcome": "committed",
        "since_at": "2026-11-21T11:00:00Z", "until_at": "2026-11-21T12:00:00Z", "limit": "100",
    }
    for wrong in (["--phase", "comitting"], ["--since", "yesterday"], ["--participant", "a/b"], ["--limit", "0"]):
        code, out, err = server.tx("list", *wrong)
        assert code == 1 and wrong[0] in err, err
    for command in ("list", "retry"):
        code, out, err = server.tx(command, "--participant", "stock")
        assert code == 1 and "it names no port: stock:PORT" in err, err


COMMANDS = [
    ["list"], ["watch", "g"], ["history", "g"], ["retry", "g"], ["retry", "--stuck"], ["rollback", "g"], ["forget", "g"],
    ["resolve", "g", "b", "--outcome", "committed", "--reason", "r", "--by", "me"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_errors_say_what_to_do(fake, command, tmp_path):
    """Each command says it when the server is away, when it is older, and when the token is missing or wrong."""
    gone = f"http://127.0.0.1:{harness.free_port()}"
    code, out, err = run_unanim("tx", *command, "--server", gone)
    assert code == 1 and "cannot reach" in err and gone in err, err
    for status, kind in ((404, "not_found"), (405, "method_not_allowed")):
        code, out, err = fake(lambda *_, status=status, kind=kind: problem(status, kind)).tx(*command)
        assert code == 1 and "older" in err and kind in err, err
    locked = fake(lambda *_: problem(401, "unauthenticated"))
    code, out, err = locked.tx(*command)
    assert code == 1 and "--token-file" in err and "no token" in err, err
    token = tmp_path / "token"
    token.write_text("wrong\n")
    code, out, err = locked.tx(*command, env={"UNANIM_TOKEN_FILE": str(token)})
    assert code == 1 and "not the server's" in err and locked.requests[-1][3]["authorization"] == "Bearer wrong", err
    code, out, err = fake(lambda *_: (200, "<html>", "text/html")).tx(*command)
    if command[0] != "forget":
        assert code == 1 and err and "panicked" not in err, (out, err)


def test_in_bulk_one_failure_does_not_stop_the_others(fake):
    def answer(method, path, query, headers):
        gid = path.split("/")[3]
        if gid == "bad":
            return problem(409, "already_decided", gid=gid, detail="the transaction is committed")
        return 200, row(0, gid=gid, phase="aborting", outcome="aborted", reason={"code": "client", "branch": None, "detail": None})

    gids = [f"ok-{n}" for n in range(40)]
    server = fake(answer)
    code, out, err = server.tx("rollback", *gids[:20], "bad", *gids[20:])
    assert code == 1 and "bad" in err and "already_decided" in err, err
    lines = out.splitlines()
    assert lines[-1] == "40 rolled back, 1 failed" and sorted(line.split()[0] for line in lines[:-1]) == sorted(gids), out
    assert {(method, path) for method, path, *_ in server.requests} == {("POST", f"/v1/transactions/{gid}/rollback") for gid in [*gids, "bad"]}
    code, out, err = server.tx("rollback", "one")
    assert (code, out, err) == (0, "one aborted (aborting): the client wished it\n", "")
    code, out, err = server.tx("rollback", "one", "bad", "two", "--json")
    assert code == 1 and sorted(json.loads(line)["gid"] for line in out.splitlines()) == ["one", "two"] and "bad" in err


def test_retry_finds_what_is_open(fake):
    def answer(method, path, query, headers):
        if method == "POST":
            return 200, row(0, gid=path.split("/")[3])
        return 200, {"transactions": [row(query["phase"])], "next_cursor": None}

    server = fake(answer)
    code, out, err = server.tx("retry", "--participant", "h:1", "--stuck")
    assert code == 0 and out.splitlines()[-1] == "4 retried, 0 failed", out
    asked = [query for method, _, query, *_ in server.requests if method == "GET"]
    assert {query["phase"] for query in asked} == {"active", "preparing", "committing", "aborting"}
    assert all(query["participant"] == "http://h:1" and query["stuck"] == "true" for query in asked)
    assert server.tx("retry", "g", "--stuck")[0] == 1
    assert server.tx("retry") == (1, "", "unanim: which transactions? Name gids, or give --participant or --stuck\n")


def test_resolve_sends_what_was_said(fake):
    server = fake(lambda *_: (200, row(1)))
    code, out, err = server.tx("resolve", "a/b", "p q", "--outcome", "rolled_back", "--reason", "by hand", env={"USER": "alice"})
    assert code == 0 and "g-1 committed" in out, err
    method, path, _, _, body = server.requests[-1]
    assert (method, path) == ("POST", "/v1/transactions/a%2Fb/branches/p%20q/resolve")
    assert json.loads(body) == {"outcome": "rolled_back", "reason": "by hand", "by": "alice"}
    for missing in (["--outcome", "committed"], ["--reason", "r"], ["--outcome", "maybe", "--reason", "r"]):
        code, out, err = server.tx("resolve", "g", "b", *missing)
        assert code == 1 and "--" in err, err
    asked = len(server.requests)
    for reason, by in (("", "me"), (" \n", "me"), ("r", ""), ("r", " ")):
        code, out, err = server.tx("resolve", "g", "b", "--outcome", "committed", "--reason", reason, "--by", by)
        assert code == 1 and "it says nothing" in err, err
    assert server.tx("resolve", "g", "b", "--outcome", "committed", "--reason", "r", env={"USER": ""})[0] == 1
    assert len(server.requests) == asked


def event(seq, kind, **more):
    data = {"seq": seq, "at": f"2026-11-21T12:00:0{seq}.000Z", "type": kind, **more}
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


EVENTS = [event(1, "begun"), event(2, "voted", branch="b", vote="yes"), event(3, "decided", outcome="aborted"), event(4, "finished")]


def stream(*pieces):
    return 200, "".join(pieces), "text/event-stream"


def test_watch_goes_on_where_the_stream_broke_off(fake):
    answers = [
        stream(*EVENTS[:2], EVENTS[2][:20]), problem(503, "loading"), stream(": ping\n\n"), stream(*EVENTS[2:]),
    ]
    server = fake(lambda *_: answers.pop(0))
    code, out, err = server.tx("watch", "g")
    assert code == 2 and [line.split()[1:3] for line in out.splitlines()] == [["1", "begun"], ["2", "voted"], ["3", "decided"], ["4", "finished"]], out
    assert "branch=b vote=yes" in out and "loading" in err and "back" in err, err
    ids = [headers.get("last-event-id") for _, _, _, headers, _ in server.requests]
    assert ids == [None, "2", "2", "2"]


def test_watch_as_json_and_its_exit_codes(fake):
    code, out, err = fake(lambda *_: stream(*EVENTS)).tx("watch", "g", "--json")
    assert code == 2 and [json.loads(line)["type"] for line in out.splitlines()] == ["begun", "voted", "decided", "finished"], err

    def all_seen(method, path, query, headers):
        return (200, {"gid": "g", "outcome": "committed"}) if path.endswith("/outcome") else (204, "")

    assert fake(all_seen).tx("watch", "g")[0] == 0, "it is finished, and somebody else saw how"
    code, out, err = fake(lambda *_: stream(EVENTS[0])).tx("watch", "g", "--timeout", "500ms")
    assert code == 3 and len(out.splitlines()) > 0


def test_a_history_has_pages(fake):
    parsed = [json.loads(text.split("data: ")[1]) for text in EVENTS]

    def answer(method, path, query, headers):
        at = int(query.get("cursor", 0))
        return 200, {"events": parsed[at : at + 2], "next_cursor": "2" if at == 0 else None}

    server = fake(answer)
    code, out, err = server.tx("history", "g")
    assert code == 0 and [line.split()[2] for line in out.splitlines()] == ["begun", "voted", "decided", "finished"], out
    code, out, err = server.tx("history", "g", "--json")
    assert code == 0 and [json.loads(line) for line in out.splitlines()] == parsed
    code, out, err = fake(lambda *_: problem(404, "not_found", gid="g", detail="no transaction has this gid")).tx("history", "g")
    assert code == 1 and "no transaction" in err and "older" not in err, err
