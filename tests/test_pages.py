"""The pages that the server shows: the reference, the errors, the book; nothing of them comes from elsewhere."""

import re

import pytest
import requests

import harness
from harness import problem


PAGES = ["/docs", "/docs/errors/gid_conflict", "/docs/errors", "/docs/errors/index", "/docs/security", "/docs/v1"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_token_and_no_network(make_server, tmp_path, path):
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret")
    (tmp_path / "token").chmod(0o600)
    server = make_server("--token-file", tmp_path / "token")
    answer = server.get(path)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script" not in answer.text and "style=" not in answer.text and " on" + "click" not in answer.text
    assert not re.search(r'(src|rel="stylesheet" href)="(https?:)?//', answer.text)
    head = server.request("HEAD", path)
    assert head.status_code == 200 and head.content == b"" and head.headers["Content-Length"] == str(len(answer.content))
    problem(server.get("/v1/transactions/g"), 401, "unauthenticated")


def test_links_lead_to_pages(server):
    """From the reference on, every page that a link names is there."""
    seen, todo = set(), ["/docs"]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = server.get(path)
        assert answer.status_code == 200, path
        if not answer.headers["Content-Type"].startswith("text/html"):
            continue
        for link in re.findall(r'href="([^"#]+)', answer.text):
            if "://" not in link:
                todo.append(re.sub(r"^http://[^/]*", "", harness.urllib.parse.urljoin(server.url + path, link)))
    assert {"/docs/style.css", "/openapi.json", "/docs/tutorial", "/docs/errors/closed"} <= seen
    codes = {page.stem for page in (harness.ROOT / "docs/errors").glob("*.md")}
    assert {f"/docs/errors/{code}" for code in codes} <= seen


def test_a_problems_type_is_a_page(server):
    found = problem(server.get("/v1/transactions/nobody"), 404, "not_found")
    page = server.get(found["type"])
    assert page.status_code == 200 and "not_found" in page.text and "What to do" in page.text


@pytest.mark.parametrize("path", ["/docs", "/docs/v1", "/docs/errors", "/docs/errors/closed"])
def test_a_slash_at_the_end_leads_to_the_page(make_server, tmp_path, path):
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret")
    (tmp_path / "token").chmod(0o600)
    server = make_server("--token-file", tmp_path / "token")
    # For who types it; the document does not offer such a path.
    moved = requests.get(server.url + path + "/", allow_redirects=False, timeout=10)
    assert moved.status_code == 308 and moved.content == b""
    # Relative, as the links of the pages are: a proxy may show all of them under a prefix.
    assert moved.headers["Location"].startswith("../")
    followed = requests.get(server.url + path + "/", timeout=10)
    assert followed.status_code == 200 and followed.url == server.url + path


@pytest.mark.parametrize("path", ["/docs//", "/docs/nothing", "/docs/nothing/", "/docs/errors/nothing", "/docs/../Cargo.toml", "/docs/adr/README", "/docs/%2e%2e/x", "/docs/style.css/"])
def test_other_pages_are_not_there(server, path):
    problem(server.get(path), 404, "not_found")


def test_a_page_only_has_get(server):
    for path in ("/docs", "/openapi.json", "/docs/v1", "/docs/errors/closed", "/docs/style.css"):
        assert server.post(path).headers["Allow"] == "GET, HEAD"


def test_a_foreign_page_cannot_read_them(server):
    problem(server.get("/docs", headers={"Origin": "https://evil.example"}), 403, "origin_not_allowed")
    problem(server.get("/openapi.json", headers={"Host": "evil.example"}), 403, "origin_not_allowed")
    assert server.get("/livez", headers={"Origin": "https://evil.example"}).status_code == 200


def test_head_is_get_without_a_body(server):
    server.submit({"gid": "g", "mode": "two_phase", "start": False})
    for path in ("/livez", "/readyz", "/metrics", "/v1/transactions/g", "/v1/transactions/g/outcome", "/transaction/g", "/openapi.json"):
        get, head = server.get(path), server.request("HEAD", path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["Content-Type"] == get.headers["Content-Type"] and int(head.headers["Content-Length"]) > 0
    missing = server.request("HEAD", "/v1/transactions/nobody")
    assert missing.status_code == 404 and missing.content == b""
    assert server.request("HEAD", "/v1/transactions/g/commit").headers["Allow"] == "POST"
    assert server.request("POST", "/v1/transactions/g").headers["Allow"] == "GET, HEAD, DELETE"
