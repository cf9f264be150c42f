"""Who may call, and who may be called: tokens, origins, hosts, the allow-list on resolved addresses."""

import pytest
import requests

import harness
from harness import problem, wait_until
from participants import two_phase

TOKEN = "kHq2-only-for-this-test-9f3b"
OPEN_PATHS = ["/livez", "/readyz"]


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def guarded(make_server, token_file):
    return make_server("--token-file", token_file)


FORBIDDEN = [
    "http://10.1.2.3/x", "http://192.0.2.1:80/x", "http://8.8.8.8/x", "http://participant.example/x", "http://[2001:db8::1]/x",
    "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/x", "http://[fd00:ec2::254]/x", "http://[::ffff:169.254.169.254]/x",
    "http://[::ffff:10.1.2.3]/x", "http://metadata.google.internal/x", "http://127.0.0.1.example/x",
]


@pytest.mark.parametrize("endpoint", FORBIDDEN)
def test_an_endpoint_that_is_not_allowed(server, endpoint):
    answer = server.submit(two_phase("g", {"id": "x", "endpoint": endpoint}))
    found = problem(answer, 403, "endpoint_not_allowed")
    assert "--allow" in answer.text, "it names the setting"
    assert found["errors"][0]["pointer"] == "/branches/0/endpoint"
    endpoints = {op: endpoint if op == "rollback" else "http://127.0.0.1:1/x" for op in ("prepare", "commit", "rollback")}
    found = problem(server.submit(two_phase("g", {"id": "x", "endpoints": endpoints})), 403, "endpoint_not_allowed")
    assert found["errors"][0]["pointer"] == "/branches/0/endpoints/rollback"
    server.submit({"gid": "steps", "mode": "two_phase", "start": False})
    answer = server.post("/v1/transactions/steps/branches", json={"branches": [{"id": "x", "endpoint": endpoint}]})
    problem(answer, 403, "endpoint_not_allowed")


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1", "127.0.0.0x1", "0xa9fea9fe", "2852039166"])
def test_an_address_in_disguise_is_no_address(server, make_participant, host):
    """Resolvers read these as numbers; whoever writes them means to get past a list."""
    a = make_participant()
    answer = server.submit(two_phase("g", {"id": "x", "endpoint": f"http://{host}:{a.port}/x"}))
    assert problem(answer, 403, "endpoint_not_allowed")["errors"][0]["pointer"] == "/branches/0/endpoint"
    assert a.calls() == []


def test_loopback_is_allowed_unless_the_list_says_otherwise(make_server, make_participant):
    a = make_participant()
    listed = make_server("--allow", "participant.example", "--allow", "*.internal.example:8443", "--allow", "10.0.0.0/8")
    problem(listed.submit(two_phase("g", a.branch("x"))), 403, "endpoint_not_allowed")
    allowed = ["http://participant.example/x", "https://a.internal.example:8443/x", "http://10.1.2.3:99/x"]
    refused = ["https://a.internal.example/x", "http://internal.example:8443/x", "http://xparticipant.example/x", "http://11.0.0.1/x"]
    for number, endpoint in enumerate(allowed):
        answer = listed.submit(two_phase(f"allowed-{number}", {"id": "x", "endpoint": endpoint}, start=False))
        assert answer.status_code == 202, answer.text
    for endpoint in refused:
        problem(listed.submit(two_phase("refused", {"id": "x", "endpoint": endpoint})), 403, "endpoint_not_allowed")
    assert a.calls() == []


def test_a_port_that_is_not_allowed(make_server, make_participant):
    a, b = make_participant(), make_participant()
    server = make_server("--allow", f"127.0.0.1:{a.port}")
    assert server.submit(two_phase("g", a.branch("x")), wait="finished").json()["outcome"] == "committed"
    problem(server.submit(two_phase("h", b.branch("x"))), 403, "endpoint_not_allowed")
    assert b.calls() == []


@pytest.fixture
def named_server(make_server, tmp_path):
    """A server that sees names of our own, by a hosts file that only it sees (needs root)."""

    def make(names, *args):
        hosts = tmp_path / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in names.items()))
        script = f"mount --bind {hosts} /etc/hosts && exec \"$@\""
        return make_server(*args, prefix=["unshare", "--mount", "sh", "-c", script, "sh"])

    return make


