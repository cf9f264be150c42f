"""A write that the disk refuses for another reason than room ends the process at once, with a clear last line and 70."""

import resource

import requests

from harness import wait_until


def test_a_failed_write_ends_the_process_and_loses_nothing_that_was_told(make_server, make_participant):
    a = make_participant()
    server = make_server()
    server.kill9()
    # The kernel's signal for a file that may not grow would end it first; ignored, the write fails instead.
    server.command = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *server.command]
    server.start()
    payload = "x" * 1_000_000
    told = []

    def submit(number):
        branches = [{**a.branch(f"b{n}"), "payload": payload} for n in range(8)]
        body = {"gid": f"large-{number}", "mode": "two_phase", "start": False, "branches": branches}
        try:
            answer = server.submit(body)
        except requests.RequestException:
            return False
        if answer.status_code == 202:
            told.append(body["gid"])
        return answer.status_code == 202

    assert submit(0)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (24 << 20, 24 << 20))
    accepted = 1
    while submit(accepted):
        accepted += 1
        assert accepted < 40, "a file of 24 MiB holds so many"
    assert wait_until(lambda: server.popen.poll() is not None, 10, "the process to end")
    assert server.popen.returncode == 70, server.log()[-2000:]
    last = server.log().strip().splitlines()[-1]
    assert "store" in last.lower(), last
    server.start()
    for gid in told:
        assert server.get(f"/v1/transactions/{gid}").json()["phase"] == "active"
