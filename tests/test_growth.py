"""Under full load the data folder stops growing once as much leaves it as comes in.

GROWTH_RETENTION and GROWTH_LOAD set the seconds; docs/operations/sizing.md names the long run.
"""

import contextlib
import json
import os
import sqlite3
import threading
import time

from harness import run_unanim, wait_until

RETENTION = float(os.environ.get("GROWTH_RETENTION", 2))
LOAD = float(os.environ.get("GROWTH_LOAD", 15))
MIB = 1 << 20


def size(data):
    """Bytes on disk, without the reserve, which is the same all the time."""
    return sum(file.stat().st_blocks * 512 for file in data.iterdir() if file.name != "reserve")


def metrics(server):
    lines = [line.split() for line in server.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def watch(server, seen, stop):
    while not stop.wait(0.2):
        figures = metrics(server)
        seen.append({
            "at": time.monotonic(), "folder": size(server.data), "log": figures["unanim_store_wal_bytes"],
            "lag": figures["unanim_store_purge_lag_seconds"], "read": figures["unanim_store_read_seconds_max"],
            "begun": figures["unanim_transactions_begun_total"],
        })


def bytes_each(seen, settled):
    """For each settled moment, the folder's bytes for each transaction of the busiest time so far of two seconds more than
    a retention: the machine is not always as fast, and a file does not shrink."""
    window, busiest, oldest, each = RETENTION + 2, 0, 0, []
    for sample in seen:
        while seen[oldest]["at"] < sample["at"] - window:
            oldest += 1
        busiest = max(busiest, sample["begun"] - seen[oldest]["begun"])
        if sample["at"] > settled:
            each.append(sample["folder"] / busiest)
    return each


def test_the_folder_stops_growing(make_server):
    server = make_server("--retention", f"{RETENTION}s")
    seen, stop = [], threading.Event()
    watcher = threading.Thread(target=watch, args=(server, seen, stop), daemon=True)
    watcher.start()
    began = time.monotonic()
    code, out, err = run_unanim("bench", "--url", server.url, "--clients", 50, "--warmup", 0, "--seconds", LOAD, "--json",
                                timeout=LOAD + 60)
    stop.set()
    watcher.join()
    assert code == 0, err
    # Two retentions, and a moment to catch up, until as much leaves as comes; from then on nothing grows but by little.
    each = bytes_each(seen, began + 2 * RETENTION + LOAD / 5)
    half = len(each) // 2
    first, second = max(each[:half]), max(each[half:])
    report = {"bytes_each": [round(first), round(second)], "folder_mib": round(seen[-1]["folder"] / MIB, 1)}
    report |= {name: max(s[name] for s in seen) for name in ("log", "lag", "read")} | {"bench": json.loads(out)}
    print(json.dumps(report, indent=1))
    assert second < first * 1.1, report
    assert report["log"] < 16 * MIB, report
    assert report["lag"] < max(5, RETENTION), report
    assert report["read"] < 0.1, report

    # And when nothing comes any more, all of it leaves.
    def finished():
        with contextlib.closing(sqlite3.connect(f"file:{server.data}/unanim.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM finished").fetchone()[0]

    wait_until(lambda: finished() == 0, RETENTION + 30, "what has finished to be gone", 0.2)
    assert metrics(server)["unanim_store_purge_lag_seconds"] < 2
