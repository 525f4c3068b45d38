"""The checks of lesson 07, on answers that they do not list."""

import torch
from torch import nn

from gpt2course import checks
from gpt2course.attention import masked_attention
from gpt2course.checks import engine
from gpt2course.multihead import merge_heads, split_heads

# split_heads


def test_heads_in_reverse_order_are_told_what_holds_and_what_does_not():
    message = checks.run("split_heads", lambda x, n: split_heads(x, n).flip(1)).message
    assert "✓ holds: every number of x is there once" in message
    assert "✗ does not hold: the first head holds the first hs columns" in message


def test_the_target_of_split_heads_can_be_followed_by_hand():
    def split_heads(x, n_head):
        raise NotImplementedError("your turn")

    message = checks.run("split_heads", split_heads).message
    assert " robot  11.00  12.00  13.00\n  must  21.00  22.00  23.00" in message


# merge_heads


# CausalSelfAttention


class Plain(nn.Module):
    """A right answer in steps of its own, which the wrong ones below change."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head, self.n_embd = n_head, n_embd
        self.c_attn = nn.Linear(n_embd, n_embd * 3)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def heads(self, x):
        q, k, v = torch.split(self.c_attn(x), self.n_embd, dim=-1)
        return tuple(split_heads(part, self.n_head) for part in (q, k, v))

    def forward(self, x):
        return self.c_proj(merge_heads(masked_attention(*self.heads(x))))


def module_with(attend):
    """A class that differs from Plain in what it makes of its heads: attend(q, k, v)."""

    class CausalSelfAttention(Plain):
        def forward(self, x):
            return self.c_proj(merge_heads(attend(*self.heads(x))))

    return CausalSelfAttention


def module_with_layers(**layers):
    """A class with layers of these names, each from (n_in, n_out) in units of n_embd."""

    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            for name, (n_in, n_out) in layers.items():
                setattr(self, name, nn.Linear(n_in * n_embd, n_out * n_embd))

        def forward(self, x):
            return x

    return CausalSelfAttention


class ChangesItsWeights(Plain):
    def forward(self, x):
        y = super().forward(x)
        self.c_proj.weight.data *= 1.01
        return y


def test_a_module_with_other_names_is_still_asked_for_its_properties():
    properties = checks.run(
        "CausalSelfAttention", module_with_layers(first=(1, 3), second=(1, 1))
    ).properties
    held = dict(properties)
    assert held["all numbers are finite"] and held["the result has the shape of x"]
    assert not held["earlier words do change a later result"]


def test_layers_of_the_notebook_in_place_of_its_own_break_no_other_claim():
    c_attn, c_proj = nn.Linear(6, 18), nn.Linear(6, 6)

    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.n_head = n_head
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def forward(self, x):
            q, k, v = (split_heads(part, self.n_head) for part in c_attn(x).chunk(3, dim=-1))
            return c_proj(merge_heads(masked_attention(q, k, v)))

    result = engine.run("CausalSelfAttention", CausalSelfAttention)
    broken = [claim for claim, holds in result.properties if not holds]
    assert result.misconception is None
    assert broken == ["it works for any number of columns and heads"]


def test_weights_that_do_not_sum_to_1_show_in_a_property():
    def attend(q, k, v):
        return 0.5 * masked_attention(q, k, v) + 0.1 * v.cumsum(-2)

    held = dict(checks.run("CausalSelfAttention", module_with(attend)).properties)
    assert not held["where all words are alike, so are the results"]
    assert held["later words do not change an earlier result"]


def test_what_is_kept_from_the_first_call_shows_in_the_second():
    result = checks.run("CausalSelfAttention", ChangesItsWeights)
    assert result.case.label == "a second call, with the first two words alone"
    assert ("a second call knows nothing of the first", False) in result.properties


def test_an_untouched_class_shows_the_parameters_that_are_wanted():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.status == "not_started"
    assert "'c_attn.weight': (18, 6)" in result.message


def test_a_misspelt_forward_is_named():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def foward(self, x):
            return self.c_proj(self.c_attn(x))

    assert checks.run("CausalSelfAttention", CausalSelfAttention).misconception == "has no forward"


def test_a_class_with_its_layers_and_no_forward_yet_shows_the_learners_line():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def forward(self, x):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert (result.status, result.misconception) == ("error", None)
    assert 'raise NotImplementedError("your turn")' in result.message
