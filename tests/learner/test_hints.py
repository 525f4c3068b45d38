"""Hints from the check itself: one more after each refusal, from the second on."""

import json
import re
from pathlib import Path

import pytest
import torch

from gpt2course.checks import engine
from gpt2course.checks.card import Card
from gpt2course.learner import notebook

LESSONS = Path(__file__).resolve().parents[2] / "lessons"


def wrong(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool)


def unwritten(n_query, n_key):
    raise NotImplementedError("your turn")


def right(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)


def offered(capsys, answer, name="causal_mask"):
    notebook.check(answer, name)
    return re.findall(r"^Hint (\d of \d):", capsys.readouterr().out, re.M)


def test_each_refusal_from_the_second_on_brings_the_next_hint_until_there_is_none(capsys):
    hints = [offered(capsys, wrong) for _ in range(5)]
    assert hints == [[], ["1 of 3"], ["2 of 3"], ["3 of 3"], ["3 of 3"]]


def test_an_exercise_that_passes_or_was_not_begun_brings_none(capsys):
    assert [offered(capsys, unwritten) for _ in range(3)] == [[], [], []]
    assert offered(capsys, wrong) == []
    assert offered(capsys, lambda q, k, v: q, "masked_attention") == []  # each has its own count
    assert offered(capsys, wrong) == ["1 of 3"]
    assert offered(capsys, right) == []
    assert offered(capsys, wrong) == []  # it begins again


def test_a_hint_is_folded_in_the_card_and_plain_in_text():
    result = engine.run("causal_mask", wrong)
    card = Card(result, "It travels.", hint=2)
    hint = result.exercise.steps[1]
    assert "<code>i + n_key - n_query</code>" in hint
    assert f'Hint 2 of 3</summary><div style="padding-left:1em">{hint}' in card._repr_html_()
    assert "Hint 2 of 3: Query i is at position i + n_key - n_query. It may" in repr(card)
    assert "Hint" not in repr(Card(result, "")) + Card(result, "")._repr_html_()


@pytest.mark.parametrize("name", engine.names())
def test_every_exercise_has_the_hints_of_its_lesson(name):
    exercise = engine.find(name)
    assert len(exercise.steps) >= 2
    text = "".join(
        "".join(cell["source"])
        for cell in json.loads((LESSONS / f"{exercise.lesson}.ipynb").read_text("utf-8"))["cells"]
    )
    for hint in exercise.steps:
        assert hint in text and "```" not in hint