def test_a_listed_name_that_leads_to_a_forbidden_address(named_server, make_participant):
    """The name is fine; where it leads is not, and that shows when it is called: no call, no vote, an abort."""
    a = make_participant()
    names = {"good.example": "127.0.0.1", "metadata.example": "169.254.169.254"}
    server = named_server(names, "--allow", "*.example", "--allow", f"127.0.0.1:{a.port}")
    branch = {"id": "x", "endpoint": f"http://good.example:{a.port}/tx"}
    assert server.submit(two_phase("good", branch), wait="finished").json()["outcome"] == "committed"
    assert a.calls()[0].headers["host"] == f"good.example:{a.port}"
    bad = {"id": "x", "endpoint": "http://metadata.example/latest", "retry": {"first_ms": 20, "max_ms": 50}}
    view = server.submit(two_phase("bad", bad, timeout_ms=800), wait="decided").json()
    assert view["outcome"] == "aborted" and view["reason"]["code"] == "deadline", view
    assert "allow" in view["branches"][0]["last"]["code"], "it says so, and does not call it a timeout"


def test_a_listed_name_that_leads_to_unlisted_loopback(named_server, make_participant):
    a = make_participant()
    server = named_server({"sneaky.example": "127.0.0.1", "sneaky6.example": "::1"}, "--allow", "*.example")
    for name in ("sneaky", "sneaky6"):
        branch = {"id": "x", "endpoint": f"http://{name}.example:{a.port}/tx", "retry": {"first_ms": 20, "max_ms": 50}}
        view = server.submit(two_phase(name, branch, timeout_ms=500), wait="decided").json()
        assert view["outcome"] == "aborted" and "allow" in view["branches"][0]["last"]["code"], view
    assert a.calls() == []


def test_link_local_stays_forbidden_even_when_its_address_is_in_a_listed_range(make_server):
    server = make_server("--allow", "0.0.0.0/0")
    problem(server.submit(two_phase("g", {"id": "x", "endpoint": "http://169.254.169.254/x"})), 403, "endpoint_not_allowed")


CALLS = [
    ("POST", "/v1/transactions"), ("GET", "/v1/transactions/g"), ("GET", "/v1/transactions/g/outcome"), ("POST", "/v1/transactions/g/commit"),
    ("POST", "/v1/transactions/g/rollback"), ("POST", "/v1/transactions/g/branches"), ("GET", "/metrics"),
    ("POST", "/transaction"), ("GET", "/transaction/g"), ("POST", "/transaction/g/prepare"), ("POST", "/transaction/g/rollback"),
    ("POST", "/transaction/g/commit"),
]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": "Bearer "},
                                     {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}], ids=str)
def test_without_the_token_everything_is_401(guarded, headers):
    for method, path in CALLS:
        problem(requests.request(method, guarded.url + path, headers=headers, timeout=5), 401, "unauthenticated")
    # Who has no token learns nothing of the paths either.
    assert requests.get(guarded.url + "/v1/nothing-here", headers=headers, timeout=5).status_code in (401, 404)
    for path in OPEN_PATHS:
        assert requests.get(guarded.url + path, headers=headers, timeout=5).status_code == 200


def test_with_the_token(guarded, make_participant):
    a = make_participant()
    guarded.token = TOKEN
    answer = guarded.submit(two_phase("g", a.branch("x")), wait="finished")
    assert answer.json()["outcome"] == "committed"
    assert guarded.get("/metrics").status_code == 200
    assert guarded.post("/transaction").status_code == 200
    assert requests.get(guarded.url + "/v1/transactions/g", headers={"Authorization": f"bearer {TOKEN}"}, timeout=5).ok
    assert "authorization" not in a.calls()[0].headers, "the token is for us"
    # What a participant in doubt holds stands in for the token, on that one call.
    inquiry = a.calls()[0].headers["unanim-inquiry"]
    assert requests.get(inquiry, timeout=5).json()["outcome"] == "committed"
    assert requests.post(inquiry.replace("/outcome", "/rollback"), timeout=5).status_code == 401
    assert requests.get(inquiry.replace("/outcome", ""), timeout=5).status_code == 401
    assert TOKEN not in guarded.log()


