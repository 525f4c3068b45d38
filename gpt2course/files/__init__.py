"""Files: written whole, found by the name of a model, and fetched from the hub."""

from gpt2course.files.find import (
    CONFIG,
    COURSE_FOLDER,
    COURSE_MODEL,
    HUB_OWNER,
    Place,
    fetch,
    find,
    read_json,
)
from gpt2course.files.text import printable
from gpt2course.files.whole import write_whole

__all__ = [
    "CONFIG",
    "COURSE_FOLDER",
    "COURSE_MODEL",
    "HUB_OWNER",
    "Place",
    "fetch",
    "find",
    "printable",
    "read_json",
    "write_whole",
]
