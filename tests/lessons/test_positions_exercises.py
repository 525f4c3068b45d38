"""What the cards of lesson 04 say."""

import torch

from gpt2course import checks
from gpt2course.checks.card import Card
from gpt2course.embedding import sinusoidal_positions


def test_the_target_shows_token_and_position_in_every_number():
    def embed(idx, wte, wpe, start=0):
        raise NotImplementedError("your turn")

    message = checks.run("embed", embed).message
    assert "id 2 at 3  32.00  32.10  32.20" in message
    assert "start=0" in message


def test_a_start_without_a_default_is_told_what_is_missing():
    def embed(idx, wte, wpe, start):
        return wte[idx] + wpe[start : start + idx.shape[1]]

    result = checks.run("embed", embed)
    assert result.status == "error"
    assert result.case.label == "without start the first token is at position 0"
    assert "missing 1 required positional argument: 'start'" in result.finding


def test_an_answer_that_knows_no_start_sees_both_signatures():
    finding = checks.run("embed", lambda idx, wte, wpe: wte[idx] + wpe[: idx.shape[1]]).finding
    assert "called with (idx, wte, wpe, start); yours takes (idx, wte, wpe)" in finding


def test_unknown_mistakes_get_the_properties_that_fail():
    def embed(idx, wte, wpe, start=0):
        return wte[idx] - wpe[start : start + idx.shape[1]]

    held = dict(checks.run("embed", embed).properties)
    assert held["two tokens at one position differ as their rows of wte do"]
    assert not held["without the token's row, the row of the position is left"]

    def minus_sines(n_ctx, n_embd):
        return sinusoidal_positions(n_ctx, n_embd) * torch.tensor([-1.0, 1.0]).repeat(n_embd // 2)

    held = dict(checks.run("sinusoidal_positions", minus_sines).properties)
    assert held["in every pair of columns, sine² + cosine² is 1"]
    assert not held["column 0 is the sine of the position, column 1 its cosine"]


def test_the_card_of_the_table_has_its_positions_beside_the_rows():
    def halves(n_ctx, n_embd):
        table = sinusoidal_positions(n_ctx, n_embd)
        return torch.cat([table[:, 0::2], table[:, 1::2]], dim=-1)

    html = Card(checks.run("sinusoidal_positions", halves), "")._repr_html_()
    assert "puts all sines first" in html and ">position 2</text>" in html
