"""The check of lesson 00: right answers that pass, wrong ones that do not, what they are told."""

import copy
from collections import deque
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from gpt2course import checks

# Right answers that the check does not list.


def sliced(ids):
    return ids[:-1], ids[1:]


def sliced_with_names(ids: list[int]) -> tuple[list[int], list[int]]:
    inputs = ids[:-1]
    targets = ids[1:]
    return inputs, targets


def a_while_loop(ids):
    inputs, targets, i = [], [], 0
    while i + 1 < len(ids):
        inputs += [ids[i]]
        targets += [ids[i + 1]]
        i += 1
    return inputs, targets


def comprehensions(ids):
    n = len(ids)
    return [ids[i] for i in range(n - 1)], [ids[i] for i in range(1, n)]


def islices(ids):
    return list(islice(ids, max(0, len(ids) - 1))), list(islice(ids, 1, None))


def unzipped(ids):
    if len(ids) < 2:
        return [], []
    inputs, targets = zip(*pairwise(ids), strict=True)
    return list(inputs), list(targets)


def a_deque(ids):
    left, right = deque(ids), deque(ids)
    if ids:
        left.pop()
        right.popleft()
    return list(left), list(right)


def through_torch(ids):
    idx = torch.tensor(ids, dtype=torch.int64)
    return idx[:-1].tolist(), idx[1:].tolist()


def with_a_window(ids):
    before, inputs, targets = None, [], []
    for place, token_id in enumerate(ids):
        if place:
            inputs.append(before)
            targets.append(token_id)
        before = token_id
    return inputs, targets


def turned_round_and_back(ids):
    backwards = ids[::-1]
    return backwards[1:][::-1], backwards[:-1][::-1]


def filtered_by_place(ids):
    places = list(enumerate(ids))
    last = len(ids) - 1
    return [i for p, i in places if p != last], [i for p, i in places if p != 0]


def the_input_itself_where_there_is_nothing(ids):
    return (ids, ids) if not ids else (ids[:-1], ids[1:])


RIGHT = [
    sliced, sliced_with_names, a_while_loop, comprehensions, islices, unzipped, a_deque,
    through_torch, with_a_window, turned_round_and_back, filtered_by_place,
    the_input_itself_where_there_is_nothing,
]  # fmt: skip


@pytest.mark.parametrize("answer", RIGHT, ids=lambda f: f.__name__)
def test_right_answers_pass(answer):
    result = checks.run("shift_targets", answer)
    assert result.passed, result.message


# Wrong answers: the mistake that should be named, or None where any word but "passed" will do.


def later_first(ids):
    targets, inputs = ids[:-1], ids[1:]
    return inputs, targets


def same_slice_by_loop(ids):
    inputs, targets = [], []
    for i in range(len(ids) - 1):
        inputs.append(ids[i])
        targets.append(ids[i])
    return inputs, targets


def nothing_left_out(ids):
    return list(ids), list(ids)


def whole_text_as_inputs(ids):
    return list(ids), [ids[i] for i in range(1, len(ids))]


def whole_text_as_targets(ids):
    return [ids[i] for i in range(len(ids) - 1)], list(ids)


def two_later(ids):
    n = len(ids)
    return [ids[i] for i in range(n - 2)], [ids[i] for i in range(2, n)]


def one_added(ids):
    inputs = ids[:-1]
    return inputs, [token_id + 1 for token_id in inputs]


def a_ring(ids):
    n = len(ids)
    return [ids[i] for i in range(n)], [ids[(i + 1) % n] for i in range(n)]


def tuples_in_a_list(ids):
    return [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]


def a_list_of_two(ids):
    pair = []
    pair.append(ids[:-1])
    pair.append(ids[1:])
    return pair


def tuples(ids):
    return tuple(i for i in ids[:-1]), tuple(i for i in ids[1:])


def targets_alone(ids):
    _, targets = ids[:-1], ids[1:]
    return targets


