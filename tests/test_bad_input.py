"""Bad input on every call of the v1 door: the exact status and code, the place of the mistake, and nobody is called."""

import json
import pathlib
import socket
import time

import pytest

import harness
from harness import problem, quote, raw_exchange, read_reply
from participants import NO, YES, two_phase

GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture
def a(make_participant):
    return make_participant()


def good(a, **changes):
    """A submission that would be accepted, as an object to spoil."""
    return {"mode": "two_phase", "branches": [{"id": "x", "endpoint": a.url + "/tx", "payload": {"n": 1}}], **changes}


def spoiled_branch(a, drop=(), **changes):
    body = good(a)
    body["branches"][0].update(changes)
    for name in drop:
        del body["branches"][0][name]
    return body


NOT_JSON = ["", "{", "[1,", "nope", '{"mode": two_phase}', "{'mode': 'two_phase'}", '{"mode":"two_phase"} more', b'{"gid":"\xff"}', b"\x00"]
WRONG_SHAPE = ["[]", "null", "7", '"two_phase"', "true"]


def calls_with_a_body(server):
    """Every path of the door that takes a body, for an open transaction."""
    server.submit({"gid": "open", "mode": "two_phase", "start": False})
    return ["/v1/transactions", "/v1/transactions/open/branches"]


@pytest.mark.parametrize("text", NOT_JSON, ids=repr)
def test_malformed_json(server, text):
    for path in calls_with_a_body(server):
        answer = server.post(path, data=text, headers={"Content-Type": "application/json"})
        problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("text", WRONG_SHAPE)
def test_json_of_the_wrong_shape(server, text):
    for path in calls_with_a_body(server):
        problem(server.post(path, data=text, headers={"Content-Type": "application/json"}), 400, "invalid_request")


def test_deep_nesting_is_refused_and_harmless(server, a):
    deep = "[" * 100_000
    problem(server.submit(deep), 400)
    problem(server.submit('{"mode":"two_phase","branches":' + deep), 400)
    body = json.dumps(good(a)).replace('{"n": 1}', deep + "]" * 100_000)
    problem(server.submit(body), 400)
    assert a.calls() == []
    assert server.get("/livez").status_code == 200


