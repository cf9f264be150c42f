"""Every command in README.md and docs/ works as it stands there (the convention: docs_runner.py), and so does the runner."""

import re
import socket

import pytest

import docs_runner
import harness
from docs_runner import Reader, blocks, complaints, documents, steps_of_test

# The addresses that the documents use, since a reader's are free as well.
PORTS = (8080, 5001, 5002)


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(harness.ROOT)))
def test_every_command_of_the_page_works(page, tmp_path):
    text = page.read_text()
    assert complaints(page.name, text, steps_of_test()) == []
    if not any(block.marker for block in blocks(text)):
        return
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    Reader(tmp_path).read(page.name, text)


def test_the_readme_is_there_and_says_how_to_start():
    text = (harness.ROOT / "README.md").read_text()
    markers = [block.marker for block in blocks(text) if block.language == "sh"]
    assert any(marker.startswith("run") for marker in markers) and any(marker.startswith("serve") for marker in markers), markers
    assert "cargo run --release -- demo" in text and "./test" in text


def prose(page):
    """A page without its blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.S | re.M)


def anchors(page):
    """The headings of a page, as mdBook and GitHub name them in links."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(harness.ROOT)))
def test_links_lead_to_pages_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def gids(page):
    return set(re.findall(r'"gid": "([^"]+)"', (harness.ROOT / page).read_text()))


def test_who_goes_on_from_the_readme_to_the_tutorial_need_not_start_afresh():
    assert gids("README.md") and gids("docs/tutorial.md") and not gids("README.md") & gids("docs/tutorial.md")


PAGE = """
# A page

<!-- test: run -->

```sh
echo one
```
~~~text
```sh
inside another fence
```
~~~
1. in a list
   <!-- test: file a/b.py -->
   ```python
   if True:
       print("hello")
   ```
<!-- test: run -->
Some words between.
```sh
echo unmarked
```
"""


def test_blocks_and_markers():
    found = [(block.language, block.marker, block.text) for block in blocks(PAGE)]
    assert found == [
        ("sh", "run", "echo one\n"),
        ("text", None, "```sh\ninside another fence\n```\n"),
        ("python", "file a/b.py", 'if True:\n    print("hello")\n'),
        ("sh", None, "echo unmarked\n"),
    ]


def fenced(language, marker, text="true\n"):
    return f"<!-- test: {marker} -->\n```{language}\n{text}```\n"


BAD_PAGES = [
    PAGE, "```sh\ntrue\n```\n", "```bash\ntrue\n```\n", "```console\n$ true\n```\n", fenced("bash", "run"), fenced("sh", "runs"), fenced("sh", "run twice"),
    fenced("sh", "step nothing-there"), fenced("sh", "file ../x"), fenced("sh", "not here:"), fenced("sh", ""),
]


@pytest.mark.parametrize("page", BAD_PAGES)
def test_a_bad_page_is_seen(page):
    assert len(complaints("page.md", page, ["demo"])) == 1


@pytest.mark.parametrize("marker", ["run", "run exit=2", "serve", "step demo", "file x", "output", "not here: it needs a cluster"])
def test_a_good_marker(marker):
    assert complaints("page.md", fenced("sh", marker), ["demo"]) == []


def test_a_fence_that_is_not_closed():
    with pytest.raises(AssertionError):
        blocks("```sh\ntrue\n")


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader whose `unanim` is `echo`."""
    monkeypatch.setenv("UNANIM_BIN", "/bin/echo")
    return Reader(tmp_path)


def test_a_block_that_fails_is_seen(reader):
    for text in ("false\ntrue\n", "false | true\n", "echo $nothing_like_this\n", "no-such-command\n", "cargo test\n"):
        with pytest.raises(AssertionError):
            reader.read("page.md", fenced("sh", "run", text))
    reader.read("page.md", fenced("sh", "run exit=3", "exit 3\n"))
    with pytest.raises(AssertionError):
        reader.read("page.md", fenced("sh", "run exit=3", "exit 0\n"))


def test_what_a_reader_does(reader):
    reader.read("page.md", fenced("text", "file a/b.txt", "hello\n") + fenced("sh", "run", "cat a/b.txt; cargo run --release -- serve x\n"))
    assert reader.last_output == "hello\nserve x\n"
    reader.read("page.md", fenced("text", "output", "hel…serve …\n"))
    with pytest.raises(AssertionError):
        reader.read("page.md", fenced("text", "output", "goodbye\n"))
    reader.read("page.md", fenced("sh", "run", "unanim a\ntarget/release/unanim b\n"))
    assert reader.last_output == "a\nb\n"
    serve = fenced("sh", "serve", "echo listening on it; sleep 1000 &\n")
    reader.read("page.md", serve)
    assert any(isinstance(p, docs_runner.Background) and p.running() for p in harness._started)
