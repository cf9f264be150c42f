"""`unanim tx`, `demo`, `bench`, `completions`: exit codes and output that scripts rely on."""

import json
import subprocess
import time

import pytest

import harness
from harness import run_unanim
from participants import NO, Participant, silence, two_phase


def submit(server, body, *args, **kwargs):
    return run_unanim("tx", "submit", "-", "--server", server.url, *args, stdin=json.dumps(body), **kwargs)


def test_submit_says_the_outcome_by_its_exit_code(server, make_participant, tmp_path):
    a = make_participant()
    path = tmp_path / "order.json"
    path.write_text(json.dumps(two_phase("yes", a.branch("x"))))
    code, out, err = run_unanim("tx", "submit", path, "--server", server.url)
    assert code == 0 and "yes" in out and "committed" in out, (code, out, err)
    a.on("prepare", NO)
    code, out, err = submit(server, two_phase("no", a.branch("x")), "--json")
    assert code == 2 and json.loads(out)["outcome"] == "aborted"
    a.on("prepare", silence())
    code, out, err = submit(server, two_phase("open", a.branch("x")), "--timeout", "1s")
    assert code == 3, (code, out, err)
    code, out, err = submit(server, two_phase("open2", a.branch("x")), "--wait", "none", "--json")
    assert code == 3 and json.loads(out)["gid"] == "open2"


def test_submit_makes_the_gid_before_it_sends(server, make_participant):
    """So that a retry is the same transaction: the participant is asked once, although the server was away."""
    a = make_participant()
    server.kill9()
    command = [harness.binary(), "tx", "submit", "-", "--server", server.url, "--json", "--timeout", "20s"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=harness.clean_env()) as client:
        client.stdin.write(json.dumps(two_phase(None, a.branch("x"))).encode())
        client.stdin.close()
        # Time for it to be refused at least once; that it was is not part of the promise.
        time.sleep(0.3)
        server.start()
        view = json.loads(client.stdout.read())
        assert client.wait(20) == 0
    assert view["outcome"] == "committed" and a.ops(view["gid"]) == ["prepare", "commit"] and len(a.calls()) == 2


def test_submit_errors_are_1(server, make_participant, tmp_path):
    a = make_participant()
    assert run_unanim("tx", "submit", tmp_path / "nothing.json", "--server", server.url)[0] == 1
    assert run_unanim("tx", "submit", "-", "--server", server.url, stdin="{")[0] == 1
    code, out, err = submit(server, {"mode": "two_phase", "branches": [a.branch("x")], "colour": "red"})
    assert code == 1 and "/colour" in err, err
    gone = f"http://127.0.0.1:{harness.free_port()}"
    assert run_unanim("tx", "submit", "-", "--server", gone, "--timeout", "1s", stdin=json.dumps(two_phase(None, a.branch("x"))))[0] == 1
    assert submit(server, two_phase("g", a.branch("x")))[0] == 0
    code, out, err = submit(server, two_phase("g", a.branch("y")))
    assert code == 1 and "gid_conflict" in err, err
    assert "panicked" not in err


@pytest.mark.parametrize("args", [[], ["--sever", "x", "-"], ["-", "--wait", "sometimes"], ["-", "--timeout", "soon"]])
def test_a_mistyped_submit_is_no_abort(args):
    """2 would say that the transaction was aborted."""
    code, out, err = run_unanim("tx", "submit", *args, stdin="{}")
    assert code == 1 and err, (code, err)


def test_get(server, make_participant):
    a, b = make_participant(), Participant(up=False)
    server.submit(two_phase('a/"b', a.branch("stock"), b.branch("pay")), wait="decided", timeout_ms=300)
    code, out, err = run_unanim("tx", "get", 'a/"b', env={"UNANIM_SERVER": server.url})
    assert code == 0, err
    for word in ('a/"b', "preparing", "stock", "pay", b.url.removeprefix("http://")):
        assert word in out, out
    assert "\x1b[" not in out, "plain in a pipe"
    assert all(line == line.rstrip() and len(line) <= 80 for line in out.splitlines()), out
    code, out, err = run_unanim("tx", "get", 'a/"b', "--json", "--server", server.url)
    assert code == 0 and json.loads(out)["gid"] == 'a/"b'
    code, out, err = run_unanim("tx", "get", "nobody", "--server", server.url)
    assert code == 1 and "nobody" in err


def test_with_a_token(make_server, make_participant, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length\n")
    server = make_server("--token-file", token)
    body = two_phase("g", make_participant().branch("x"))
    assert submit(server, body)[0] == 1
    assert submit(server, body, "--token-file", token)[0] == 0
    assert run_unanim("tx", "get", "g", "--server", server.url, "--token-file", token)[0] == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(shell):
    code, out, err = run_unanim("completions", shell)
    assert code == 0 and "unanim" in out and "demo-participant" in out
    assert all(command in out for command in ("submit", "get", "list", "watch", "history", "retry", "rollback", "resolve", "forget"))


def test_no_arguments_and_a_typo():
    code, out, err = run_unanim()
    assert code != 0 and "serve" in out + err and "demo" in out + err
    code, out, err = run_unanim("serv")
    assert code == 1 and "serve" in err
    assert run_unanim("--version")[1].startswith("unanim ")


def test_demo_leaves_nothing_behind(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code, out, err = run_unanim("demo", timeout=60, env={"TMPDIR": str(scratch)}, cwd=scratch)
    assert code == 0, out + err
    assert "\x1b[" not in out, "plain in a pipe"
    assert list(scratch.iterdir()) == []
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in processes.splitlines() if str(scratch) in line]


def test_bench_runs(server):
    code, out, err = run_unanim(
        "bench", "--url", server.url, "--door", "v1", "--clients", "4", "--seconds", "1", "--warmup", "0", "--pid", server.pid, "--json", timeout=60,
    )
    assert code == 0 and isinstance(json.loads(out), dict), out + err
    code, out, err = run_unanim(
        "bench", "--url", server.url, "--door", "classic", "--clients", "4", "--seconds", "1", "--warmup", "0", timeout=60,
    )
    assert code == 0 and "p99" in out, out + err


@pytest.mark.parametrize("door", ["v1", "classic"])
def test_bench_shows_a_token(make_server, tmp_path, door):
    token = tmp_path / "token"
    token.write_text("s3cret-s3cret-s3cret\n")
    token.chmod(0o600)
    server = make_server("--token-file", token)
    args = "bench", "--url", server.url, "--door", door, "--clients", "2", "--seconds", "0.3", "--warmup", "0"
    code, out, err = run_unanim(*args, timeout=60, env={"UNANIM_TOKEN_FILE": str(token)})
    assert code == 0 and "p99" in out, out + err
    code, out, err = run_unanim(*args, timeout=60)
    assert code == 1 and "401" in out, out + err
