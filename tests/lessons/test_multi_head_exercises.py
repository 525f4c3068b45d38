"""What the cards of lesson 07 say, beyond the names of mistakes."""

import pytest
from torch import nn

from gpt2course import checks
from gpt2course.attention import masked_attention
from gpt2course.multihead import merge_heads, split_heads


class Plain(nn.Module):
    """A right answer, which the others change."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def attend(self, q, k, v):
        return masked_attention(q, k, v)

    def forward(self, x):
        heads = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        return self.c_proj(merge_heads(self.attend(*heads)))


def test_heads_in_reverse_order_are_told_what_holds_and_what_does_not():
    message = checks.run("split_heads", lambda x, n: split_heads(x, n).flip(1)).message
    assert "✓ holds: every number of x is there once" in message
    assert "✗ does not hold: the first head holds the first hs columns" in message


def test_what_cannot_be_asked_of_a_result_in_another_shape_is_left_out():
    assert checks.run("split_heads", lambda x, n: x.mean(-1)).properties == []


def test_the_target_of_split_heads_can_be_followed_by_hand():
    def split_heads(x, n_head):
        raise NotImplementedError("your turn")

    message = checks.run("split_heads", split_heads).message
    assert " robot  11.00  12.00  13.00\n  must  21.00  22.00  23.00" in message


def test_a_module_with_other_names_is_still_asked_for_its_properties():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.first, self.second = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def forward(self, x):
            return x

    held = dict(checks.run("CausalSelfAttention", CausalSelfAttention).properties)
    assert held["later words do not change an earlier result"]
    assert not held["earlier words do change a later result"]


@pytest.mark.parametrize("layer", ["c_attn", "c_proj"])
def test_layers_of_the_notebook_in_place_of_its_own_are_named(layer):
    class CausalSelfAttention(Plain):
        def forward(self, x):
            own, notebooks = getattr(self, layer), getattr(Plain(6, 2), layer)
            setattr(self, layer, notebooks)  # as if a cell had made it, six columns wide
            y = super().forward(x)
            setattr(self, layer, own)
            return y

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.misconception == "uses the layers of the notebook", result.message


def test_weights_that_do_not_sum_to_1_show_in_a_property():
    class CausalSelfAttention(Plain):
        def attend(self, q, k, v):
            return 0.5 * masked_attention(q, k, v) + 0.1 * v.cumsum(-2)

    held = dict(checks.run("CausalSelfAttention", CausalSelfAttention).properties)
    assert not held["where all words are alike, so are the results"]
    assert held["later words do not change an earlier result"]


def test_what_is_kept_from_the_first_call_shows_in_the_second():
    class CausalSelfAttention(Plain):
        def forward(self, x):
            y = super().forward(x)
            self.c_proj.weight.data *= 1.01
            return y

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.case.label == "a second call, with the first two words alone"


def test_an_untouched_class_shows_the_parameters_that_are_wanted():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.status == "not_started"
    assert "'c_attn.weight': (18, 6)" in result.message


def test_a_misspelt_forward_is_named_with_its_name():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def foward(self, x):
            return self.c_proj(self.c_attn(x))

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.misconception == "has no forward" and "`foward`" in result.why


def test_a_class_with_its_layers_and_no_forward_yet_shows_the_learners_line():
    class CausalSelfAttention(Plain):
        def forward(self, x):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert (result.status, result.misconception) == ("error", None)
    assert 'raise NotImplementedError("your turn")' in result.message
