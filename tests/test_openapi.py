"""The OpenAPI document: it is valid, it is about everything that is served, and every answer keeps to it.

That answers keep to it is checked on every answer of every test (described.py); here is what no answer shows.
"""

import openapi_spec_validator
import pytest

import described
import harness
from harness import problem
from participants import two_phase


@pytest.fixture
def document(server):
    answer = server.get("/openapi.json")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    return answer.json()


def test_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_every_problem_has_a_code_and_a_page(document):
    pages = {page.stem for page in (harness.ROOT / "docs/errors").glob("*.md")} - {"index"}
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["x-extensible-enum"]) == pages
    assert set(document["components"]["responses"]) == pages


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names)) and {"submit", "read", "outcome", "commit", "rollback"} <= set(names)


def test_every_call_of_the_v1_page_is_in_it(document):
    """docs/v1.md and the document name the same calls."""
    text = (harness.ROOT / "docs/v1.md").read_text()
    table = [line.split("`")[1] for line in text.splitlines() if line.startswith("| [`")]
    calls = {tuple(call.split()) for call in table if " /v1/" in call}
    assert calls == {
        (method.upper(), path) for path, operations in document["paths"].items() for method in operations if path.startswith("/v1/")
    }


def test_requests_that_the_document_has_are_taken_and_others_are_not(server, make_participant, document):
    """A strict field here is a strict field there."""
    a = make_participant()
    checker = described.Document(document)
    schema = {"$ref": "#/components/schemas/Submission"}
    good = two_phase("g", a.branch("x", headers={"x-a": "1"}, retry={"max_ms": 5}, refused_statuses=[409], one_phase=True), timeout_ms=5)
    checker.validate(good, schema, "good")
    assert server.submit(good).status_code == 202
    for body in ({**good, "colour": "red"}, {**good, "mode": "saga"}, {**good, "timeout_ms": 0}, {**good, "branches": [{"colour": 1}]}):
        with pytest.raises(AssertionError):
            checker.validate(body, schema, "bad")
        problem(server.submit(body), 400, "invalid_request")


def test_the_check_sees_what_is_missing(server, document):
    """The check of every answer would be worth nothing if it passed over these."""
    checker = described.Document(document)
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    answer = server.get("/v1/transactions/g")
    view = answer.json()
    schema = {"$ref": "#/components/schemas/Transaction"}
    checker.validate(view, schema, "good")
    for wrong in ({**view, "colour": "red"}, {**view, "phase": "dreaming"}, {**view, "created_at": "now"}, {k: v for k, v in view.items() if k != "seq"}):
        with pytest.raises(AssertionError):
            checker.validate(wrong, schema, "bad")
    answer.status_code = 201
    with pytest.raises(AssertionError, match="does not have this status"):
        checker.check("GET", "/v1/transactions/g", answer)


def test_the_prefix_of_the_public_url_is_where_the_calls_are(make_server):
    server = make_server("--public-url", "https://c.example/base/")
    assert server.get("/openapi.json").json()["servers"] == [{"url": "/base"}]
    answer = server.submit({"gid": "a b", "mode": "two_phase", "start": False})
    assert answer.headers["Location"] == "/base/v1/transactions/a%20b"
