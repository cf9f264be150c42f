"""Fixtures: a server, programmable participants, and the logs of every process when a test fails."""

import pytest

import harness
from participants import Participant


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        for process in list(harness._started):
            report.sections.append((str(process.log_path), process.log()[-4000:]))
    return report


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Ends every process that a test started, however the test ended."""
    yield
    harness.kill_everything()


@pytest.fixture
def make_server(tmp_path):
    """Starts `unanim serve` with these further arguments."""

    def make(*args, start=True, **kwargs):
        server = harness.Server(tmp_path, *args, **kwargs)
        return server.start() if start else server

    return make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def make_participant():
    """Programmable participants inside the test's own process (see participants.py)."""
    made = []

    def make(*args, **kwargs):
        made.append(Participant(*args, **kwargs))
        return made[-1]

    yield make
    for participant in made:
        participant.close()