def test_classic_open_exempts_those_paths_only_and_warns(make_server, token_file, make_participant):
    a = make_participant()
    server = make_server("--token-file", token_file, "--classic", "open")
    gid = requests.post(server.url + "/transaction", timeout=5).json()["transaction_id"]
    answer = requests.post(f"{server.url}/transaction/{gid}/prepare", json={"participants": [a.address]}, timeout=5)
    assert answer.json() == {"result": "success"}
    problem(requests.get(f"{server.url}/v1/transactions/{gid}", timeout=5), 401, "unauthenticated")
    # What was begun with a token is nobody else's business.
    token = {"Authorization": "Bearer " + token_file.read_text().strip()}
    v1 = {"gid": "secret", "mode": "two_phase", "start": False, "branches": [a.branch("x")]}
    assert requests.post(server.url + "/v1/transactions", json=v1, headers=token, timeout=5).status_code == 202
    problem(requests.get(f"{server.url}/transaction/secret", timeout=5), 404, "not_found")
    for verb in ("commit", "rollback"):
        problem(requests.post(f"{server.url}/transaction/secret/{verb}", timeout=5), 404, "not_found")
    problem(requests.post(f"{server.url}/transaction/secret/prepare", json={"participants": [a.address]}, timeout=5), 404, "not_found")
    assert requests.get(f"{server.url}/transaction/secret", headers=token, timeout=5).json()["state"] == "init"
    warnings = [line for line in server.log().splitlines() if "WARN" in line.upper() and "classic" in line]
    assert warnings, server.log()


ORIGINS = ["http://evil.example", "https://evil.example:8443", "null", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "garbage", "file://"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_foreign_origin(server, make_participant, origin):
    a = make_participant()
    headers = {"Origin": origin}
    problem(server.submit(two_phase("g", a.branch("x")), headers=headers), 403, "origin_not_allowed")
    gid = server.post("/transaction").json()["transaction_id"]
    for method, path in (("POST", "/transaction"), ("POST", f"/transaction/{gid}/rollback"), ("GET", f"/transaction/{gid}"), ("GET", "/metrics")):
        problem(server.request(method, path, headers=headers), 403, "origin_not_allowed")
    assert server.get(f"/transaction/{gid}").json()["state"] == "init"
    assert a.calls() == []
    for path in OPEN_PATHS:
        assert server.get(path, headers=headers).status_code == 200


def test_our_own_origin(server):
    for origin in (server.url, f"http://localhost:{server.port}"):
        assert server.post("/transaction", headers={"Origin": origin}).status_code == 200


HOSTS = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.7", "localhost.evil.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_foreign_host(server, make_participant, host):
    """A name that a web page has pointed at us (DNS rebinding)."""
    headers = {"Host": host}
    problem(server.post("/transaction", headers=headers), 403)
    problem(server.submit(two_phase("g", make_participant().branch("x")), headers=headers), 403)
    for path in OPEN_PATHS:
        assert server.get(path, headers=headers).status_code == 200, "a probe uses the pod's address"


def test_our_own_hosts(make_server):
    server = make_server("--public-url", "http://coordinator.example:9000")
    for host in ("localhost", f"localhost:{server.port}", "127.0.0.1", "[::1]:1", "coordinator.example:9000"):
        assert server.post("/transaction", headers={"Host": host}).status_code == 200, host


def test_a_valid_token_makes_a_stranger_welcome(guarded):
    guarded.token = TOKEN
    for extra in ({"Origin": "http://evil.example"}, {"Host": "10.0.0.7:8080"}):
        answer = requests.post(guarded.url + "/transaction", headers={"Authorization": f"Bearer {TOKEN}", **extra}, timeout=5)
        assert answer.status_code == 200, answer.text


def test_the_public_url_is_what_participants_are_told(make_server, make_participant):
    a = make_participant()
    server = make_server("--public-url", "https://coordinator.example/base")
    server.submit(two_phase("g", a.branch("x")), wait="finished")
    assert a.calls()[0].headers["unanim-inquiry"].startswith("https://coordinator.example/base/v1/transactions/g/outcome?")


def test_secrets_show_nowhere(make_server, token_file, make_participant):
    a = make_participant()
    server = make_server("--token-file", token_file, "--log-level", "trace")
    server.token = TOKEN
    view = server.submit(two_phase("g", a.branch("x", headers={"Authorization": "Bearer branch-secret-77"})), wait="finished")
    assert view.json()["outcome"] == "committed"
    assert a.calls()[0].headers["authorization"] == "Bearer branch-secret-77"
    key = a.calls()[0].headers["unanim-inquiry"].split("key=")[1].split("&")[0]
    requests.get(a.calls()[0].headers["unanim-inquiry"], timeout=5)
    shown = server.get("/v1/transactions/g").text + server.get("/metrics").text
    wait_until(lambda: "g" in server.log(), what="a log")
    for secret in ("branch-secret-77", TOKEN, key):
        assert secret not in shown + view.text
        assert secret not in server.log()
    code, out, err = harness.run_unanim("serve", "--token-file", token_file, "--print-config")
    assert code == 0 and TOKEN not in out + err and "token" in out
