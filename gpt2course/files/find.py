"""The files of a model by its name: in a folder, in the package, or on the hub."""

import difflib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2course.config import RELEASED

COURSE_MODEL = "course"  # the name of the small trained model that lies inside the package
COURSE_FOLDER = Path(__file__).parents[1] / "course_model"
HUB_OWNER = "openai-community"  # of the four released models
CONFIG = "config.json"


@dataclass(frozen=True)
class Place:
    """Where the files of a model are."""

    path: Path | None = None  # a folder, or a file of weights in it
    repo_id: str = ""  # else the repository on the hub,
    revision: str = "main"  # and there a branch, a tag or a commit

    @property
    def file(self) -> Path | None:
        return self.path if self.path and self.path.is_file() else None

    @property
    def folder(self) -> Path | None:
        return self.file.parent if self.file else self.path


def find(name_or_path: str | os.PathLike[str], revision: str | None = None) -> Place:
    """What a name stands for; `GPT2.from_pretrained` says which there are.

    Raises:
        FileNotFoundError: there is no model of this name.
        ValueError: the name is empty, or a revision is given for what is not on the hub.
    """
    name = os.fspath(name_or_path)
    if not name:
        raise ValueError("a model must have a name, got ''; '.' is the current folder")
    path = Path(os.path.expanduser(name))
    inside = COURSE_FOLDER if name == COURSE_MODEL and not path.exists() else path
    if inside.exists():
        if revision is not None:
            raise ValueError(
                f"revision is for models on the hub, got {revision!r} for {inside}; leave it out"
            )
        return Place(inside)
    if name in RELEASED:
        return Place(repo_id=f"{HUB_OWNER}/{name}", revision=revision or "main")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and path.suffix != ".safetensors":
        return Place(repo_id=name, revision=revision or "main")
    near = difflib.get_close_matches(name, [COURSE_MODEL, *RELEASED], n=1, cutoff=0.4)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise FileNotFoundError(
        f"there is no model {name!r}: {guess}The package has {COURSE_MODEL!r}; the released ones "
        f"are {', '.join(RELEASED)}; else give a folder with {CONFIG} and model.safetensors, or a "
        f".safetensors file"
    )


def fetch(place: Place, names: Sequence[str]) -> list[Path]:
    """The paths of a model's files, fetched from the hub where need be.

    Raises:
        FileNotFoundError: a file is not there. More errors: `files.hub.download`.
    """
    if place.folder is None:
        from gpt2course.files import hub

        try:
            return hub.download(place.repo_id, names, place.revision)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"there is no folder {place.repo_id} here, and {error}"
            ) from None
    paths = [place.folder / name for name in names]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"{path.parent} must hold {path.name}, and does not; is it another folder? Else "
                f"copy the file from where the weights come from"
            )
    return paths


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError where it holds something else."""
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, but is not ({error}); fetch it again") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{path} must hold one JSON object, got {type(fields).__name__}")
    return fields
