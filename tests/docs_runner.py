"""Finds the shell blocks of README.md and docs/ and runs them, so that no page tells a reader to type what does not work.

Every block that is fenced as ```sh must say how it is tested, in an HTML comment on the line above it (blank lines
between are fine). Other names for shell (bash, shell, console, …) are an error: there is one name, so that none escapes.

    <!-- test: run -->             bash runs the block; it must succeed
    <!-- test: run exit=2 -->      …or end with this code
    <!-- test: serve -->           starts the block in the background, waits until it listens (a line with
                                   `listening on` or `Running on`), and leaves it running until the document ends
    <!-- test: step NAME -->       not run here: it is what the step NAME of ./test does; that step must exist
    <!-- test: file NAME -->       for blocks of any language: the reader saves it as NAME; so does the runner
    <!-- test: output -->          for blocks of any language: what the last `run` printed; `…` stands for anything
    <!-- test: not here: WHY -->   not run (another operating system, another service); WHY is for the reader of the source

All blocks of one document run in order in one scratch folder that looks like the repository after a release build:
`target/release/unanim`, `unanim` and `cargo run --release -- …` are the binary under test, and python is the one that runs
the tests (so Flask is there).
"""

import dataclasses
import os
import pathlib
import re
import shlex
import subprocess
import sys

import harness

SHELLS = ("bash", "shell", "console", "zsh", "shell-session", "sh-session", "terminal")
MARKER = re.compile(r"^\s*<!--\s*test:\s*(.*?)\s*-->\s*$")
FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([\w+-]*)[^`]*$")


@dataclasses.dataclass
class Block:
    line: int
    language: str
    marker: str | None
    text: str


def documents():
    """README.md and every page of the book, and what stands beside them."""
    root = harness.ROOT
    pages = [root / "README.md", root / "CONTRIBUTING.md", root / "ARCHITECTURE.md", *sorted((root / "docs").rglob("*.md"))]
    return [page for page in pages if page.exists() and "book" not in page.relative_to(root).parts]


def blocks(text):
    """The fenced blocks of a page; a marker belongs to the next fence if only blank lines stand between."""
    found, marker, open_block, fence, indent = [], None, None, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if open_block is not None:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                found.append(open_block)
                open_block = None
            else:
                open_block.text += line[min(indent, len(line) - len(line.lstrip())) :] + "\n"
            continue
        if match := FENCE.match(line):
            indent, fence = len(match[1]), match[2]
            open_block = Block(number, match[3].lower(), marker, "")
            marker = None
        elif match := MARKER.match(line):
            marker = match[1]
        elif line.strip():
            marker = None
    assert open_block is None, f"the fence of line {open_block.line} is never closed"
    return found


def complaints(page, text, steps):
    """What is wrong with the markers of a page, before anything runs."""
    wrong = []
    for block in blocks(text):
        where = f"{page}:{block.line}"
        if block.language in SHELLS:
            wrong.append(f"{where}: call it ```sh, and say how it is tested (tests/docs_runner.py)")
        elif block.language == "sh" and block.marker is None:
            wrong.append(f"{where}: a ```sh block without a marker (tests/docs_runner.py)")
        elif block.marker is not None:
            word, _, rest = block.marker.partition(" ")
            known = {"run": not rest or re.fullmatch(r"exit=\d+", rest), "serve": not rest, "step": rest in steps, "output": not rest,
                     "file": rest and not rest.startswith("/") and ".." not in rest, "not": re.match(r"here: \w+", rest)}
            if not known.get(word):
                wrong.append(f"{where}: no such marker, or no such step of ./test: {block.marker}")
    return wrong


def steps_of_test():
    """The names of the steps in ./test."""
    return re.findall(r"^\s*step ([\w-]+)", (harness.ROOT / "test").read_text(), re.M)


class Background(harness.Process):
    """A block that serves."""

    def __init__(self, text, folder, env, number):
        super().__init__(["bash", "-c", text], folder / f"serve-{number}.log", env, cwd=folder)

    def is_ready(self):
        log = self.log()
        # Flask's own server has a line of its own.
        return "listening on " in log or "Running on " in log


class Reader:
    """Types what a document says, in a scratch folder that looks like the repository."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.last_output = ""
        self.served = 0
        unanim = harness.binary()
        for name in subprocess.check_output(["git", "ls-files"], cwd=harness.ROOT, text=True).splitlines():
            top = name.split("/")[0]
            if not (self.folder / top).exists():
                (self.folder / top).symlink_to(harness.ROOT / top)
        release = self.folder / "target/release"
        release.mkdir(parents=True)
        (release / "unanim").symlink_to(unanim)
        tools = self.folder / ".tools"
        tools.mkdir()
        (tools / "unanim").symlink_to(unanim)
        for name in ("python", "python3", "flask", "pip"):
            mine = pathlib.Path(sys.executable).parent / name
            if mine.exists():
                (tools / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(mine))} "$@"\n')
                (tools / name).chmod(0o755)
        cargo = tools / "cargo"
        cargo.write_text(CARGO.format(unanim=shlex.quote(unanim)))
        cargo.chmod(0o755)
        self.env = {"PATH": f"{tools}:{os.environ['PATH']}"}

    def read(self, page, text):
        """Runs a whole page."""
        for block in blocks(text):
            if block.marker:
                self.do(f"{page}:{block.line}", block)

    def do(self, where, block):
        word, _, rest = block.marker.partition(" ")
        if word == "run":
            self.run(where, block.text, int(rest.partition("=")[2] or 0))
        elif word == "serve":
            self.served += 1
            # `exec` or not, the whole process group ends with the page; a trailing & would only hide how it ended.
            text = re.sub(r"\s*&\s*$", "", block.text.rstrip())
            Background(text, self.folder, self.env, self.served).start(30)
        elif word == "file":
            path = self.folder / rest
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.is_symlink(), f"{where}: {rest} is a file of the repository"
            path.write_text(block.text)
        elif word == "output":
            expected = ".*".join(re.escape(piece) for piece in block.text.strip().split("…"))
            assert re.search(expected, self.last_output, re.S), f"{where}: not what was printed:\n{self.last_output}"

    def run(self, where, text, code):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=harness.clean_env(self.env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )
        self.last_output = done.stdout
        assert done.returncode == code, f"{where} ended with {done.returncode}:\n{text}\n{done.stdout[-4000:]}"


CARGO = """#!/bin/sh
# Stands in for cargo in documents: `cargo run --release -- …` is the binary under test, a build is done already.
case "$*" in
  "run --release -- "*) shift 3; exec {unanim} "$@" ;;
  "build --release"*) exit 0 ;;
  *) echo "a document may say 'cargo run --release -- …' or 'cargo build --release', not: cargo $*" >&2; exit 1 ;;
esac
"""
