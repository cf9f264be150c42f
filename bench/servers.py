"""Servers that a measurement starts, what they say of themselves, and pairs of runs against them."""

import atexit
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

START_TIMEOUT = 20.0
# Of each measured run.
SLICES = 4

# A proxy in the caller's environment has no business between processes of one machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program(parser, options, *names):
    """Makes the programs' paths absolute, or says what to build."""
    for name in names:
        path = getattr(options, name)
        if not os.access(path, os.X_OK):
            parser.error(f"there is no program {path}: build it, or name it with --{name}")
        setattr(options, name, path.resolve())


def own_folder(prefix, parent):
    """A folder that goes with this script, however it ends."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent or pathlib.Path.cwd()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Server:
    """A child that listens, found by the address it logs; killed with this script."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = log
        env = {key: value for key, value in os.environ.items() if not key.startswith("UNANIM_")}
        with open(log, "wb") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        atexit.register(self.kill)
        self.url = self.wait("its address", self.logged_address)
        self.wait("it to be ready", self.is_ready)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def stop(self):
        """SIGTERM, as an operator would; its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def wait(self, what, condition):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit(f"{self.name}: waited in vain for {what}; its log:\n{self.log.read_text(errors='replace')}")

    def logged_address(self):
        _, found, rest = self.log.read_text(errors="replace").partition("listening on http://")
        line = rest.split("\n")[0]
        # Up to the first character that cannot be part of an address: a quote of a JSON log, a colour.
        end = next((at for at, char in enumerate(line) if char not in "0123456789abcdefABCDEF.:[]"), len(line))
        return f"http://{line[:end]}" if found and "\n" in rest else None

    def is_ready(self):
        try:
            return OPENER.open(self.url + "/readyz", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False


def bench(options, server, door, clients, seconds, warmup):
    """One run of the closed loop; what `unanim bench --json` says. Errors in it are fatal."""
    command = [options.unanim, "bench", "--url", server.url, "--door", door, "--clients", clients, "--seconds", f"{seconds:g}",
               "--warmup", f"{warmup:g}", "--pid", server.child.pid, "--json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the run against {server.name} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def pairs(options, servers, door, clients, seconds, count, between=lambda: None):
    """Runs against the two servers; a pair has the order of `servers`. The speed of a machine changes within seconds, so
    each run is cut into slices, and the two take turns in who is first."""
    measured = []
    for number in range(count):
        between()
        runs = {name: [] for name in servers}
        for turn in range(number, number + SLICES):
            for name in list(servers) if turn % 2 == 0 else reversed(list(servers)):
                runs[name].append(bench(options, servers[name], door, clients, seconds / SLICES, options.warmup / SLICES))
        measured.append(tuple(whole(runs[name]) for name in servers))
        print(f"{door}, {clients} clients: pair {number + 1} of {count} done", file=sys.stderr)
    return measured


def whole(slices):
    """What the slices of one run say together; of a percentile, the median."""
    transactions = sum(run["transactions"] for run in slices)
    return {
        "throughput": transactions / sum(run["seconds"] for run in slices),
        "cpu_us_per_transaction": sum(run["cpu_us_per_transaction"] * run["transactions"] for run in slices) / transactions,
        **{name: statistics.median(run[name] for run in slices) for name in ("p50_us", "p99_us")},
    }


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"
