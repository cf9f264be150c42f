"""Bad input at the classic door: a 4xx that says which, and nobody is called."""

import pytest
import requests

import harness
from classic import Client


@pytest.fixture
def client(server):
    return Client(server.url)


BAD_PREPARES = {
    "no body": (None, 400),
    "no json": ("participants=127.0.0.1:1", 400),
    "half a json": ('{"participants": ["127.0.0.1:1"', 400),
    "not utf-8": (b'{"participants": ["\xff"]}', 400),
    "an array": ("[]", 400),
    "no participants at all": ("{}", 400),
    "an empty list": ('{"participants": []}', 400),
    "no list": ('{"participants": "{a}"}', 400),
    "a number in it": ('{"participants": ["{a}", 7]}', 400),
    "null": ('{"participants": null}', 400),
    "twice the same": ('{"participants": ["{a}", "{a}"]}', 400),
    "credentials": ('{"participants": ["{a}", "me:secret@{b}"]}', 400),
    "a path": ('{"participants": ["{a}", "{b}/tx"]}', 400),
    "a slash at the end": ('{"participants": ["{a}", "{b}/"]}', 400),
    "a scheme": ('{"participants": ["{a}", "http://{b}"]}', 400),
    "a query": ('{"participants": ["{a}", "{b}?x"]}', 400),
    "a fragment": ('{"participants": ["{a}", "{b}#x"]}', 400),
    "an empty address": ('{"participants": ["{a}", ""]}', 400),
    "a space": ('{"participants": ["{a}", "local host:1"]}', 400),
    "a line break": ('{"participants": ["{a}", "127.0.0.1:1\\r\\nX: y"]}', 400),
    "no port": ('{"participants": ["{a}", "127.0.0.1"]}', 400),
    "a port too high": ('{"participants": ["{a}", "127.0.0.1:99999"]}', 400),
    "a stranger": ('{"participants": ["{a}", "10.1.2.3:80"]}', 403),
    "metadata": ('{"participants": ["{a}", "169.254.169.254:80"]}', 403),
}


@pytest.mark.parametrize("name", BAD_PREPARES)
def test_a_bad_prepare_says_which_and_calls_nobody(server, client, make_participant, name):
    body, status = BAD_PREPARES[name]
    a, b = make_participant(), make_participant()
    if isinstance(body, str):
        body = body.replace("{a}", a.address).replace("{b}", b.address)
    gid = client.begin()
    answer = requests.post(f"{server.url}/transaction/{gid}/prepare", data=body, headers={"Content-Type": "application/json"})
    problem = harness.problem(answer, status)
    assert problem["detail"], "it says which"
    assert client.state(gid) == "init", "the transaction is as it was"
    assert a.calls() == b.calls() == []
    assert client.prepare(gid, a, b) == "success", "and can still be prepared"


@pytest.mark.parametrize("gid", ["nobody-made-this", "a%2Fb", "%22", "%F0%9F%A6%80"])
def test_an_unknown_gid_is_404(server, make_participant, gid):
    a = make_participant()
    base = f"{server.url}/transaction/{gid}"
    harness.problem(requests.get(base), 404, "not_found")
    harness.problem(requests.post(base + "/prepare", json={"participants": [a.address]}), 404, "not_found")
    harness.problem(requests.post(base + "/commit"), 404, "not_found")
    harness.problem(requests.post(base + "/rollback"), 404, "not_found")
    assert a.calls() == []


def test_a_begin_with_a_strange_body(server):
    for body in ("[]", "7", '{"gid": "mine"}', "{"):
        answer = requests.post(server.url + "/transaction", data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, f"{body}: {answer.text}"


def test_other_methods_and_paths(server, client):
    gid = client.begin()
    for method, path in (("GET", "/transaction"), ("PUT", f"/transaction/{gid}"), ("GET", f"/transaction/{gid}/prepare")):
        assert requests.request(method, server.url + path).status_code == 405, path
    assert requests.post(f"{server.url}/transaction/{gid}/explode").status_code == 404


def test_classic_off(make_server):
    off = make_server("--classic", "off")
    assert requests.post(off.url + "/transaction").status_code == 404
    assert requests.get(off.url + "/transaction/x").status_code == 404
