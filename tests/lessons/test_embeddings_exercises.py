"""Answers to lesson 03 that its checks do not list: right ones pass, wrong ones do not."""

import re

import math

import numpy as np
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


def numbers_between_0_and_1(idx, wte):
    return torch.rand(*idx.shape, wte.shape[1], dtype=wte.dtype)


def ids_as_short_numbers(idx, wte):
    return wte[idx.to(torch.int16).long()]


def only_its_own_length(token_id, wte, k):
    dot = wte @ (wte[token_id] / wte[token_id].norm())
    dot[token_id] = -math.inf
    return dot.topk(k).indices.tolist()


def numpys_integers(token_id, wte, k):
    cosine = wte.numpy() @ wte[token_id].numpy() / np.linalg.norm(wte.numpy(), axis=1)
    return [i for i in np.argsort(-cosine) if i != token_id][:k]



# The claims


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
    assert "divide each row by its own length" in result.message.lower()
    assert "the input" in Card(result, "")._repr_html_()


def test_equal_neighbours_may_come_in_any_order_and_only_they():
    def swapped(token_id, wte, k):
        found = engine.find("nearest_tokens").reference(token_id, wte, k)
        return [found[1], found[0], *found[2:]] if len(found) > 1 else found

    result = checks.run("nearest_tokens", swapped)
    assert result.status == "failed"
    assert ("the first has the largest cosine, the last the smallest", False) in result.properties


def test_a_random_table_is_seen_in_the_properties():
    held = dict(checks.run("embed_tokens", numbers_between_0_and_1).properties)
    assert held["the shape is (B, T, C): C numbers for each id"]
    assert not held["every vector is a row of the table"]


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


def test_three_ids_are_not_said_to_come_twice_where_one_was_asked_for():
    def always_three_and_itself(token_id, wte, k):
        cosines = F.cosine_similarity(wte, wte[token_id], dim=-1)
        return cosines.topk(min(3, len(wte))).indices.tolist()

    held = dict(checks.run("nearest_tokens", always_three_and_itself).properties)
    assert held["no id comes twice"] and not held["k ids come back"]


@pytest.mark.parametrize("choice", range(3))
def test_of_equal_cosines_any_may_be_chosen(choice):
    def chosen(token_id, wte, k):
        cosine = F.cosine_similarity(wte.double(), wte[token_id].double(), dim=-1).tolist()
        ids = [i for i in range(len(wte)) if i != token_id]
        return sorted(ids[choice:] + ids[:choice], key=lambda i: -cosine[i])[:k]

    assert checks.run("nearest_tokens", chosen).status == "passed"


def test_ids_that_lost_their_upper_half_are_seen_in_the_properties():
    held = dict(checks.run("embed_tokens", ids_as_short_numbers).properties)
    assert not held["every id, small or large, gets the row of its own number"]


def test_numpys_integers_are_told_what_a_plain_number_is():
    result = checks.run("nearest_tokens", numpys_integers)
    assert ("they are plain whole numbers in a list", False) in result.properties
