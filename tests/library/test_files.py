"""Files: whole or not at all, and nothing left of writers that were killed."""

import doctest
import os
import subprocess
import sys
import time

import pytest

from gpt2course.files import printable, write_whole

# Killed by itself between the write and the rename.
KILLED = """
import os, signal, sys
from pathlib import Path
from gpt2course.files import printable, write_whole
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
write_whole(Path(sys.argv[1]), bytes(1000))
"""


@pytest.fixture
def left(tmp_path):
    """What a killed writer of `saved` left."""
    path = tmp_path / "saved"
    write_whole(path, b"old")
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.stat().st_size == 1000 and path.read_bytes() == b"old"
    return left


def test_what_a_killed_writer_left_is_removed_by_a_later_one(tmp_path, left):
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    others = [tmp_path / ".other-abcd1234.tmp", tmp_path / ".saved-by-somebody.tmp"]
    for other in others:
        other.write_text("not of this file")
        os.utime(other, (an_hour_ago, an_hour_ago))
    write_whole(tmp_path / "saved", b"n", memoryview(b"ew"))
    assert set(tmp_path.iterdir()) == {tmp_path / "saved", *others}
    assert (tmp_path / "saved").read_bytes() == b"new"


def test_what_may_still_be_written_is_left_alone(tmp_path, left):
    write_whole(tmp_path / "saved", b"new")
    assert left.exists()


def test_a_stale_file_that_cannot_be_removed_stops_no_writer(tmp_path, left, monkeypatch):
    unlink = type(left).unlink

    def refuse(path, **kwargs):
        if path == left:
            raise PermissionError(13, "it is somebody else's")
        unlink(path, **kwargs)

    os.utime(left, (0, 0))
    monkeypatch.setattr(type(left), "unlink", refuse)
    write_whole(tmp_path / "saved", b"new")
    assert left.exists() and (tmp_path / "saved").read_bytes() == b"new"


def test_a_text_is_printable_with_all_that_is_none_written_out():
    assert doctest.testmod(sys.modules[printable.__module__]).attempted == 1
    everything = "".join(map(chr, range(0x3000)))
    assert printable(everything).replace("\n", "").isprintable()
    assert printable("größer\n机器人 🤖") == "größer\n机器人 🤖"