WRONG_FIELDS = {
    "mode left out": (lambda a: {"branches": good(a)["branches"]}, ""),
    "mode unknown": (lambda a: good(a, mode="two_phases"), "/mode"),
    "mode of a later version": (lambda a: good(a, mode="saga"), "/mode"),
    "mode a number": (lambda a: good(a, mode=2), "/mode"),
    "gid a number": (lambda a: good(a, gid=17), "/gid"),
    "gid empty": (lambda a: good(a, gid=""), "/gid"),
    "gid too long": (lambda a: good(a, gid="g" * 129), "/gid"),
    "gid too long in bytes": (lambda a: good(a, gid="é" * 65), "/gid"),
    "gid with a control character": (lambda a: good(a, gid="a\u0001b"), "/gid"),
    "gid with a line break": (lambda a: good(a, gid="a\r\nb"), "/gid"),
    "gid with a C1 control character": (lambda a: good(a, gid="a\u0085b"), "/gid"),
    "gid that turns text around": (lambda a: good(a, gid="order-\u202e71"), "/gid"),
    "gid with an isolate": (lambda a: good(a, gid="a\u2066b"), "/gid"),
    "gid a dot": (lambda a: good(a, gid="."), "/gid"),
    "gid two dots": (lambda a: good(a, gid=".."), "/gid"),
    "start a string": (lambda a: good(a, start="yes"), "/start"),
    "timeout negative": (lambda a: good(a, timeout_ms=-1), "/timeout_ms"),
    "timeout a fraction": (lambda a: good(a, timeout_ms=1.5), "/timeout_ms"),
    "timeout a string": (lambda a: good(a, timeout_ms="60000"), "/timeout_ms"),
    "timeout beyond all numbers": (lambda a: good(a, timeout_ms=10**40), "/timeout_ms"),
    "retry a number": (lambda a: good(a, retry=5), "/retry"),
    "retry first a string": (lambda a: good(a, retry={"first_ms": "5"}), "/retry/first_ms"),
    "retry unknown": (lambda a: good(a, retry={"every_ms": 5}), "/retry/every_ms"),
    "branches no list": (lambda a: good(a, branches={}), "/branches"),
    "branches null": (lambda a: good(a, branches=None), "/branches"),
    "branches left out": (lambda a: {"mode": "two_phase"}, "/branches"),
    "branches empty": (lambda a: good(a, branches=[]), "/branches"),
    "a branch is a string": (lambda a: good(a, branches=["x"]), "/branches/0"),
    "an unknown field": (lambda a: good(a, colour="red"), "/colour"),
    "an unknown field with a slash": (lambda a: good(a, **{"a/b~c": 1}), "/a~1b~0c"),
    "a field of a later mode": (lambda a: good(a, silence_ms=100), "/silence_ms"),
    "branch: unknown field": (lambda a: spoiled_branch(a, colour="red"), "/branches/0/colour"),
    "branch: after is for sagas": (lambda a: spoiled_branch(a, after=[]), "/branches/0/after"),
    "branch: id a number": (lambda a: spoiled_branch(a, id=1), "/branches/0/id"),
    "branch: id empty": (lambda a: spoiled_branch(a, id=""), "/branches/0/id"),
    "branch: id too long": (lambda a: spoiled_branch(a, id="b" * 65), "/branches/0/id"),
    "branch: id with a control character": (lambda a: spoiled_branch(a, id="\u007f"), "/branches/0/id"),
    "branch: id with a mark of direction": (lambda a: spoiled_branch(a, id="x\u200f"), "/branches/0/id"),
    "branch: id two dots": (lambda a: spoiled_branch(a, id=".."), "/branches/0/id"),
    "branch: no endpoint": (lambda a: spoiled_branch(a, drop=["endpoint"]), "/branches/0"),
    "branch: endpoint a number": (lambda a: spoiled_branch(a, endpoint=5001), "/branches/0/endpoint"),
    "branch: endpoint no address": (lambda a: spoiled_branch(a, endpoint="stock"), "/branches/0/endpoint"),
    "branch: endpoint empty": (lambda a: spoiled_branch(a, endpoint=""), "/branches/0/endpoint"),
    "branch: endpoint of another scheme": (lambda a: spoiled_branch(a, endpoint="ftp://127.0.0.1/x"), "/branches/0/endpoint"),
    "branch: endpoint a file": (lambda a: spoiled_branch(a, endpoint="file:///etc/passwd"), "/branches/0/endpoint"),
    "branch: endpoint with credentials": (
        lambda a: spoiled_branch(a, endpoint="http://me:secret@127.0.0.1/x"), "/branches/0/endpoint",
    ),
    "branch: endpoint without a host": (lambda a: spoiled_branch(a, endpoint="http:///x"), "/branches/0/endpoint"),
    "branch: endpoint port too high": (lambda a: spoiled_branch(a, endpoint="http://127.0.0.1:99999/"), "/branches/0/endpoint"),
    "branch: endpoint with a space": (lambda a: spoiled_branch(a, endpoint=a.url + "/t x"), "/branches/0/endpoint"),
    "branch: endpoint with a line break": (
        lambda a: spoiled_branch(a, endpoint=a.url + "/\r\nX: y"), "/branches/0/endpoint",
    ),
    "branch: both forms of endpoint": (
        lambda a: spoiled_branch(a, endpoints={op: a.url for op in ("prepare", "commit", "rollback")}), "/branches/0",
    ),
    "branch: endpoints without rollback": (
        lambda a: spoiled_branch(a, ["endpoint"], endpoints={"prepare": a.url, "commit": a.url}), "/branches/0/endpoints",
    ),
    "branch: endpoints with an unknown operation": (
        lambda a: spoiled_branch(
            a, ["endpoint"], endpoints={op: a.url for op in ("prepare", "commit", "rollback", "explode")},
        ),
        "/branches/0/endpoints/explode",
    ),
    "branch: headers no object": (lambda a: spoiled_branch(a, headers=["x"]), "/branches/0/headers"),
    "branch: header value a number": (lambda a: spoiled_branch(a, headers={"x": 1}), "/branches/0/headers/x"),
    "branch: header name with a space": (lambda a: spoiled_branch(a, headers={"x y": "1"}), "/branches/0/headers"),
    "branch: header value with a line break": (
        lambda a: spoiled_branch(a, headers={"x": "1\r\nHost: evil"}), "/branches/0/headers",
    ),
    "branch: a header that is ours": (lambda a: spoiled_branch(a, headers={"Unanim-Gid": "other"}), "/branches/0/headers"),
    "branch: a header that frames the message": (
        lambda a: spoiled_branch(a, headers={"Content-Length": "5"}), "/branches/0/headers",
    ),
    "branch: call timeout negative": (lambda a: spoiled_branch(a, call_timeout_ms=-5), "/branches/0/call_timeout_ms"),
    "branch: refused statuses a number": (lambda a: spoiled_branch(a, refused_statuses=409), "/branches/0/refused_statuses"),
    "branch: refused status a string": (lambda a: spoiled_branch(a, refused_statuses=["409"]), "/branches/0/refused_statuses"),
    "branch: refused status no status": (lambda a: spoiled_branch(a, refused_statuses=[7]), "/branches/0/refused_statuses"),
    "branch: one_phase a string": (lambda a: spoiled_branch(a, one_phase="yes"), "/branches/0/one_phase"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the many cases that must leave nothing behind anyway."""
    server = harness.Server(tmp_path_factory.mktemp("shared")).start()
    harness._started.remove(server)
    yield server
    server.kill9()


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_a_wrong_field_is_named(shared, a, name):
    make, pointer = WRONG_FIELDS[name]
    found = problem(shared.submit(make(a)), 400, "invalid_request")
    assert found["retryable"] is False
    pointers = [error["pointer"] for error in found["errors"]]
    assert any(p == pointer or p.startswith(pointer + "/") for p in pointers), found
    assert all(error["code"] and error["detail"] for error in found["errors"]), found
    assert a.calls() == []


def test_the_pointer_says_which_branch(shared, a):
    branches = [a.branch(f"b{n}") for n in range(5)]
    branches[3]["colour"] = "red"
    found = problem(shared.submit(two_phase(None, *branches)), 400, "invalid_request")
    assert found["errors"][0]["pointer"] == "/branches/3/colour"
    shared.submit({"gid": "pointer", "mode": "two_phase", "start": False})
    answer = shared.post("/v1/transactions/pointer/branches", json={"branches": branches})
    assert problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/branches/3/colour"
    assert shared.read("pointer")["branches"] == []
    shared.post("/v1/transactions/pointer/rollback")
    assert a.calls() == []


def test_a_name_given_twice(shared, a):
    text = json.dumps(good(a))[:-1]
    problem(shared.submit(text + ', "mode": "two_phase"}'), 400)
    problem(shared.submit(text + ', "gid": "one", "gid": "two"}'), 400)
    assert a.calls() == []


def test_a_branch_id_twice(shared, a):
    answer = shared.submit(two_phase(None, a.branch("x", {"n": 1}), a.branch("x", {"n": 2})))
    assert problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/branches/1/id"
    assert a.calls() == []
    # Added later: the same branch again is the same; another body is a conflict.
    path = "/v1/transactions/twice"
    shared.submit({"gid": "twice", "mode": "two_phase", "start": False})
    assert shared.post(path + "/branches", json={"branches": [a.branch("x", {"n": 1})]}).status_code in (200, 202)
    assert shared.post(path + "/branches", json={"branches": [a.branch("x", {"n": 1})]}).status_code in (200, 202)
    assert len(shared.read("twice")["branches"]) == 1
    problem(shared.post(path + "/branches", json={"branches": [a.branch("x", {"n": 2})]}), 409, "branch_conflict")
    shared.post(path + "/rollback")


BAD_QUERIES = ["wait=sometimes", "wait=", "wait=decided&timeout_ms=soon", "timeout_ms=-1", "timeout_ms=1e3", "wait=finished&timeout_ms="]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query(shared, a, query):
    headers = {"Content-Type": "application/json"}
    answer = shared.post("/v1/transactions?" + query, data=json.dumps(good(a)), headers=headers)
    problem(answer, 400, "invalid_request")
    assert a.calls() == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_another_content_type(shared, a, content_type):
    answer = shared.post("/v1/transactions", data=json.dumps(good(a)), headers={"Content-Type": content_type})
    problem(answer, 415, "unsupported_media_type")
    assert a.calls() == []


def test_json_with_parameters_is_json(shared, a):
    for content_type in ("application/json; charset=utf-8", "Application/JSON"):
        answer = shared.post("/v1/transactions", data=json.dumps(good(a)), headers={"Content-Type": content_type})
        assert answer.status_code == 202, answer.text


NOT_ALLOWED = [
    ("PUT", "/v1/transactions"), ("DELETE", "/v1/transactions"), ("PATCH", "/v1/transactions/g"), ("POST", "/v1/transactions/g"),
    ("GET", "/v1/transactions/g/commit"), ("GET", "/v1/transactions/g/rollback"), ("PUT", "/v1/transactions/g/branches"),
    ("POST", "/v1/transactions/g/outcome"), ("POST", "/livez"), ("POST", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), NOT_ALLOWED)
def test_a_method_that_is_not_allowed(shared, method, path):
    answer = shared.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers.get("Allow"), answer.headers


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/transactions", "/v1/transaction", "/v1/transactions/g/explode", "/v1//transactions"])
def test_a_path_that_is_not_there(shared, path):
    problem(shared.get(path), 404, "not_found")


@pytest.mark.parametrize("gid", ["nobody", "a/b", '"', "é", "order-\u202e71"])
def test_an_unknown_gid(shared, a, gid):
    path = "/v1/transactions/" + quote(gid)
    problem(shared.get(path), 404, "not_found")
    problem(shared.get(path + "/outcome"), 404, "not_found")
    problem(shared.post(path + "/commit"), 404, "not_found")
    problem(shared.post(path + "/rollback"), 404, "not_found")
    problem(shared.post(path + "/branches", json={"branches": [a.branch("x")]}), 404, "not_found")


@pytest.mark.parametrize("segment", ["%2E", "%2e%2e", "%FF", "a%01b", "%", "%zz", "g" * 129, "%0d%0aX:y"])
def test_a_gid_in_the_path_that_is_none(shared, segment):
    """Raw, because a client library would tidy these up."""
    reply = raw_exchange(shared.port, f"GET /v1/transactions/{segment} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert reply.split()[1] in (b"400", b"404"), reply[:300]


def test_garbage_instead_of_http(shared):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                 b"POST /v1/transactions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: nine\r\n\r\n",
                 b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * MIB) + b"\r\n\r\n"):
        try:
            reply = raw_exchange(shared.port, data, timeout=2)
        except (ConnectionResetError, BrokenPipeError):
            continue
        assert reply == b"" or reply.split()[1].startswith(b"4"), reply[:200]
    assert shared.get("/livez").status_code == 200


def head(path, length, extra=""):
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{extra}"
        + (f"Content-Length: {length}\r\n\r\n" if length is not None else "Transfer-Encoding: chunked\r\n\r\n")
    ).encode()


@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/transactions/g/branches", "/v1/transactions/g/commit", "/transaction", "/transaction/g/prepare"])
@pytest.mark.parametrize("extra", ["", "Expect: 100-continue\r\n"])
def test_two_gigabytes_are_refused_before_they_are_sent(shared, path, extra):
    started = time.monotonic()
    reply = raw_exchange(shared.port, head(path, 2 * GIB, extra), timeout=5)
    assert b" 413 " in reply.split(b"\r\n")[0], reply[:300]
    assert time.monotonic() - started < 2


def test_one_byte_too_many(shared, a):
    text = json.dumps(good(a)).encode()
    fits = text[:-1] + b" " * (16 * MIB - len(text)) + b"}"
    assert len(fits) == 16 * MIB
    assert shared.submit(fits).status_code == 202
    problem(shared.submit(fits + b" "), 413, "too_large")


@pytest.mark.parametrize("path", ["/v1/transactions", "/transaction/g/prepare"])
def test_an_endless_body(shared, path):
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as sock:
        sock.sendall(head(path, None))
        sent = 0
        try:
            while sent < 256 * MIB:
                sock.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 100 * MIB, "it read on and on"
        reply = read_reply(sock)
        assert reply == b"" or b" 413 " in reply.split(b"\r\n")[0], reply[:300]
    assert shared.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/v1/transactions", "/transaction/g/prepare"])
def test_who_sends_far_too_much_reads_the_answer(shared, path):
    """And no reset, which a client would take for a lost answer."""
    for _ in range(3):
        answer = shared.post(path, data=b" " * (60 * MIB), headers={"Content-Type": "application/json"})
        problem(answer, 413, "too_large")


def peak(server):
    """The most memory that it has had so far, in bytes."""
    lines = pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def branches_with(fields):
    return '{"mode":"two_phase","branches":[{"endpoint":"http://127.0.0.1:1/",%s}]}' % fields


def as_many(piece):
    """As many as fit into a body."""
    return ",".join([piece] * ((16 * MIB - 200) // (len(piece) + 1)))


LISTS_WITHOUT_END = {
    "branches": ("/v1/transactions", lambda: '{"mode":"two_phase","branches":[' + as_many("{}") + "]}", 413, "/branches"),
    "added branches": ("/v1/transactions/open/branches", lambda: '{"branches":[' + as_many("{}") + "]}", 413, "/branches"),
    "refused statuses": (
        "/v1/transactions", lambda: branches_with('"refused_statuses":[' + as_many("1") + "]"), 400, "/branches/0/refused_statuses",
    ),
    "the same header": ("/v1/transactions", lambda: branches_with('"headers":{' + as_many('"":""') + "}"), 413, "/branches/0/headers"),
    "headers": (
        "/v1/transactions",
        lambda: branches_with('"headers":{' + ",".join(f'"h{n}":""' for n in range(1_000_000)) + "}"),
        413,
        "/branches/0/headers",
    ),
    "participants": ("/transaction/g/prepare", lambda: '{"participants":[' + as_many('""') + "]}", 413, "/participants"),
}


@pytest.mark.parametrize("name", LISTS_WITHOUT_END)
def test_a_list_without_end_costs_no_more_than_its_body(server, name):
    path, make, status, pointer = LISTS_WITHOUT_END[name]
    calls_with_a_body(server)
    before = peak(server)
    answer = server.post(path, data=make(), headers={"Content-Type": "application/json"}, timeout=60)
    found = problem(answer, status, "too_large" if status == 413 else "invalid_request")
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert len(answer.content) < 4_096
    # The body itself, once while it is put together and once as a whole, and little more.
    assert peak(server) - before < 100 * MIB


def test_mistakes_without_end_are_counted_and_cost_little(server):
    """Every branch as wrong as it can be: only the first mistakes are told."""
    before = peak(server)
    branch = '{"refused_statuses":[' + ",".join(["7"] * 100) + '],"headers":{' + ",".join(['"":""'] * 100) + "}}"
    body = '{"mode":"two_phase","branches":[' + ",".join([branch] * 10_000) + "]}"
    answer = server.submit(body, timeout=60)
    found = problem(answer, 400, "invalid_request")
    assert len(found["errors"]) == 50 and "2010000 mistakes" in found["detail"], found["detail"]
    assert peak(server) - before < 250 * MIB


def test_a_payload_too_large(shared, a):
    fits = {"x": "p" * (MIB - 8)}
    assert len(json.dumps(fits, separators=(",", ":"))) == MIB
    text = json.dumps(two_phase(None, a.branch("x", fits)), separators=(",", ":"))
    assert shared.submit(text).status_code == 202
    found = problem(shared.submit(text.replace('"ppp', '"pppp', 1)), 413, "too_large")
    assert found["errors"][0]["pointer"] == "/branches/0/payload"


def test_ten_thousand_branches(server, make_participant):
    """All are asked, and one no rolls all of them back."""
    a = make_participant()
    branches = [{"id": f"b{n}", "endpoint": a.url, "payload": n} for n in range(10_000)]
    answer = server.submit(two_phase("many", *branches, timeout_ms=120_000), wait="finished", timeout_ms=60_000, timeout=90)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["phase"] == "committed"
    for op in ("prepare", "commit"):
        assert len({call.branch for call in a.calls(op)}) == 10_000
    a.on("prepare", *[YES] * 5_000, NO, YES)
    answer = server.submit(two_phase("many-no", *branches, timeout_ms=120_000), wait="decided", timeout_ms=60_000, timeout=90)
    assert answer.json()["outcome"] == "aborted"
    server.wait_phase("many-no", "aborted", timeout=60)
    asked = {call.branch for call in a.calls("prepare", "many-no")}
    assert asked <= {call.branch for call in a.calls("rollback", "many-no")}
    assert a.calls("commit", "many-no") == []


def test_ten_thousand_and_one_branches(shared, a):
    branches = [{"id": f"b{n}", "endpoint": a.url} for n in range(10_001)]
    problem(shared.submit(two_phase("too-many", *branches)), 413, "too_large")
    problem(shared.get("/v1/transactions/too-many"), 404, "not_found")
    shared.submit({"gid": "grows", "mode": "two_phase", "start": False})
    path = "/v1/transactions/grows/branches"
    assert shared.post(path, json={"branches": branches[:9_999]}).status_code in (200, 202)
    problem(shared.post(path, json={"branches": branches[9_999:]}), 413, "too_large")
    assert len(shared.read("grows")["branches"]) == 9_999
    assert shared.post("/v1/transactions/grows/rollback").status_code in (200, 202)
    assert a.calls() == []
