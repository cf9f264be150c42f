"""Clients that are slow, silent or many: bounded in time, and nobody else waits for them."""

import resource
import socket
import time

import pytest

from harness import wait_until
from participants import two_phase


def half_open(port, data):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(data)
    sock.setblocking(False)
    return sock


def closed(sock):
    """Whether the other side ended it; what it said before is read and dropped."""
    try:
        while sock.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


HEADERS = b"POST /v1/transactions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = HEADERS + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


def test_slow_headers_and_slow_bodies_end_and_delay_nobody(server, make_participant):
    """A header and a byte of body every second keep no connection alive for ever."""
    a = make_participant()
    sockets = [half_open(server.port, data) for data in [HEADERS] * 50 + [BODY] * 50 + [b""] * 50]
    dripping = [half_open(server.port, HEADERS), half_open(server.port, BODY)]
    slowest, last_drip = 0.0, time.monotonic()

    def all_headers_closed():
        nonlocal slowest, last_drip
        started = time.monotonic()
        gid = f"g-{started}"
        assert server.submit(two_phase(gid, a.branch("x")), wait="finished").json()["outcome"] == "committed"
        slowest = max(slowest, time.monotonic() - started)
        if started - last_drip > 1:
            last_drip = started
            for sock, piece in zip(dripping, (b"X-A: b\r\n", b" ")):
                try:
                    sock.send(piece)
                except OSError:
                    pass
        return all(closed(sock) for sock in sockets[:50] + dripping[:1])

    wait_until(all_headers_closed, 75, "the server to close connections whose headers do not come", 0.2)
    assert slowest < 1.0, slowest
    wait_until(lambda: all(closed(sock) for sock in sockets[50:100] + dripping[1:]), 75, "those whose body does not come", 0.2)


@pytest.fixture
def many_files():
    """Lets this process hold as many connections as the test wants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(hard, 3_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_idle_connections(server, make_participant, many_files):
    """The server raises its own limit of open files, and serves on with thousands of idle clients."""
    a = make_participant()
    sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(many_files - 500)]
    assert server.submit(two_phase("g", a.branch("x")), wait="finished").json()["outcome"] == "committed"
    for sock in sockets:
        sock.close()


def test_a_client_that_never_reads_its_answers(server, make_participant):
    a = make_participant()
    request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=1)
    try:
        for _ in range(20_000):
            sock.sendall(request)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    assert server.submit(two_phase("g", a.branch("x")), wait="finished").json()["outcome"] == "committed"
    sock.close()


def test_a_client_that_leaves_while_it_waits(server, make_participant):
    """Its transaction goes on; its connection is not kept."""
    a = make_participant()
    body = b'{"gid":"g","mode":"two_phase","branches":[{"id":"x","endpoint":"%s"}]}' % a.url.encode()
    data = HEADERS.replace(b"transactions", b"transactions?wait=finished")
    data += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(data)
    wait_until(lambda: server.get("/v1/transactions/g").status_code == 200, what="the transaction")
    server.wait_phase("g", "committed")


def test_a_pipelining_client(server):
    data = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 5 + b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(data)
        received = b""
        while piece := sock.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 6
