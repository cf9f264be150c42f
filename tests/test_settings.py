"""Settings from file, environment and flags, and what happens when one is wrong."""

import json
import os
import socket

import pytest
import requests

import harness
from harness import run_unanim, wait_until


def print_config(*args, **kwargs):
    code, out, err = run_unanim("serve", *args, "--print-config", **kwargs)
    assert code == 0, err
    return out


def test_file_then_environment_then_flags(tmp_path):
    config = tmp_path / "unanim.toml"
    config.write_text('listen = "127.0.0.1:1001"\nclassic = "off"\nretention = "3d"\ndrain = "7s"\n')
    env = {"UNANIM_LISTEN": "127.0.0.1:1002", "UNANIM_DRAIN": "8s"}
    out = print_config("--config", config, "--drain", "9s", env=env)
    assert "127.0.0.1:1002" in out and "127.0.0.1:1001" not in out
    assert 'drain = "9s"' in out and '"off"' in out and 'retention = "3d"' in out
    assert "127.0.0.1:8080" in print_config(), "the default"
    assert "127.0.0.1:1001" in print_config("--config", config)
    assert "127.0.0.1:1001" in print_config(env={"UNANIM_CONFIG": str(config)})


def test_what_is_printed_can_be_read_back(tmp_path):
    out = print_config("--listen", "127.0.0.1:1003", "--allow", "a.example", "--allow", "10.0.0.0/8:80")
    config = tmp_path / "printed.toml"
    config.write_text(out)
    assert print_config("--config", config) == out


@pytest.mark.parametrize(("flag", "suggestion"), [("--lisen", "--listen"), ("--data_dir", "--data-dir"), ("--alow", "--allow")])
def test_a_flag_with_a_typo(flag, suggestion):
    code, out, err = run_unanim("serve", flag, "x")
    assert code == 1 and suggestion in err, (code, err)


@pytest.mark.parametrize(("key", "suggestion"), [("lisen", "listen"), ("data-dir", "data_dir"), ("classic_prepare_timout", "classic_prepare_timeout")])
def test_a_key_with_a_typo(tmp_path, key, suggestion):
    config = tmp_path / "unanim.toml"
    config.write_text(f'{key} = "10s"\n')
    code, out, err = run_unanim("serve", "--config", config)
    assert code == 1 and suggestion in err and key in err, (code, err)
    assert str(config) in err, "it says which file"


BAD_VALUES = [
    ("--listen", "8080x"), ("--listen", "nowhere.invalid:1"), ("--drain", "soon"), ("--classic", "maybe"), ("--allow", "10.0.0.0/99"),
    ("--allow", "http://x"), ("--commit", "later"), ("--max-open", "-1"), ("--max-open-bytes", "many"), ("--public-url", "coordinator"),
    ("--public-url", "ftp://x"), ("--log", "xml"), ("--token-file", "/does/not/exist"), ("--config", "/does/not/exist.toml"),
    ("--tls-cert", "/does/not/exist"), ("--ca-file", "/does/not/exist"), ("--data-dir", "/dev/null/x"), ("--retention", "-3d"),
]


@pytest.mark.parametrize(("flag", "value"), BAD_VALUES)
def test_a_bad_value_names_its_setting(tmp_path, flag, value):
    args = ["serve", "--data-dir", tmp_path / "data", "--listen", f"127.0.0.1:{harness.free_port()}"]
    at = args.index(flag) if flag in args else None
    if at is not None:
        args[at + 1] = value
    else:
        args += [flag, value]
    code, out, err = run_unanim(*args)
    assert code == 1, (code, err)
    name = flag.lstrip("-")
    assert name in err or name.replace("-", "_") in err or value in err, err
    assert "panicked" not in err


def test_an_empty_token_file_is_no_token(tmp_path):
    (tmp_path / "token").write_text("\n")
    code, out, err = run_unanim("serve", "--token-file", tmp_path / "token", "--data-dir", tmp_path / "d")
    assert code == 1 and "token" in err, err


def test_environment_of_service_links_is_ignored(make_server):
    links = {
        "UNANIM_PORT": "tcp://10.0.0.9:8080", "UNANIM_SERVICE_HOST": "10.0.0.9", "UNANIM_SERVICE_PORT": "8080",
        "UNANIM_SERVICE_PORT_HTTP": "8080", "UNANIM_PORT_8080_TCP": "tcp://10.0.0.9:8080", "UNANIM_PORT_8080_TCP_PROTO": "tcp",
        "UNANIM_PORT_8080_TCP_PORT": "8080", "UNANIM_PORT_8080_TCP_ADDR": "10.0.0.9",
    }
    server = make_server(env=links)
    assert not any(name in server.log() for name in links), server.log()
    assert "10.0.0.9" not in print_config(env=links)


