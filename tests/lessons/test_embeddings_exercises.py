"""What lesson 03's cards say, and choices that its checks leave free."""

import math
import re

import pytest
import torch
import torch.nn.functional as F

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.card import Card


def a_new_random_table(idx, wte):
    V, C = wte.shape
    table = torch.nn.Embedding(V, C)
    return table(idx)


def only_its_own_length(token_id, wte, k):
    dot = wte @ (wte[token_id] / wte[token_id].norm())
    dot[token_id] = -math.inf
    return dot.topk(k).indices.tolist()


@pytest.mark.parametrize("exercise", ["embed_tokens", "nearest_tokens"])
def test_a_right_answer_is_checked_in_a_tenth_of_a_second(exercise):
    reference = engine.find(exercise).reference
    checks.run(exercise, reference)
    assert min(checks.run(exercise, reference).seconds for _ in range(3)) < 0.1


def test_the_target_shows_from_which_row_and_column_each_number_comes():
    def embed_tokens(idx, wte):
        raise NotImplementedError("your turn")

    message = checks.run("embed_tokens", embed_tokens).message
    assert re.findall(r"id (\d) +(\d\.\d0)  (\d\.\d0)", message) == [
        ("2", "2.00", "2.10"), ("0", "0.00", "0.10"), ("2", "2.00", "2.10"),
    ]  # fmt: skip


def test_the_card_of_neighbours_shows_both_lists_and_folds_the_table():
    result = checks.run("nearest_tokens", only_its_own_length)
    assert "expected  [4, 3, 2]" in result.message and "yours     [3, 2, 5]" in result.message
    assert "Divide each row by its own length" in result.message
    assert "the input" in Card(result, "")._repr_html_()


def test_equal_neighbours_may_come_in_any_order_and_only_they():
    def swapped(token_id, wte, k):
        found = engine.find("nearest_tokens").reference(token_id, wte, k)
        return [found[1], found[0], *found[2:]] if len(found) > 1 else found

    result = checks.run("nearest_tokens", swapped)
    assert result.status == "failed"
    assert ("the first has the largest cosine, the last the smallest", False) in result.properties


@pytest.mark.parametrize("choice", range(3))
def test_of_equal_cosines_any_may_be_chosen(choice):
    def chosen(token_id, wte, k):
        cosine = F.cosine_similarity(wte.double(), wte[token_id].double(), dim=-1).tolist()
        ids = [i for i in range(len(wte)) if i != token_id]
        return sorted(ids[choice:] + ids[:choice], key=lambda i: -cosine[i])[:k]

    assert checks.run("nearest_tokens", chosen).status == "passed"


def test_random_numbers_are_seen_in_the_properties():
    def numbers_between_0_and_1(idx, wte):
        return torch.rand(*idx.shape, wte.shape[1], dtype=wte.dtype)

    held = dict(checks.run("embed_tokens", numbers_between_0_and_1).properties)
    assert not held["every vector is a row of the table"]


def test_ids_that_lost_their_upper_half_are_seen_in_the_properties():
    result = checks.run("embed_tokens", lambda idx, wte: wte[idx.to(torch.int16).long()])
    held = dict(result.properties)
    assert held["equal ids have equal vectors"]
    assert not held["id 50,256 gets row 50,256, and id 0 row 0"]


@pytest.mark.parametrize("repeat", [1, 2])
def test_too_many_ids_are_said_to_come_twice_only_where_they_do(repeat):
    result = checks.run("nearest_tokens", lambda token_id, wte, k: [2, 3, 1, 5] * repeat)
    assert dict(result.properties)["no id comes twice"] is (repeat == 1)


def test_a_new_random_table_is_named_whatever_was_drawn_before():
    for seed in (1, 2):
        torch.manual_seed(seed)
        result = checks.run("embed_tokens", a_new_random_table)
        assert result.misconception == "looks up in a new random table" and result.throughout


def test_the_check_leaves_the_caller_the_luck_that_it_had():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    checks.run("embed_tokens", a_new_random_table)
    assert torch.equal(torch.rand(2), wanted)
