"""Metrics: every one is documented, and each answers the question that an operator asks of it."""

import re

import harness
from harness import wait_until
from participants import reply, silence, two_phase


def metrics(server):
    """{name with labels: value}"""
    lines = server.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def test_every_metric_is_documented_with_its_type(server):
    shown = dict(re.findall(r"^# TYPE (\S+) (\S+)$", server.get("/metrics").text, re.M))
    page = (harness.ROOT / "docs/metrics.md").read_text()
    documented = dict(re.findall(r"^\| `((?:unanim|process)_\w+)` \| (\w+) \|", page, re.M))
    assert shown == documented


def test_what_is_open_and_for_how_long(server, make_participant):
    a = make_participant()
    before = metrics(server)
    assert before["unanim_transactions_oldest_open_seconds"] == 0
    server.submit({"gid": "active", "mode": "two_phase", "start": False})
    a.on("commit", reply(503))
    server.submit(two_phase("late", a.branch("x")), wait="decided")
    a.on("prepare", silence())
    server.submit(two_phase("asked", a.branch("x")))
    a.wait_call("prepare", "asked")
    seen = metrics(server)
    phases = {phase: seen[f'unanim_transactions_open_in_phase{{phase="{phase}"}}'] for phase in ("active", "preparing", "committing", "aborting")}
    assert phases == {"active": 1, "preparing": 1, "committing": 1, "aborting": 0} and seen["unanim_transactions_open"] == 3
    wait_until(lambda: metrics(server)["unanim_transactions_oldest_open_seconds"] > 0.3, what="the oldest to grow older")
    assert metrics(server)["unanim_transactions_oldest_open_seconds"] < 60
    # After a restart they are counted as they stand.
    server.kill9()
    server.start()
    again = metrics(server)
    assert all(again[f'unanim_transactions_open_in_phase{{phase="{phase}"}}'] == count for phase, count in phases.items())
    assert again["unanim_transactions_oldest_open_seconds"] > 0.3
    a.on("commit", reply(200)).on("prepare", reply(200))
    for gid in ("active", "asked"):
        server.post(f"/v1/transactions/{gid}/rollback")
    server.post("/v1/transactions/late/retry")
    a.close()
    a.up()
    for gid in ("late", "active", "asked"):
        server.post(f"/v1/transactions/{gid}/retry")
        server.wait_phase(gid, "committed", "aborted")
    wait_until(lambda: metrics(server)["unanim_transactions_open"] == 0, what="nothing to be open")
    assert metrics(server)["unanim_transactions_oldest_open_seconds"] == 0


def test_which_participant_fails(server, make_participant):
    good, bad = make_participant(), make_participant(up=False)
    server.submit(two_phase("g", good.branch("x"), bad.branch("y", retry={"first_ms": 50, "max_ms": 50})))

    def count(who, outcome):
        return metrics(server).get(f'unanim_participant_calls_total{{participant="{who.url}",outcome="{outcome}"}}', 0)

    wait_until(lambda: count(bad, "failed") >= 3, what="failures to be counted")
    assert count(bad, "answered") == 0 and count(good, "answered") == 1 and count(good, "failed") == 0
    bad.up()
    server.wait_phase("g", "committed")
    assert count(bad, "answered") == 2 and count(good, "answered") == 2


def test_participants_have_a_bounded_number_of_labels(server, make_participant):
    """Anybody who may submit can name many participants."""
    ports = range(2000, 2260)
    branches = [{"id": f"b{port}", "endpoint": f"http://127.0.0.2:{port}/", "retry": {"first_ms": 100}} for port in ports]
    server.submit(two_phase("g", *branches, timeout_ms=1))

    def labels():
        return {name for name in metrics(server) if name.startswith("unanim_participant_calls_total")}

    wait_until(lambda: any('"other"' in name for name in labels()), what="the others to be counted together")
    assert len(labels()) == 2 * 201


def test_how_long_decisions_batches_and_flushes_take(server, make_participant):
    a = make_participant()
    for n in range(5):
        server.submit(two_phase(f"g{n}", a.branch("x")), wait="finished")
    seen = metrics(server)
    assert seen["unanim_transaction_decision_seconds_count"] == 5
    assert 0 < seen['unanim_transaction_decision_seconds_bucket{le="60"}'] == 5
    assert seen["unanim_store_batch_records_count"] == seen["unanim_store_save_duration_seconds_count"] >= 5
    assert seen["unanim_store_batch_records_sum"] >= 10 and seen["unanim_store_save_duration_seconds_sum"] > 0
    assert seen["unanim_store_free_bytes"] > 1 << 20 and seen["unanim_store_wal_bytes"] > 0