def test_an_unknown_variable_warns(make_server):
    server = make_server(env={"UNANIM_FOO": "bar-value-81", "UNANIM_LISTN": "x"})
    warnings = [line for line in server.log().splitlines() if "WARN" in line.upper()]
    assert any("UNANIM_FOO" in line for line in warnings) and any("UNANIM_LISTN" in line for line in warnings), server.log()
    assert "bar-value-81" not in server.log(), "it may be a secret"


def test_settings_from_the_environment_alone(make_server, make_participant):
    port = harness.free_port()
    server = make_server(port=port, listen=False, env={"UNANIM_LISTEN": f"127.0.0.1:{port}", "UNANIM_CLASSIC": "off"})
    assert server.post("/transaction").status_code == 404


def test_it_says_where_it_listens(make_server):
    server = make_server()
    wait_until(lambda: f"listening on {server.url}" in server.log(), what="the line")


def test_port_0_says_which_port(make_server):
    server = make_server("--listen", "127.0.0.1:0", listen=False, start=False).spawn()
    line = wait_until(lambda: [x for x in server.log().splitlines() if "listening on http://127.0.0.1:" in x], what="the line")[0]
    port = line.split("http://127.0.0.1:")[1].split()[0].rstrip('",')
    wait_until(lambda: requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok, what="it to be ready")


def test_a_busy_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = run_unanim("serve", "--listen", address, "--data-dir", tmp_path / "data")
    assert code == 1 and address in err and "--listen" in err and "in use" in err, err


def test_a_locked_folder_names_who_holds_it(make_server, tmp_path):
    server = make_server()
    args = "serve", "--listen", f"127.0.0.1:{harness.free_port()}", "--data-dir", server.data
    code, out, err = run_unanim(*args)
    assert code == 1 and str(server.pid) in err and str(server.data) in err, err
    assert server.get("/readyz").status_code == 200
    server.kill9()
    harness.Server(tmp_path, data=server.data, name="second").start()


@pytest.mark.parametrize("listen", ["0.0.0.0", "[::]"])
def test_all_addresses_need_a_public_url_and_a_token(tmp_path, listen):
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length\n")
    listen = f"{listen}:{harness.free_port()}"
    base = "serve", "--listen", listen, "--data-dir", tmp_path / "data"
    code, out, err = run_unanim(*base, "--token-file", token)
    assert code == 1 and "--public-url" in err, err
    code, out, err = run_unanim(*base, "--public-url", "http://coordinator.example:8080")
    assert code == 1 and "--token-file" in err, err
    assert not (tmp_path / "data").exists() or not os.listdir(tmp_path / "data"), "it refused before it touched anything"


def test_all_addresses_with_both(make_server, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length\n")
    port = harness.free_port()
    make_server("--listen", f"0.0.0.0:{port}", "--token-file", token, "--public-url", f"http://127.0.0.1:{port}", port=port, listen=False)


def test_json_logs(make_server):
    server = make_server("--log", "json")
    lines = [line for line in server.log().splitlines() if line.strip()]
    assert lines and all(isinstance(json.loads(line), dict) for line in lines), server.log()


def test_help_says_all_settings():
    code, out, err = run_unanim("serve", "--help")
    assert code == 0
    for flag in ("--listen", "--data-dir", "--public-url", "--allow", "--token-file", "--classic", "--commit", "--ca-file", "--retention",
                 "--stuck-after", "--drain", "--max-open", "--max-open-bytes", "--log", "--print-config"):
        assert flag in out, flag


def test_metrics(server):
    answer = server.get("/metrics")
    assert answer.status_code == 200 and "# TYPE" in answer.text and "unanim_" in answer.text


def test_the_access_log_has_every_request_with_its_gid(make_server):
    server = make_server("--access-log", "on", "--log", "json")
    server.submit({"gid": "a b", "mode": "two_phase", "start": False})
    server.get("/v1/transactions/a%20b/outcome?branch=x&key=s3cret")
    lines = [json.loads(line) for line in server.log().splitlines() if '"message":"request"' in line]
    begun = next(line for line in lines if line["method"] == "POST")
    assert (begun["gid"], begun["status"], begun["path"], begun["door"]) == ("a b", 202, "/v1/transactions", "v1"), begun
    assert begun["micros"] > 0 and begun["level"] == "INFO" and "s3cret" not in server.log()


def test_without_it_what_succeeds_is_not_logged(make_server):
    server = make_server("--log", "json")
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    assert '"path":"/v1/transactions"' not in server.log()
