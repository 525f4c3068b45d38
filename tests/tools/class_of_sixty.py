"""A class's hand-ins, made from right answers and known mistakes by a seeded script."""

import json
import random
import zipfile
from pathlib import Path

from gpt2course.checks import engine

ROOT = Path(__file__).resolve().parents[2]


def make_class(folder: Path, lessons: list[str], students: int, seed: int = 0) -> dict:
    """Write the hand-ins; returns the truth: (student, exercise) to (status, mistake)."""
    dice, truth = random.Random(seed), {}
    for number in range(students):
        student = f"student{number:02}"
        notebooks = {}
        for lesson in lessons:
            notebook = json.loads((ROOT / "lessons" / f"{lesson}.ipynb").read_text("utf-8"))
            for cell in notebook["cells"]:
                about = cell["metadata"].get("nbgrader", {})
                name = about.get("grade_id", "").removeprefix("exercise-")
                if name in engine.names(lesson):
                    source, truth[student, name] = _answer(dice, name, "".join(cell["source"]))
                    cell["source"] = source
            notebooks[f"{lesson}.ipynb"] = json.dumps(notebook)
        _write(folder, student, notebooks, as_zip=number % 3 == 0)
    return truth


def _answer(dice: random.Random, name: str, stub: str) -> tuple[str, tuple[str, str]]:
    exercise, chance = engine.find(name), dice.random()
    if chance < 0.1:
        return stub, ("not_started", "")
    if chance < 0.6:
        return dice.choice(exercise.right_answers).source, ("passed", "")
    mistake = dice.choice(exercise.mistakes)
    return dice.choice(mistake.ways), ("wrong", mistake.name)


def _write(folder: Path, student: str, notebooks: dict[str, str], as_zip: bool) -> None:
    if as_zip:
        with zipfile.ZipFile(folder / f"{student}.zip", "w") as archive:
            for name, text in notebooks.items():
                archive.writestr(f"my lessons/{name}", text)
    else:
        (folder / student).mkdir()
        for name, text in notebooks.items():
            (folder / student / name).write_text(text, "utf-8")
