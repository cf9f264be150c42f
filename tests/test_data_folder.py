"""What a data folder may hold when a server is started in it, and what a start that is refused leaves behind: nothing."""

import pathlib
import sqlite3

import pytest

import harness
from harness import run_unanim


def start(data):
    return run_unanim("serve", "--data-dir", data, "--listen", f"127.0.0.1:{harness.free_port()}")


def everything(folder):
    """Each file with its content and the time of its last change."""
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
            for path in pathlib.Path(folder).rglob("*")}


def sqlite(path, *statements):
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def another_program(path):
    sqlite(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")


def another_program_with_an_id(path):
    sqlite(path, "PRAGMA application_id = 252006674", "CREATE TABLE theirs (x)")


def another_program_with_a_log(path):
    sqlite(path, "PRAGMA journal_mode = WAL", "CREATE TABLE theirs (x)")


def a_newer_program(path):
    sqlite(path, "PRAGMA application_id = 1433297262", "PRAGMA user_version = 1000", "CREATE TABLE meta (x)")


def no_database(path):
    path.write_text("notes of somebody, in a file of that name\n" * 10)


def a_short_file(path):
    path.write_bytes(b"SQLite format 3\0 and no more")


@pytest.mark.parametrize(("make", "said"), [
    (another_program, "another program"), (another_program_with_an_id, "another program"),
    (another_program_with_a_log, "another program"), (a_newer_program, "newer program"),
    (no_database, "corrupt"), (a_short_file, "corrupt"),
])
def test_a_start_in_a_folder_of_something_else_leaves_it_as_it_was(tmp_path, make, said):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "notes.txt").write_text("theirs")
    make(folder / "unanim.db")
    before = everything(folder)
    code, out, err = start(folder)
    assert code == 1 and said in err.splitlines()[-1], err
    assert everything(folder) == before


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("theirs")
    code, out, err = start(file)
    assert code == 1 and "--data-dir" in err.splitlines()[-1], err
    assert file.read_text() == "theirs" and [path.name for path in tmp_path.iterdir()] == ["file"]
