"""The course as pages, and the model that runs in one of them."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path

from gpt2course.files import COURSE_FOLDER, write_whole

PAGE = Path(__file__).parent / "explorer"
MODEL_FILES = ("config.json", "gpt2course-tokenizer.json", "model.safetensors")


def copy_explorer(folder: str | os.PathLike[str]) -> None:
    """Write the Explorer's page and the course model into a folder, from which it works as it is.

    A page that is opened as a file may fetch nothing, so the model lies there twice: as its files,
    4.3 MB, for a server; and inside a script, 5.8 MB, which is loaded only from a folder.
    """
    folder = Path(folder)
    model = folder / "course_model"
    model.mkdir(parents=True, exist_ok=True)
    for path in sorted(PAGE.iterdir()):
        if path.suffix in (".html", ".css", ".js"):
            shutil.copy(path, folder)
    contents = {name: (COURSE_FOLDER / name).read_bytes() for name in MODEL_FILES}
    for name, content in contents.items():
        write_whole(model / name, content)
    encoded = {name: base64.b64encode(content).decode() for name, content in contents.items()}
    write_whole(model / "files.js", f"const COURSE_FILES = {json.dumps(encoded)};\n".encode())
