"""The exercise of lesson 00: shift_targets."""

from __future__ import annotations

from itertools import pairwise

from gpt2course import bigram
from gpt2course.checks.exercise import Case, Exercise, Property

SEVEN = [31, 4, 15, 92, 6, 53, 58]

shift_targets = Exercise(
    bigram.shift_targets,
    lesson="00_welcome",
    cases=[
        Case("three ids", ([5, 6, 9],)),
        Case("two ids", ([8, 3],)),
        Case("the same id twice", ([4, 4, 1, 4],)),
        Case("seven ids", (SEVEN,)),
        Case("one id: nothing to predict", ([7],)),
        Case("no id", ([],)),
        Case("a thousand ids", ([i * i % 257 for i in range(1000)],)),
    ],
    properties=[
        Property(
            "the result is a tuple of two lists",
            lambda f: (
                isinstance(f([5, 6, 9]), tuple) and list(map(type, f([5, 6, 9]))) == [list] * 2
            ),
            of_result=lambda got, ids: list(map(type, got)) == [list, list],
        ),
        Property(
            "there are as many targets as inputs",
            lambda f: len(f(list(SEVEN))[0]) == len(f(list(SEVEN))[1]),
            of_result=lambda got, ids: len(got[0]) == len(got[1]),
        ),
        Property(
            "n ids give n - 1 inputs",
            lambda f: len(f(list(SEVEN))[0]) == 6,
            of_result=lambda got, ids: len(got[0]) == max(0, len(ids) - 1),
        ),
        Property(
            "each target stands right after its input in the text",
            lambda f: list(zip(*f(list(SEVEN)), strict=True)) == list(pairwise(SEVEN)),
            of_result=lambda got, ids: list(zip(*got, strict=True)) == list(pairwise(ids)),
        ),
    ],
)


@shift_targets.misconception(
    "Inputs and targets have changed places. The inputs come first in the result, and the target "
    "of an input is the id that comes after it in the text."
)
def swaps_inputs_and_targets(ids):
    return ids[1:], ids[:-1]


@shift_targets.misconception(
    "Inputs and targets are the same: each id would have to predict itself, which it can read off. "
    "The targets begin one id later."
)
def asks_each_id_for_itself(ids):
    return ids[:-1], ids[:-1]


@shift_targets.variant(asks_each_id_for_itself)
def asks_all_ids_for_themselves(ids):
    return ids, ids


@shift_targets.variant(asks_each_id_for_itself)
def asks_each_later_id_for_itself(ids):
    return ids[1:], ids[1:]


@shift_targets.misconception(
    "The inputs are the whole text. What follows its last id is not known, so that one has no "
    "target and has to go: `ids[:-1]`."
)
def keeps_the_last_id_as_an_input(ids):
    return ids, ids[1:]


@shift_targets.misconception(
    "The targets are the whole text. Its first id comes after nothing, so it is nobody's target: "
    "`ids[1:]`."
)
def keeps_the_first_id_as_a_target(ids):
    return ids[:-1], ids


@shift_targets.misconception(
    "The targets are two places later than the inputs. The id that comes next is one place later."
)
def shifts_by_two(ids):
    return ids[:-2], ids[2:]


@shift_targets.misconception(
    "1 was added to every id. What is shifted is the place in the text and not the number: the "
    "targets are ids of this text."
)
def adds_one_to_every_id(ids):
    return ids[:-1], [i + 1 for i in ids[:-1]]


@shift_targets.variant(adds_one_to_every_id)
def adds_one_to_all_ids(ids):
    return ids, [i + 1 for i in ids]


@shift_targets.misconception(
    "The text was closed into a ring: the first id became the target of the last one. What follows "
    "the last id is not known."
)
def joins_the_end_to_the_beginning(ids):
    return ids, ids[1:] + ids[:1]


@shift_targets.misconception(
    "This is a list of pairs, input and target together. The values are right; two separate lists "
    "are asked for, all inputs and all targets, in a tuple."
)
def gives_a_list_of_pairs(ids):
    return list(pairwise(ids))


@shift_targets.misconception(
    "The two lists are right, but they stand in a list. A tuple is asked for: `return inputs, "
    "targets`, with a comma and no brackets."
)
def puts_the_two_into_a_list(ids):
    return [ids[:-1], ids[1:]]


@shift_targets.misconception(
    "Inputs and targets are tuples themselves. Lists are asked for: `list(…)` makes one."
)
def gives_tuples_in_a_tuple(ids):
    return tuple(ids[:-1]), tuple(ids[1:])


@shift_targets.misconception(
    "Only the targets came back. Two lists are asked for: `return inputs, targets`."
)
def returns_the_targets_alone(ids):
    return ids[1:]


@shift_targets.misconception(
    "Only the inputs came back. Two lists are asked for: `return inputs, targets`."
)
def returns_the_inputs_alone(ids):
    return ids[:-1]


@shift_targets.misconception(
    "Only the last id became a target. Every id has a next one, apart from the last: one text asks "
    "as many questions as it has ids, less one."
)
def asks_for_the_last_id_alone(ids):
    return ids[:-1], ids[-1:]


@shift_targets.variant(asks_for_the_last_id_alone)
def asks_for_the_last_id_as_a_number(ids):
    return (ids[:-1], ids[-1]) if ids else ([], [])


@shift_targets.variant(asks_for_the_last_id_alone)
def asks_for_the_last_id_as_a_number_always(ids):
    return ids[:-1], ids[-1]


@shift_targets.misconception(
    "Only the first id became an input: `ids[:1]` ends after one, and `ids[0]` is one. All but the "
    "last is `ids[:-1]`, with a minus."
)
def takes_the_first_id_alone(ids):
    return ids[:1], ids[1:]


@shift_targets.variant(takes_the_first_id_alone)
def takes_the_first_id_as_a_number(ids):
    return ids[0], ids[1:]


@shift_targets.misconception(
    "The text was cut in the middle: first half and second half. Inputs and targets overlap; they "
    "are the same text, shifted by one place."
)
def cuts_the_text_in_half(ids):
    return ids[: len(ids) // 2], ids[len(ids) // 2 :]


@shift_targets.misconception(
    "The ids were taken in turns, one as an input and one as a target. Every id but the last is an "
    "input, and every id but the first is a target."
)
def takes_the_ids_in_turns(ids):
    return ids[::2], ids[1::2]


@shift_targets.misconception(
    "The list that came in is not what it was before: `pop`, `remove` and `del` change it, and "
    "whoever called still needs it. A slice such as `ids[:-1]` leaves it alone."
)
def changes_the_ids(ids):
    targets = ids[1:]
    if ids:
        ids.pop()
    return ids, targets


@shift_targets.also_right
def a_loop_over_the_positions(ids):
    inputs, targets = [], []
    for i in range(len(ids) - 1):
        inputs.append(ids[i])
        targets.append(ids[i + 1])
    return inputs, targets


@shift_targets.also_right
def pairs_taken_apart(ids):
    pairs = list(zip(ids, ids[1:], strict=False))
    return [now for now, _ in pairs], [later for _, later in pairs]


@shift_targets.also_right
def two_copies_with_one_end_off_each(ids):
    inputs, targets = list(ids), list(ids)
    if ids:
        inputs.pop()
        targets.pop(0)
    return inputs, targets


@shift_targets.also_right
def slices_with_the_length(ids):
    n = max(len(ids) - 1, 0)
    return ids[:n], ids[1 : n + 1]


@shift_targets.also_right
def with_a_generator(ids):
    rest = iter(ids)
    next(rest, None)
    targets = list(rest)
    return ids[: len(targets)], targets


EXERCISES = [shift_targets]
