"""TLS on both sides: the server's own, and participants behind https."""

import ssl
import subprocess

import pytest
import requests

import harness
from participants import Participant, two_phase


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA and a certificate of 127.0.0.1 and localhost, and a second CA that nobody trusts."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    for name in ("ours", "foreign"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name} CA",
                "-keyout", f"{name}-ca.key", "-out", f"{name}-ca.pem", "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{name}-ca.pem", "-CAkey", f"{name}-ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "ext", "-out", f"{name}.pem")
    return folder


@pytest.fixture
def secure_participant(pki):
    """Participants behind https."""
    made = []

    def make(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        made.append(Participant(tls=context))
        return made[-1]

    yield make
    for participant in made:
        participant.close()


def test_participants_behind_https(make_server, pki, secure_participant):
    ours, foreign = secure_participant("ours"), secure_participant("foreign")
    server = make_server("--ca-file", pki / "ours-ca.pem")
    view = server.submit(two_phase("g", ours.branch("x")), wait="finished").json()
    assert view["outcome"] == "committed" and view["branches"][0]["participant"] == ours.url
    quick = {"retry": {"first_ms": 20, "max_ms": 50}}
    view = server.submit(two_phase("h", ours.branch("x"), foreign.branch("y", **quick), timeout_ms=500), wait="decided").json()
    assert view["outcome"] == "aborted" and view["reason"]["code"] == "deadline", "who cannot prove who it is has not voted"
    assert foreign.calls() == []
    assert "tls" in view["branches"][1]["last"]["code"] or "connect" in view["branches"][1]["last"]["code"], view


def test_the_server_behind_https(make_server, pki, make_participant):
    port = harness.free_port()
    server = make_server("--tls-cert", pki / "ours.pem", "--tls-key", pki / "ours.key", port=port, start=False)
    server.url = f"https://127.0.0.1:{port}"
    server.session.verify = str(pki / "ours-ca.pem")
    server.spawn()

    def ready():
        assert server.running(), server.log()
        try:
            return server.get("/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    harness.wait_until(ready, 20, "it to be ready")
    a = make_participant()
    assert server.submit(two_phase("g", a.branch("x")), wait="finished").json()["outcome"] == "committed"
    assert a.calls()[0].headers["unanim-inquiry"].startswith(server.url + "/v1/transactions/g/outcome?")
    assert f"listening on {server.url}" in server.log()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.url + "/livez", timeout=5)
    reply = harness.raw_exchange(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", timeout=3)
    assert b"200 OK" not in reply, "not in the clear as well"
    args = "tx", "get", "g", "--server", server.url
    assert harness.run_unanim(*args, "--ca-file", pki / "ours-ca.pem")[0] == 0
    assert harness.run_unanim(*args)[0] == 1


def test_a_certificate_without_its_key(tmp_path, pki):
    args = "serve", "--data-dir", tmp_path / "d", "--listen", f"127.0.0.1:{harness.free_port()}"
    code, out, err = harness.run_unanim(*args, "--tls-cert", pki / "ours.pem")
    assert code == 1 and "--tls-key" in err, err
    code, out, err = harness.run_unanim(*args, "--tls-cert", pki / "ours.pem", "--tls-key", pki / "foreign.key")
    assert code == 1, err