def the_last_alone(ids):
    return ids[: len(ids) - 1], ids[len(ids) - 1 :]


def halves(ids):
    middle = len(ids) // 2
    return ids[:middle], ids[middle:]


def popped(ids):
    later = list(ids[1:])
    del ids[-1:]
    return ids, later


NAMED = [
    (later_first, "swaps inputs and targets"),
    (same_slice_by_loop, "asks each id for itself"),
    (nothing_left_out, "asks each id for itself"),
    (whole_text_as_inputs, "keeps the last id as an input"),
    (whole_text_as_targets, "keeps the first id as a target"),
    (two_later, "shifts by two"),
    (one_added, "adds one to every id"),
    (a_ring, "joins the end to the beginning"),
    (tuples_in_a_list, "gives a list of pairs"),
    (a_list_of_two, "puts the two into a list"),
    (tuples, "gives tuples in a tuple"),
    (targets_alone, "returns the targets alone"),
    (the_last_alone, "asks for the last id alone"),
    (halves, "cuts the text in half"),
    (popped, "changes the ids"),
]


@pytest.mark.parametrize(("answer", "name"), NAMED, ids=lambda x: getattr(x, "__name__", ""))
def test_a_mistake_in_other_code_has_its_name(answer, name):
    assert checks.run("shift_targets", answer).misconception == name


UNLISTED = {
    "nothing comes back": lambda ids: None,
    "only empty lists": lambda ids: ([], []),
    "the ids sorted": lambda ids: (sorted(ids)[:-1], sorted(ids)[1:]),
    "repeated ids left out": lambda ids: (list(dict.fromkeys(ids))[:-1], ids[1:]),
    "the text backwards": lambda ids: (ids[::-1][:-1], ids[::-1][1:]),
    "a dict": lambda ids: {"inputs": ids[:-1], "targets": ids[1:]},
    "arrays": lambda ids: (np.array(ids[:-1]), np.array(ids[1:])),
    "tensors": lambda ids: (torch.tensor(ids[:-1]), torch.tensor(ids[1:])),
    "ids as text": lambda ids: ([str(i) for i in ids[:-1]], [str(i) for i in ids[1:]]),
    "floats": lambda ids: ([float(i) for i in ids[:-1]], [float(i) for i in ids[1:]]),
    "a third list": lambda ids: (ids[:-1], ids[1:], ids),
    "right for three ids alone": lambda ids: (ids[:2], ids[1:3]),
    "both ends off the inputs": lambda ids: (ids[1:-1], ids[2:]),
    "a generator": lambda ids: (part for part in (ids[:-1], ids[1:])),
    "an error for one id": lambda ids: (ids[:-1], ids[1:]) if ids[1] >= 0 else None,
    "a target of -1 at the end": lambda ids: (ids, [*ids[1:], -1]),
    "a zero before the inputs": lambda ids: ([0, *ids[:-1]], ids),
}


@pytest.mark.parametrize("what", UNLISTED)
def test_wrong_answers_that_nobody_listed_do_not_pass(what):
    assert checks.run("shift_targets", UNLISTED[what]).status in ("failed", "error")


def test_the_argument_is_never_changed_by_a_right_answer():
    ids = [5, 6, 9]
    before = copy.copy(ids)
    assert checks.find("shift_targets").reference(ids) == ([5, 6], [6, 9])
    assert ids == before


def test_the_card_of_the_untouched_stub_shows_both_lists():
    def shift_targets(ids):
        raise NotImplementedError("your turn")

    result = checks.run("shift_targets", shift_targets)
    assert result.status == "not_started"
    assert "shift_targets(ids=[5, 6, 9])" in result.message
    assert "expected  ([5, 6], [6, 9])" in result.message


def test_the_card_of_a_swap_says_what_comes_after_what():
    message = checks.run("shift_targets", later_first).message
    assert "swaps inputs and targets" in message and "comes after it in the text" in message
    assert "yours     ([6, 9], [5, 6])" in message
