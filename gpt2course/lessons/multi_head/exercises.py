"""The exercises of lesson 07: split_heads, merge_heads, CausalSelfAttention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2course import attention, multihead
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import (
    GRADIENTS,
    OUTPUT,
    PARAMETERS,
    ModuleExercise,
    build,
    built_once,
    fill,
    fill_what_fits,
    own_parameters,
)

WORDS = ("robot", "must", "obey", "orders")
# Each number says where it stands: 23 is the third column of the second word.
_NUMBERED = torch.tensor([[[10.0 * t + c for c in range(1, 7)] for t in range(1, 5)]])


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows something else."""
    return lambda got, *args: not isinstance(got, Tensor) or bool(holds(got, *args))


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.flatten().sort().values, other.flatten().sort().values)


split_heads = Exercise(
    multihead.split_heads,
    lesson="07_multi_head",
    cases=[
        Case("the four words, six columns, two heads", (_NUMBERED, 2), rows=WORDS),
        Case("one word, two heads", (normal(1, 1, 6, seed=1), 2)),
        Case("one head keeps everything", (normal(1, 4, 5, seed=2), 1)),
        Case("as many heads as columns", (normal(2, 4, 3, seed=3), 3)),
        Case("a batch of two, three heads", (normal(2, 5, 21, seed=4), 3)),
        Case("a batch of three, seven heads", (normal(3, 2, 28, seed=5), 7)),
        Case("three of everything", (normal(3, 3, 9, seed=6), 3)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 3, 768, seed=7), 12)),
        Case("float64 stays float64", (normal(2, 5, 12, seed=8, dtype=torch.float64), 3)),
        Case(
            "an argument that does not lie in one piece in memory",
            (strided(normal(2, 5, 6, seed=9)), 3),
        ),
        Case(
            "a batch whose sequences lie interleaved in memory",
            (normal(5, 2, 6, seed=10).transpose(0, 1), 2),
        ),
        Case("the gradients reach x", (normal(2, 4, 6, seed=11), 3), gradients=True),
    ],
    properties=[
        Property(
            "the result has the shape (B, nh, T, hs)",
            lambda f: f(normal(2, 5, 21, seed=4), 3).shape == (2, 3, 5, 7),
            of_result=_of_tensor(
                lambda y, x, n: y.shape == (len(x), n, x.shape[1], x.shape[2] // n)
            ),
        ),
        Property(
            "every number of x is there once",
            lambda f: _same_numbers(f(_NUMBERED, 2), _NUMBERED),
            of_result=_of_tensor(lambda y, x, n: _same_numbers(y, x)),
        ),
        Property(
            "row t of every head holds numbers of word t",
            lambda f: _words_keep_their_numbers(f(_NUMBERED, 2), _NUMBERED),
            of_result=_of_tensor(lambda y, x, n: _words_keep_their_numbers(y, x)),
        ),
        Property(
            "the first head holds the first hs columns",
            lambda f: torch.equal(f(_NUMBERED, 2)[:, 0], _NUMBERED[..., :3]),
            of_result=_of_tensor(
                lambda y, x, n: torch.equal(y[:, 0], x[..., : x.shape[-1] // n])
            ),
        ),
        Property("each sequence of a batch is on its own", lambda f: _split_batch_is_alone(f)),
        Property("merge_heads gives x again", lambda f: _merging_undoes(f)),
    ],
)  # fmt: skip


def _words_keep_their_numbers(heads: Tensor, x: Tensor) -> bool:
    """Whether row t of the heads, taken together, holds the numbers of x's position t."""
    pairs = zip(heads.unbind(2), x.unbind(1), strict=True)
    return all(_same_numbers(of_heads, of_x) for of_heads, of_x in pairs)


def _split_batch_is_alone(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(f(x, 3)[1], f(x[1:], 3)[0])


def _merging_undoes(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(multihead.merge_heads(f(x, 3)), x)


@split_heads.misconception(
    "`reshape` and `view` read the numbers line by line and only break the lines elsewhere. Asked "
    "for (B, nh, T, hs) at once, they give the first head the first words with all their columns. "
    "Cut the columns first, (B, T, nh, hs), and then exchange axes 1 and 2."
)
def reshapes_without_transposing(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, n_head, T, C // n_head)


@split_heads.variant(reshapes_without_transposing)
def views_without_transposing(x, n_head):
    B, T, C = x.shape
    return x.view(B, n_head, T, C // n_head)


@split_heads.misconception(
    "The columns are cut into heads, but the axis of the heads still stands behind that of the "
    "positions. Attention works on the last two axes, which should be position and column: "
    "`transpose(1, 2)` brings the heads to the front, and gives back a new tensor to be kept."
)
def leaves_the_heads_behind_the_positions(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head)


@split_heads.misconception(
    "x came back with three axes: a step was taken and its result not kept. `x.reshape(...)` and "
    "`x.transpose(...)` leave x as it is and give back a new tensor; keep each one, as in "
    "`x = x.reshape(...)`."
)
def does_not_keep_the_new_tensors(x, n_head):
    B, T, C = x.shape
    x.reshape(B, T, n_head, C // n_head)
    x.transpose(1, 2)
    return x


@split_heads.variant(does_not_keep_the_new_tensors)
def does_not_keep_the_cut(x, n_head):
    B, T, C = x.shape
    x.reshape(B, T, n_head, C // n_head)
    return x.transpose(1, 2)


@split_heads.misconception(
    "The columns were handed out in turn, like cards: head 0 got columns 0, nh, 2·nh and so on. "
    "Head h should get neighbours, columns h·hs to (h+1)·hs: cut C into (nh, hs), in this order."
)
def hands_out_the_columns_in_turn(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).permute(0, 3, 1, 2)


@split_heads.misconception(
    "Inside each head, positions and columns have changed places. A row should belong to a "
    "position: the last two axes are T and hs."
)
def turns_positions_and_columns_round(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).permute(0, 2, 3, 1)


@split_heads.misconception(
    "n_head was taken for the width of a head. It is the number of heads; each one is "
    "C // n_head columns wide. (`split` in torch asks for the size of a piece, `chunk` for the "
    "number of pieces.)"
)
def takes_n_head_for_the_width_of_a_head(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).transpose(1, 2)


@split_heads.misconception(
    "The words were shared out among the heads. Every head reads all the words; what is shared out "
    "is the columns, the last axis."
)
def shares_out_the_words(x, n_head):
    return torch.stack(x.chunk(n_head, dim=1), dim=1)


@split_heads.misconception(
    "The heads stand in front of the batch. The batch stays first: (B, nh, T, hs). Stacking pieces "
    "puts the new axis at `dim=0` unless another one is named; here it is `dim=1`."
)
def puts_the_heads_in_front_of_the_batch(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1))


@split_heads.misconception(
    "The axis of the heads came last. Order the axes (B, nh, T, hs): axes 1 and 2 of "
    "(B, T, nh, hs) are the ones to exchange."
)
def puts_the_heads_last(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1), dim=-1)


@split_heads.variant(puts_the_heads_last)
def exchanges_axes_2_and_3(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(2, 3)


@split_heads.misconception(
    "Axes 0 and 1 were exchanged, and axis 0 is the batch. Counted from 0, the positions of "
    "(B, T, nh, hs) are axis 1 and the heads axis 2: `transpose(1, 2)`."
)
def exchanges_axes_0_and_1(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(0, 1)


@split_heads.misconception(
    "The pieces are right, but they are still a tuple or a list of tensors. One tensor is asked: "
    "`torch.stack(pieces, dim=1)` puts them side by side on a new axis."
)
def returns_a_tuple_of_heads(x, n_head):
    return x.chunk(n_head, dim=-1)


@split_heads.variant(returns_a_tuple_of_heads)
def returns_a_list_of_heads(x, n_head):
    return list(x.chunk(n_head, dim=-1))


@split_heads.misconception(
    "Only the first head is there: perhaps the `return` stands inside the loop. All of them are "
    "asked, stacked on axis 1."
)
def stops_at_the_first_head(x, n_head):
    return x[..., : x.shape[-1] // n_head]


@split_heads.misconception(
    "Every head got all the columns. Each should get a share of its own, C // n_head of them: that "
    "way many heads cost no more than one."
)
def gives_every_head_all_the_columns(x, n_head):
    B, T, C = x.shape
    return x.unsqueeze(1).expand(B, n_head, T, C).clone()


@split_heads.misconception(
    "Batch and heads share one axis. Keep them apart, (B, nh, T, hs): products of matrices carry "
    "any number of leading axes along."
)
def puts_batch_and_heads_on_one_axis(x, n_head):
    return multihead.split_heads(x, n_head).flatten(0, 1)


@split_heads.misconception(
    "64 is written where the width of a head belongs. It is GPT-2's, and the check tries other "
    "sizes too: C // n_head is right for all of them."
)
def writes_64_for_the_width_of_a_head(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, 64).transpose(1, 2)


@split_heads.misconception(
    "Each head was to get all C columns, n_head times as many numbers as there are. The width of "
    "one head is C // n_head."
)
def forgets_to_divide_the_width(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C).transpose(1, 2)


@split_heads.misconception(
    "The sizes were unpacked in another order than they have. `x.shape` is (B, T, C): batch, "
    "positions, columns."
)
def unpacks_the_sizes_in_another_order(x, n_head):
    B, C, T = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)


@split_heads.variant(unpacks_the_sizes_in_another_order)
def unpacks_the_positions_first(x, n_head):
    T, B, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)


@split_heads.misconception(
    "`/` gives a float, 3.0 instead of 3, and a size has to be an int. `//` divides ints and gives "
    "an int."
)
def divides_with_a_single_slash(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C / n_head).transpose(1, 2)


@split_heads.variant(divides_with_a_single_slash)
def divides_with_a_single_slash_in_view(x, n_head):
    B, T, C = x.shape
    return x.view(B, T, n_head, C / n_head).transpose(1, 2)


@split_heads.variant(divides_with_a_single_slash)
def divides_with_a_single_slash_in_a_slice(x, n_head):
    hs = x.shape[-1] / n_head
    return torch.stack([x[..., h * hs : (h + 1) * hs] for h in range(n_head)], dim=1)


@split_heads.misconception(
    "x was turned before its columns were cut: then the columns are axis 1, and a reshape to "
    "(B, nh, T, hs) mixes them with the positions. Cut first, then exchange the axes."
)
def turns_first_and_cuts_then(x, n_head):
    B, T, C = x.shape
    return x.transpose(1, 2).reshape(B, n_head, T, C // n_head)


@split_heads.misconception(
    "This unpacks two sizes and x has three: there is a batch in front. `B, T, C = x.shape`."
)
def expects_a_sequence_without_a_batch(x, n_head):
    T, C = x.shape
    return x.reshape(T, n_head, C // n_head).transpose(0, 1)


@split_heads.misconception(
    "A function whose name ends in an underscore, such as `transpose_`, changes the tensor itself: "
    "the caller's x has other axes afterwards. Without the underscore a new one comes back."
)
def turns_x_itself(x, n_head):
    B, T, C = x.shape
    x.transpose_(1, 2)
    return x.reshape(B, n_head, C // n_head, T).transpose(2, 3)


@split_heads.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the heads off from x: "
    "the numbers are right, but no gradient comes through, and nothing before could learn."
)
def cuts_the_gradient(x, n_head):
    return multihead.split_heads(x, n_head).detach()


@split_heads.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses as soon as x is to "
    "learn. The same operations exist in torch."
)
def goes_through_numpy(x, n_head):
    B, T, C = x.shape
    return torch.from_numpy(x.numpy().reshape(B, T, n_head, C // n_head).swapaxes(1, 2))


@split_heads.misconception(
    "The result is float32 whatever came in (`torch.zeros(B, n_head, T, hs)` does that). "
    "`x.new_zeros(...)` has the type of x, and reshaping keeps it."
)
def always_float32(x, n_head):
    return multihead.split_heads(x, n_head).float()


@split_heads.also_right
def slices_of_the_columns_stacked(x, n_head):
    hs = x.shape[-1] // n_head
    heads = [x[:, :, h * hs : (h + 1) * hs] for h in range(n_head)]
    return torch.stack(heads, dim=1)


@split_heads.also_right
def unflatten_names_the_axis(x, n_head):
    return x.unflatten(-1, (n_head, -1)).transpose(1, 2)


@split_heads.also_right
def filling_head_by_head(x, n_head):
    B, T, C = x.shape
    hs = C // n_head
    heads = x.new_zeros(B, n_head, T, hs)
    for h in range(n_head):
        heads[:, h] = x[:, :, h * hs : (h + 1) * hs]
    return heads


@split_heads.also_right
def chunk_and_stack(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1), dim=1)


@split_heads.also_right
def permute_names_the_new_order(x, n_head):
    B, T, C = x.shape
    return x.view(B, T, n_head, C // n_head).permute(0, 2, 1, 3)


@split_heads.also_right
def turning_x_and_turning_back(x, n_head):
    B, T, C = x.shape
    return x.transpose(1, 2).reshape(B, n_head, C // n_head, T).transpose(2, 3)


_NUMBERED_HEADS = multihead.split_heads(_NUMBERED, 2).contiguous()

merge_heads = Exercise(
    multihead.merge_heads,
    lesson="07_multi_head",
    cases=[
        Case("the four words, two heads of three columns", (_NUMBERED_HEADS,), rows=WORDS),
        Case("one word, two heads", (normal(1, 2, 1, 3, seed=1),)),
        Case("one head", (normal(1, 1, 4, 5, seed=2),)),
        Case("heads of one column", (normal(2, 3, 4, 1, seed=3),)),
        Case("a batch of two, three heads", (normal(2, 3, 5, 7, seed=4),)),
        Case("a batch of three, seven heads", (normal(3, 7, 2, 4, seed=5),)),
        Case("three of everything", (normal(3, 3, 3, 3, seed=6),)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 12, 3, 64, seed=7),)),
        Case("float64 stays float64", (normal(2, 3, 5, 4, seed=8, dtype=torch.float64),)),
        Case(
            "heads as split_heads makes them, a view of another tensor",
            (multihead.split_heads(normal(2, 5, 6, seed=9), 3),),
        ),
        Case(
            "an argument that does not lie in one piece in memory",
            (strided(normal(2, 3, 5, 4, seed=10)),),
        ),
        Case("the gradients reach x", (normal(2, 3, 4, 2, seed=11),), gradients=True),
    ],
    properties=[
        Property(
            "the result has the shape (B, T, C), with C = nh · hs",
            lambda f: f(normal(2, 3, 5, 7, seed=4)).shape == (2, 5, 21),
            of_result=_of_tensor(
                lambda y, x: y.shape == (len(x), x.shape[2], x.shape[1] * x.shape[3])
            ),
        ),
        Property(
            "every number of x is there once",
            lambda f: _same_numbers(f(_NUMBERED_HEADS), _NUMBERED_HEADS),
            of_result=_of_tensor(_same_numbers),
        ),
        Property(
            "row t holds the numbers of word t, from all heads",
            lambda f: _words_keep_their_numbers(_NUMBERED_HEADS, f(_NUMBERED_HEADS)),
            of_result=_of_tensor(lambda y, x: _words_keep_their_numbers(x, y)),
        ),
        Property(
            "the first hs columns come from the first head",
            lambda f: torch.equal(f(_NUMBERED_HEADS)[..., :3], _NUMBERED_HEADS[:, 0]),
            of_result=_of_tensor(lambda y, x: torch.equal(y[..., : x.shape[-1]], x[:, 0])),
        ),
        Property("each sequence of a batch is on its own", lambda f: _merge_batch_is_alone(f)),
        Property("what split_heads has cut is whole again", lambda f: _undoes_splitting(f)),
    ],
)


def _merge_batch_is_alone(f) -> bool:
    x = normal(2, 3, 5, 7, seed=4)
    return torch.equal(f(x)[1], f(x[1:])[0])


def _undoes_splitting(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(f(multihead.split_heads(x, 3)), x)


@merge_heads.misconception(
    "`reshape` and `view` read the numbers line by line: first all the words of head 0, then all "
    "those of head 1. A row then holds several words of one head, and it should hold one word of "
    "all heads. Bring positions in front of heads first: `transpose(1, 2)`."
)
def reshapes_without_transposing_(x):
    B, nh, T, hs = x.shape
    return x.reshape(B, T, nh * hs)


@merge_heads.variant(reshapes_without_transposing_)
def views_without_transposing_(x):
    B, nh, T, hs = x.shape
    return x.view(B, T, nh * hs)


@merge_heads.misconception(
    "`view` needs numbers that already lie in the order in which they are read, and after "
    "`transpose` they don't. `reshape` copies where it has to; `.contiguous().view(...)` does the "
    "same."
)
def views_what_has_just_been_transposed(x):
    B, nh, T, hs = x.shape
    return x.transpose(1, 2).view(B, T, nh * hs)


@merge_heads.misconception(
    "Positions stand in front of heads now, but the heads are still apart. The last two axes, nh "
    "and hs, have to become one: a reshape to (B, T, nh · hs)."
)
def leaves_the_heads_apart(x):
    return x.transpose(1, 2)


@merge_heads.misconception(
    "The columns of the heads were shuffled into each other: first the first column of every head, "
    "then every second one. Each head keeps its columns together: the order before the reshape is "
    "(B, T, nh, hs)."
)
def shuffles_the_columns_together(x):
    B, nh, T, hs = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, T, nh * hs)


@merge_heads.misconception(
    "The heads were added up. They stay apart, side by side: only c_proj, which comes after, mixes "
    "what they found."
)
def adds_the_heads_up(x):
    return x.sum(dim=1)


@merge_heads.misconception(
    "This is the mean over the heads. They stay apart, side by side: only c_proj, which comes "
    "after, mixes what they found."
)
def takes_the_mean_of_the_heads(x):
    return x.mean(dim=1)


@merge_heads.misconception(
    "The heads were put one below the other, along the positions. The number of positions stays "
    "what it was; the heads stand side by side, along the columns: `dim=-1`."
)
def puts_the_heads_below_each_other(x):
    return torch.cat(x.unbind(1), dim=1)


@merge_heads.misconception(
    "The heads were put behind each other along the batch. They belong to one sequence, side by "
    "side along its columns: `dim=-1`."
)
def puts_the_heads_into_the_batch(x):
    return torch.cat(x.unbind(1), dim=0)


@merge_heads.variant(puts_the_heads_into_the_batch)
def flattens_the_first_two_axes(x):
    return x.flatten(0, 1)


@merge_heads.misconception(
    "Rows and columns have changed places: a row should belong to a position. The result is "
    "(B, T, C)."
)
def turns_positions_and_columns_round_(x):
    return multihead.merge_heads(x).transpose(1, 2)


@merge_heads.misconception(
    "The last two axes were exchanged. Those to exchange are heads and positions, axes 1 and 2 of "
    "(B, nh, T, hs), so that nh and hs become neighbours."
)
def exchanges_the_last_two_axes(x):
    B, nh, T, hs = x.shape
    return x.transpose(2, 3).reshape(B, T, nh * hs)


@merge_heads.misconception(
    "Axes 0 and 1 were exchanged, and axis 0 is the batch. Counted from 0, the heads are axis 1 "
    "and the positions axis 2: `transpose(1, 2)`."
)
def exchanges_axes_0_and_1_(x):
    B, nh, T, hs = x.shape
    return x.transpose(0, 1).reshape(B, T, nh * hs)


@merge_heads.misconception(
    "Axis 1 was taken for the positions. Here x is (B, nh, T, hs): the heads are on axis 1, the "
    "positions on axis 2."
)
def takes_axis_1_for_the_positions(x):
    B, T, nh, hs = x.shape
    return x.reshape(B, T, nh * hs)


@merge_heads.variant(takes_axis_1_for_the_positions)
def takes_axis_1_for_the_positions_after_a_turn(x):
    B, T, nh, hs = x.shape
    return x.transpose(1, 2).reshape(B, T, nh * hs)


@merge_heads.misconception(
    "Only the last head is left: each round of the loop replaced what the one before had made. "
    "Collect them in a list, and `torch.cat` them along the columns."
)
def keeps_only_the_last_head(x):
    return x[:, -1].clone()


@merge_heads.misconception(
    "Only the first head is there: perhaps the `return` stands inside the loop. All of them are "
    "asked, side by side."
)
def stops_at_the_first_head_(x):
    return x[:, 0].clone()


@merge_heads.misconception(
    "The heads stand side by side from the last to the first. Head 0 comes first, as split_heads "
    "cut them."
)
def starts_with_the_last_head(x):
    return multihead.merge_heads(x.flip(1))


@merge_heads.misconception(
    "Batch and positions were run together: the axis of the batch is gone. Say both sizes, "
    "`reshape(B, T, nh * hs)`."
)
def loses_the_batch(x):
    B, nh, T, hs = x.shape
    return x.transpose(1, 2).reshape(B * T, nh * hs)


@merge_heads.misconception(
    "All numbers of a sequence ended up in one row. `flatten(1)` runs together everything from "
    "axis 1 on; after the exchange of axes, heads and columns are axes 2 and 3: `flatten(2)`."
)
def flattens_too_much(x):
    return x.transpose(1, 2).flatten(1)


@merge_heads.misconception(
    "Stacked, the heads got an axis of their own again. `torch.cat(..., dim=-1)` joins them along "
    "the columns that they have."
)
def stacks_where_it_should_join(x):
    return torch.stack(x.unbind(1), dim=-1)


@merge_heads.misconception(
    "These are the heads as a tuple or a list. One tensor is asked: `torch.cat(heads, dim=-1)` "
    "joins them along the columns."
)
def returns_a_tuple_of_heads_(x):
    return x.unbind(1)


@merge_heads.variant(returns_a_tuple_of_heads_)
def returns_a_list_of_heads_(x):
    return list(x.unbind(1))


@merge_heads.misconception(
    "Only the first sequence of the batch is there: x[0] leaves the others out. Keep axis 0 whole: "
    "`x[:, h]` is head h of every sequence."
)
def takes_the_first_sequence_alone(x):
    return torch.cat([x[0, h] for h in range(x.shape[1])], dim=-1)[None]


@merge_heads.variant(takes_the_first_sequence_alone)
def takes_the_first_sequence_alone_without_its_axis(x):
    return torch.cat([x[0, h] for h in range(x.shape[1])], dim=-1)


@merge_heads.misconception(
    "A loop over x goes over its first axis, and that is the batch: `for head in x` gives "
    "sequences, not heads. `x[:, h]` is head h of every sequence."
)
def loops_over_the_batch(x):
    return torch.cat(list(x), dim=-1)


@merge_heads.misconception(
    "split_heads was called, and it cuts: an axis has been added. Merging takes its two steps "
    "back, in the opposite order: exchange axes 1 and 2, then run heads and columns together."
)
def splits_where_it_should_merge(x):
    return x.unflatten(-1, (1, -1)).transpose(1, 2)


@merge_heads.variant(splits_where_it_should_merge)
def splits_by_chunks_where_it_should_merge(x):
    return torch.stack(x.chunk(1, dim=-1), dim=1)


@merge_heads.misconception(
    "x has four sizes: batch, heads, positions, columns of a head, `B, nh, T, hs = x.shape`. If "
    "the line that raised stands in split_heads, it was called here: it takes (B, T, C) and cuts. "
    "Merging takes its two steps back, in the opposite order."
)
def unpacks_three_sizes_where_x_has_four(x):
    nh, T, hs = x.shape
    return x.transpose(0, 1).reshape(T, nh * hs)


@merge_heads.misconception(
    "A function whose name ends in an underscore, such as `transpose_`, changes the tensor itself: "
    "the caller's x has other axes afterwards. Without the underscore a new one comes back."
)
def turns_x_itself_(x):
    return x.transpose_(1, 2).flatten(2)


@merge_heads.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the result off from "
    "x: the numbers are right, but no gradient comes through, and nothing before could learn."
)
def cuts_the_gradient_(x):
    return multihead.merge_heads(x).detach()


@merge_heads.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses as soon as x is to "
    "learn. The same operations exist in torch."
)
def goes_through_numpy_(x):
    B, nh, T, hs = x.shape
    return torch.from_numpy(x.numpy().swapaxes(1, 2).reshape(B, T, nh * hs))


@merge_heads.misconception(
    "The result is float32 whatever came in (`torch.zeros(B, T, C)` does that). "
    "`x.new_zeros(...)` has the type of x, and reshaping keeps it."
)
def always_float32_(x):
    return multihead.merge_heads(x).float()


@merge_heads.also_right
def heads_joined_along_the_columns(x):
    heads = [x[:, h] for h in range(x.shape[1])]  # each (B, T, hs)
    return torch.cat(heads, dim=-1)


@merge_heads.also_right
def one_word_at_a_time(x):
    words = [x[:, :, t].flatten(1) for t in range(x.shape[2])]  # each (B, nh · hs)
    return torch.stack(words, dim=1)


@merge_heads.also_right
def filling_the_columns(x):
    B, nh, T, hs = x.shape
    merged = x.new_zeros(B, T, nh * hs)
    for h in range(nh):
        merged[:, :, h * hs : (h + 1) * hs] = x[:, h]
    return merged


@merge_heads.also_right
def permute_and_flatten(x):
    return x.permute(0, 2, 1, 3).flatten(2)


@merge_heads.also_right
def contiguous_and_view(x):
    B, nh, T, hs = x.shape
    return x.transpose(1, 2).contiguous().view(B, T, nh * hs)


# What the module is asked beside its parameters, output and gradients.
SECOND_CALL, KEYS_OF_ZEROS = "called twice", "with keys of zeros"
REFERENCE = multihead.CausalSelfAttention


def _second_call(answer, sizes, x: Tensor) -> Tensor:
    """What comes out for the first two words after a call with all of them."""
    module = build(answer, sizes)
    fill(module, built_once(REFERENCE, sizes), x.dtype)
    module(x)
    return module(x[:, :2])


def _keys_of_zeros(answer, sizes, x: Tensor) -> Tensor:
    """What comes out where every key is 0, and so every score."""
    module, C = build(answer, sizes), sizes[0]
    fill(module, built_once(REFERENCE, sizes), x.dtype)
    parameters = own_parameters(module)
    with torch.no_grad():
        parameters["c_attn.weight"][C : 2 * C] = 0
        parameters["c_attn.bias"][C : 2 * C] = 0
    return module(x)


_SIZES, _SEVERAL = (12, 3), normal(2, 5, 12, seed=4)  # a batch of two, for properties too
_SMALL = (6, 2)  # the sizes of the lesson

CausalSelfAttention = ModuleExercise(
    REFERENCE,
    lesson="07_multi_head",
    other_asks={SECOND_CALL: _second_call, KEYS_OF_ZEROS: _keys_of_zeros},
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2), None)),
        Case("the four words, two heads of three", (OUTPUT, (6, 2), normal(1, 4, 6, seed=1)),
             rows=WORDS),
        Case("one word alone", (OUTPUT, (6, 2), normal(1, 1, 6, seed=2))),
        Case("one head", (OUTPUT, (5, 1), normal(1, 3, 5, seed=3))),
        Case("as many heads as columns", (OUTPUT, (3, 3), normal(2, 4, 3, seed=5))),
        Case("scores that are all 0: every word so far counts the same",
             (KEYS_OF_ZEROS, (6, 2), normal(1, 4, 6, seed=6))),
        Case("a batch of two, three heads of four", (OUTPUT, _SIZES, _SEVERAL)),
        Case("three of everything", (OUTPUT, (9, 3), normal(3, 3, 9, seed=7))),
        Case("forty words", (OUTPUT, (8, 2), normal(1, 40, 8, seed=8))),
        Case("numbers that hardly differ", (OUTPUT, (6, 3), normal(1, 4, 6, seed=9, scale=1e-2))),
        Case("words with scores near -200",
             (OUTPUT, (8, 2), normal(1, 3, 8, seed=175, scale=15.0, dtype=torch.float64))),
        Case("float64 stays float64",
             (OUTPUT, (12, 3), normal(2, 5, 12, seed=10, dtype=torch.float64))),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6, 2), strided(normal(2, 5, 6, seed=11)))),
        Case("a second call, with the first two words alone",
             (SECOND_CALL, (6, 2), normal(1, 5, 6, seed=12))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=13))),
    ],
    properties=[
        Property(
            "its parameters are c_attn and c_proj, each a weight and a bias, in these shapes",
            lambda f: _parameters(f) == _parameters(REFERENCE),
        ),
        Property(
            "all numbers are finite",
            lambda f: _output(f).isfinite().all(),
            of_result=_of_tensor(lambda y, what, sizes, x: y.isfinite().all()),
        ),
        Property(
            "the result has the shape of x",
            lambda f: _keeps_the_shape(f),
            of_result=_of_tensor(
                lambda y, what, sizes, x: what == SECOND_CALL or y.shape == x.shape
            ),
        ),
        Property("later words do not change an earlier result", lambda f: _future_is_hidden(f)),
        Property("earlier words do change a later result", lambda f: _past_is_read(f)),
        Property("the order of the earlier words does not matter", lambda f: _past_is_a_set(f)),
        Property(
            "where all words are alike, so are the results", lambda f: _alike_words_give_alike(f)
        ),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property("a second call knows nothing of the first", lambda f: _calls_are_alone(f)),
        Property(
            "it works for any number of columns and heads",
            lambda f: all(_runs(f, sizes) for sizes in (_SIZES, _SMALL, (5, 1))),
        ),
    ],
)  # fmt: skip


def _parameters(answer) -> dict[str, tuple]:
    return {name: tuple(p.shape) for name, p in build(answer, (6, 2)).named_parameters()}


def _module(answer, sizes: tuple) -> nn.Module:
    """The module, whatever its parameters are called: where they fit, they are the case's."""
    module = build(answer, sizes)
    fill_what_fits(module, built_once(REFERENCE, sizes), torch.float32)
    return module


def _runs(answer, sizes: tuple) -> bool:
    """Whether a forward of that size raises nothing."""
    try:
        _module(answer, sizes)(_SEVERAL[..., : sizes[0]].clone())
    except Exception:
        return False
    return True


def _sizes_of(answer) -> tuple:
    """The sizes at which properties are asked: the lesson's where it runs with no others."""
    return _SIZES if _runs(answer, _SIZES) else _SMALL


def _output(answer, x: Tensor = _SEVERAL) -> Tensor:
    sizes = _sizes_of(answer)
    return _module(answer, sizes)(x[..., : sizes[0]].clone()).detach()


def _keeps_the_shape(answer) -> bool:
    return _output(answer).shape == (*_SEVERAL.shape[:2], _sizes_of(answer)[0])


def _moved(*positions: int) -> Tensor:
    """The words, those at some positions changed."""
    x = _SEVERAL.clone()
    x[:, list(positions)] += 1
    return x


def _future_is_hidden(answer) -> bool:
    return torch.allclose(_output(answer)[:, :3], _output(answer, _moved(3, 4))[:, :3], atol=1e-5)


def _past_is_read(answer) -> bool:
    moved = (_output(answer) - _output(answer, _moved(0))).abs()
    return bool((moved[:, 1:].amax(-1) > 1e-4).all())


def _past_is_a_set(answer) -> bool:
    shuffled = _SEVERAL[:, [2, 0, 3, 1, 4]]
    return torch.allclose(_output(answer)[:, -1], _output(answer, shuffled)[:, -1], atol=1e-5)


def _alike_words_give_alike(answer) -> bool:
    y = _output(answer, _SEVERAL[:, :1].repeat(1, 5, 1))
    return torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5)


def _batch_is_alone(answer) -> bool:
    return torch.allclose(_output(answer)[1:], _output(answer, _SEVERAL[1:]), atol=1e-5)


def _calls_are_alone(answer) -> bool:
    sizes = _sizes_of(answer)
    module, x = _module(answer, sizes), _SEVERAL[..., : sizes[0]]
    module(x.clone())
    return torch.allclose(module(x[:, :2].clone()), _output(answer, x[:, :2]), atol=1e-5)


class _Attention(nn.Module):
    """The module in steps, so that a mistake is one step that goes otherwise."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def cut(self, qkv):
        return qkv.chunk(3, dim=-1)

    def split(self, part):
        return multihead.split_heads(part, self.n_head)

    def scores(self, q, k):
        return attention.attention_scores(q, k)

    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -math.inf).softmax(-1)

    def attend(self, q, k, v):
        return self.weights(self.scores(q, k)) @ v

    def merge(self, y):
        return multihead.merge_heads(y)

    def forward(self, x):
        q, k, v = (self.split(part) for part in self.cut(self.c_attn(x)))
        return self.c_proj(self.merge(self.attend(q, k, v)))


def _hidden(scores: Tensor) -> Tensor:
    return ~attention.causal_mask(*scores.shape[-2:])


# Its parameters


@CausalSelfAttention.misconception(
    "`bias=False` leaves out the biases. GPT-2 has them in both layers, and its released weights "
    "will need a place to go: leave the argument away."
)
class leaves_out_the_biases(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)
        self.c_proj = nn.Linear(n_embd, n_embd, bias=False)


@CausalSelfAttention.variant(leaves_out_the_biases)
class leaves_out_the_bias_of_c_attn(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)


@CausalSelfAttention.variant(leaves_out_the_biases)
class leaves_out_the_bias_of_c_proj(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_proj = nn.Linear(n_embd, n_embd, bias=False)


@CausalSelfAttention.misconception(
    "There is no c_proj. What the heads found stands side by side so far, and c_proj, a linear "
    "layer from C to C, is what mixes it."
)
class has_no_c_proj(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        del self.c_proj

    def forward(self, x):
        q, k, v = (self.split(part) for part in self.cut(self.c_attn(x)))
        return self.merge(self.attend(q, k, v))


@CausalSelfAttention.misconception(
    "c_attn is C wide, and there it makes one of the three at best. It should make query, key and "
    "value at once: `nn.Linear(n_embd, 3 * n_embd)`, to be cut in three."
)
class makes_c_attn_as_wide_as_x(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_attn = nn.Linear(n_embd, n_embd)

    def cut(self, qkv):
        return qkv, qkv, qkv


@CausalSelfAttention.misconception(
    "c_proj goes from 3·C to C. It gets what the heads made of the values, and that is C wide: "
    "`nn.Linear(n_embd, n_embd)`."
)
class makes_c_proj_read_three_times_the_width(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_proj = nn.Linear(3 * n_embd, n_embd)


@CausalSelfAttention.misconception(
    "The layers were made for the width of one head, n_embd // n_head. One c_attn serves all heads "
    "at once: it reads C columns and makes 3·C."
)
class makes_layers_of_the_width_of_one_head(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_attn = nn.Linear(n_embd, 3 * (n_embd // n_head))


@CausalSelfAttention.misconception(
    "The weights lie as in GPT-2's released file, a row for each input. An nn.Linear lays them the "
    "other way round, a row for each output: (3·C, C)."
)
class lays_the_weights_the_other_way_round(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.c_attn.weight = nn.Parameter(torch.randn(n_embd, 3 * n_embd))


@CausalSelfAttention.misconception(
    "The module shows no parameters. Layers in a plain list, tuple or dict and bare tensors are "
    "hidden from nn.Module: no optimizer finds them. Give each layer a name of its own on self, "
    "`self.c_attn = nn.Linear(...)`."
)
class hides_its_layers_in_a_list(_Attention):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        del self.c_attn, self.c_proj
        self.layers = [nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)]


def _three_projections(q_name: str, k_name: str, v_name: str) -> type:
    class ThreeProjections(_Attention):
        def __init__(self, n_embd, n_head):
            nn.Module.__init__(self)
            for name in (q_name, k_name, v_name):
                setattr(self, name, nn.Linear(n_embd, n_embd))
            self.c_proj = nn.Linear(n_embd, n_embd)

    return ThreeProjections


@CausalSelfAttention.misconception(
    "There are three layers for query, key and value. That computes the same, but GPT-2 keeps them "
    "in one layer, so the parameters have other names and shapes: `c_attn` makes all three at "
    "once, 3·C columns, and is cut in three."
)
class makes_three_projections(_three_projections("query", "key", "value")):
    pass


for _names in (
    ("q", "k", "v"),
    ("q_proj", "k_proj", "v_proj"),
    ("W_q", "W_k", "W_v"),
    ("w_q", "w_k", "w_v"),
    ("wq", "wk", "wv"),
    ("W_query", "W_key", "W_value"),
    ("c_q", "c_k", "c_v"),
):
    CausalSelfAttention.variant(makes_three_projections)(_three_projections(*_names))


def _other_names(attn_name: str, proj_name: str) -> type:
    class OtherNames(_Attention):
        def __init__(self, n_embd, n_head):
            nn.Module.__init__(self)
            setattr(self, attn_name, nn.Linear(n_embd, 3 * n_embd))
            setattr(self, proj_name, nn.Linear(n_embd, n_embd))

    return OtherNames


@CausalSelfAttention.misconception(
    "The layers have the right sizes and other names. GPT-2's released weights are found by name, "
    "so they have to be called `self.c_attn` and `self.c_proj`."
)
class calls_its_layers_otherwise(_other_names("qkv", "proj")):
    pass


for _names in (
    ("qkv", "c_proj"),
    ("c_attn", "proj"),
    ("c_attn", "out"),
    ("c_attn", "out_proj"),
    ("attn", "proj"),
    ("attn", "c_proj"),
    ("qkv", "out"),
    ("in_proj", "out_proj"),
    ("qkv_proj", "out_proj"),
    ("to_qkv", "to_out"),
    ("c_proj", "c_attn"),
):
    CausalSelfAttention.variant(calls_its_layers_otherwise)(_other_names(*_names))


# The class itself


@CausalSelfAttention.misconception(
    "`super().__init__()` is missing. It has to be the first line of `__init__`: nn.Module gets "
    "ready there to keep layers."
)
class forgets_to_call_super_init(_Attention):
    def __init__(self, n_embd, n_head):
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)


@CausalSelfAttention.misconception(
    "The class has no method named `forward`, which is what runs when the module is called. It may "
    "have another name, or stand too far left or right."
)
def has_no_forward(n_embd, n_head):
    module = type("CausalSelfAttention", (nn.Module,), {})()  # torch names the class in its error
    module.c_attn, module.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)
    return module


@CausalSelfAttention.misconception(
    "A name in your class belongs to nothing: the last line of the error says which. What "
    "`forward` needs of `__init__` has to be kept on self, as `self.n_head = n_head`, and read "
    "from there; the letters in a shape make no variables."
)
class uses_a_name_that_is_not_defined(_Attention):
    def split(self, part):
        return multihead.split_heads(part, number_of_heads)


@CausalSelfAttention.misconception(
    "`forward` returned more than the result: a tuple, perhaps with the weights or the cache. Here "
    "one tensor is asked, (B, T, C)."
)
class returns_the_weights_as_well(_Attention):
    def forward(self, x):
        q, k, v = (self.split(part) for part in self.cut(self.c_attn(x)))
        return super().forward(x), self.weights(self.scores(q, k))


@CausalSelfAttention.misconception(
    "The result went without c_proj: what the heads found stands side by side and is not mixed. "
    "Pass it through `self.c_proj` at the end."
)
class forgets_c_proj(_Attention):
    def forward(self, x):
        q, k, v = (self.split(part) for part in self.cut(self.c_attn(x)))
        return self.merge(self.attend(q, k, v))


@CausalSelfAttention.misconception(
    "x was added to the result. In GPT-2 it is added too, but in the block around this module, in "
    "lesson 09; this module gives what is to be added."
)
class adds_x_to_the_result(_Attention):
    def forward(self, x):
        return x + super().forward(x)


# Cutting q, k and v


@CausalSelfAttention.misconception(
    "Queries and keys have changed places. Either c_attn's columns were cut in the order key, "
    "query, value, and they come as query, key, value; or the scores are k times q turned. A row "
    "of scores belongs to a query: q comes first and k is turned."
)
class exchanges_queries_and_keys(_Attention):
    def cut(self, qkv):
        k, q, v = qkv.chunk(3, dim=-1)
        return q, k, v


@CausalSelfAttention.misconception(
    "The second third of c_attn's columns was taken for the value. They come in the order query, "
    "key, value."
)
class cuts_the_value_second(_Attention):
    def cut(self, qkv):
        q, v, k = qkv.chunk(3, dim=-1)
        return q, k, v


@CausalSelfAttention.misconception(
    "The first third of c_attn's columns was taken for the value. They come in the order query, "
    "key, value."
)
class cuts_the_value_first(_Attention):
    def cut(self, qkv):
        v, q, k = qkv.chunk(3, dim=-1)
        return q, k, v


@CausalSelfAttention.variant(cuts_the_value_first)
class cuts_value_key_query(_Attention):
    def cut(self, qkv):
        v, k, q = qkv.chunk(3, dim=-1)
        return q, k, v


@CausalSelfAttention.misconception(
    "The last third of c_attn's columns was taken for the query. They come in the order query, "
    "key, value."
)
class cuts_the_query_last(_Attention):
    def cut(self, qkv):
        k, v, q = qkv.chunk(3, dim=-1)
        return q, k, v


@CausalSelfAttention.misconception(
    "`split` asks for the size of a piece, so split(3) cuts pieces of 3 columns, and there are "
    "more than three of them. `chunk` asks for the number of pieces: `chunk(3, dim=-1)`. A piece "
    "is C columns wide."
)
class cuts_pieces_of_three_columns(_Attention):
    def cut(self, qkv):
        q, k, v = qkv.split(3, dim=-1)
        return q, k, v


@CausalSelfAttention.variant(cuts_pieces_of_three_columns)
class splits_pieces_of_three_columns(_Attention):
    def forward(self, x):
        pieces = self.c_attn(x).split(3, dim=-1)
        nh = self.n_head
        q, k, v = (p.reshape(*p.shape[:2], nh, 3 // nh).transpose(1, 2) for p in pieces)
        return self.c_proj(self.merge(self.attend(q, k, v)))


@CausalSelfAttention.misconception(
    "c_attn's columns were shared out among the heads before they were cut in three, so that each "
    "head has q, k and v side by side. Some models lay them so; GPT-2 has all queries first, then "
    "all keys, then all values: cut in three, then split into heads."
)
class splits_into_heads_before_cutting_in_three(_Attention):
    def forward(self, x):
        q, k, v = self.split(self.c_attn(x)).chunk(3, dim=-1)
        return self.c_proj(self.merge(self.attend(q, k, v)))


@CausalSelfAttention.misconception(
    "The columns of c_attn were dealt in turn, one for q, one for k, one for v. They lie in three "
    "blocks: C for the queries, C for the keys, C for the values. Reshape to (..., 3, C) and not "
    "to (..., C, 3)."
)
class deals_the_columns_in_turn(_Attention):
    def cut(self, qkv):
        return qkv.unflatten(-1, (-1, 3)).unbind(-1)


@CausalSelfAttention.misconception(
    "The queries were used as keys too. c_attn makes keys of their own, its second third."
)
class uses_the_queries_as_keys(_Attention):
    def cut(self, qkv):
        q, _, v = qkv.chunk(3, dim=-1)
        return q, q, v


@CausalSelfAttention.misconception(
    "x itself was split into heads and blended. What the weights blend is the values, the last "
    "third of what c_attn makes."
)
class blends_x_itself(_Attention):
    def forward(self, x):
        q, k, _ = (self.split(part) for part in self.cut(self.c_attn(x)))
        return self.c_proj(self.merge(self.attend(q, k, self.split(x))))


# Splitting and merging


@CausalSelfAttention.misconception(
    "q, k and v were not split: this is one head as wide as C, whatever n_head says. split_heads "
    "gives each head its own columns."
)
class attends_with_a_single_head(_Attention):
    def split(self, part):
        return part.unsqueeze(1)


@CausalSelfAttention.misconception(
    "q, k and v were reshaped to (B, nh, T, hs) without exchanging axes: a head then holds a few "
    "words whole, and the mask hides the wrong ones. Reshape to (B, T, nh, hs), then "
    "`transpose(1, 2)`; split_heads does both."
)
class reshapes_into_heads_without_transposing(_Attention):
    def split(self, part):
        return reshapes_without_transposing(part, self.n_head)


@CausalSelfAttention.variant(reshapes_into_heads_without_transposing)
class reshapes_into_heads_and_back(reshapes_into_heads_without_transposing):
    def merge(self, y):
        return reshapes_without_transposing_(y)


@CausalSelfAttention.misconception(
    "The heads were merged by a reshape alone, which puts several words of one head into a row. "
    "Exchange axes 1 and 2 first, so that a row holds one word of all heads; merge_heads does both."
)
class merges_without_transposing(_Attention):
    def merge(self, y):
        return reshapes_without_transposing_(y)


@CausalSelfAttention.misconception(
    "`view` needs numbers that already lie in the order in which they are read, and after "
    "`transpose` they don't. `reshape` copies where it has to; merge_heads does it all."
)
class views_what_has_just_been_transposed_(_Attention):
    def merge(self, y):
        return views_what_has_just_been_transposed(y.contiguous())


@CausalSelfAttention.misconception(
    "The columns of the heads were shuffled into each other on the way back. Each head keeps its "
    "columns together: (B, T, nh, hs) before the last reshape."
)
class shuffles_the_columns_of_the_heads(_Attention):
    def merge(self, y):
        return shuffles_the_columns_together(y)


@CausalSelfAttention.misconception(
    "n_head was taken for the width of a head. It is the number of heads; each one is "
    "n_embd // n_head wide."
)
class takes_n_head_for_the_width_of_a_head_(_Attention):
    def split(self, part):
        return takes_n_head_for_the_width_of_a_head(part, self.n_head)


@CausalSelfAttention.misconception(
    "Axes 1 and 2 were not exchanged after the cut into heads, so that in each place the heads "
    "read each other. The words should read each other: `transpose(1, 2)` before the scores."
)
class lets_the_heads_read_each_other(_Attention):
    def split(self, part):
        return leaves_the_heads_behind_the_positions(part, self.n_head)

    def merge(self, y):
        return y.flatten(2)


# Scores and weights


@CausalSelfAttention.misconception(
    "Nothing is masked: every word reads the whole sequence, its own future included. (If there is "
    "a masked_fill: it returns a new tensor that has to be kept. In F.scaled_dot_product_attention "
    "it is `is_causal=True`.)"
)
class forgets_the_mask(_Attention):
    def weights(self, scores):
        return scores.softmax(-1)


@CausalSelfAttention.misconception(
    "The mask is upside down: a word reads itself and what comes after it. It should read itself "
    "and what came before. masked_fill fills where its mask is True, and causal_mask is True where "
    "reading is allowed; ~ turns it."
)
class reads_the_future_only(_Attention):
    def weights(self, scores):
        past = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(-1)
        return scores.masked_fill(past, -math.inf).softmax(-1)


@CausalSelfAttention.variant(reads_the_future_only)
class hides_what_may_be_read(_Attention):
    def weights(self, scores):
        return scores.masked_fill(~_hidden(scores), -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "Each word also reads the one after it: the mask is one column too wide. That is the word "
    "which it has to predict."
)
class reads_one_ahead(_Attention):
    def weights(self, scores):
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(2)
        return scores.masked_fill(ahead, -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "No word may read itself, so that the first one has nothing to read at all, and the softmax of "
    "nothing but -inf is nan."
)
class may_not_read_itself(_Attention):
    def weights(self, scores):
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu()
        return scores.masked_fill(hidden, -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "The hidden scores were set to 0 and not to -inf. A score of 0 is an ordinary score: e⁰ = 1, "
    "so the future still gets a share. Only -inf becomes a weight of 0."
)
class hides_with_a_score_of_zero(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), 0).softmax(-1)


@CausalSelfAttention.misconception(
    "The mask came after the softmax, and the rows were not shared out again: the weights that are "
    "left no longer sum to 1. Mask before the softmax."
)
class masks_after_the_softmax(_Attention):
    def weights(self, scores):
        return scores.softmax(-1).masked_fill(_hidden(scores), 0)


@CausalSelfAttention.misconception(
    "The number in the hidden places is negative, but not small enough: where the visible scores "
    "lie as low as that, the future gets a share again. -inf is below every score."
)
class hides_with_a_number_that_is_not_small_enough(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -100.0).softmax(-1)


@CausalSelfAttention.variant(hides_with_a_number_that_is_not_small_enough)
class hides_with_minus_ten(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -10.0).softmax(-1)


@CausalSelfAttention.misconception(
    "Scores were hidden for being 0, and not for lying in the future. A visible score can be "
    "exactly 0 too. Ask the mask where to hide, not the scores."
)
class hides_scores_that_are_zero(_Attention):
    def weights(self, scores):
        scores = scores.masked_fill(_hidden(scores), 0)
        return scores.masked_fill(scores == 0, -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "The mask was made once and is as long and wide as n_embd. How many words there are has "
    "nothing to do with their width: make the mask in `forward`, for the T of this x."
)
class makes_the_mask_as_wide_as_n_embd(_Attention):
    def weights(self, scores):
        C = self.c_proj.weight.shape[0]
        T = scores.shape[-1]
        hidden = torch.ones(C, C, dtype=torch.bool).triu(1)[:T, :T]
        return scores.masked_fill(hidden, -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "Something of the first call was kept, such as its mask, and does not fit the second, which "
    "has fewer words. Make the mask in each `forward`, for the T of this x."
)
class keeps_the_mask_of_the_first_call(_Attention):
    mask = None

    def weights(self, scores):
        if self.mask is None:
            self.mask = _hidden(scores)
        return scores.masked_fill(self.mask, -math.inf).softmax(-1)


@CausalSelfAttention.misconception(
    "The scores are not divided by √hs. The wider the head, the larger the scores, and the softmax "
    "turns large scores into all or nothing."
)
class forgets_the_scale(_Attention):
    def scores(self, q, k):
        return q @ k.mT


@CausalSelfAttention.misconception(
    "The scores are divided by √C. Each head multiplies only hs = C // n_head numbers, so it is "
    "√hs: the last size of q after it was split."
)
class divides_by_the_root_of_n_embd(_Attention):
    def scores(self, q, k):
        return q @ k.mT / math.sqrt(q.shape[-1] * self.n_head)


@CausalSelfAttention.misconception(
    "In the end the scores are divided by hs, and not by its root: the weights come out too even. "
    "(`attention_scores` has divided by √hs already; doing it again gives this, too.)"
)
class divides_by_hs(_Attention):
    def scores(self, q, k):
        return q @ k.mT / q.shape[-1]


@CausalSelfAttention.misconception(
    "The scores are divided by the root of the number of words. What has to be undone is the size "
    "of a dot product of hs numbers, so it is √hs."
)
class divides_by_the_root_of_the_length(_Attention):
    def scores(self, q, k):
        return q @ k.mT / math.sqrt(q.shape[-2])


@CausalSelfAttention.misconception(
    "The scores are divided by the root of n_head. What has to be undone is the size of a dot "
    "product of hs numbers, so it is √hs."
)
class divides_by_the_root_of_n_head(_Attention):
    def scores(self, q, k):
        return q @ k.mT / math.sqrt(self.n_head)


@CausalSelfAttention.misconception(
    "`reshape` and `view` give k the right shape, but a column then holds pieces of several keys. "
    "`transpose(-2, -1)` makes each key a column."
)
class reshapes_k_where_it_should_be_turned(_Attention):
    def scores(self, q, k):
        return q @ k.reshape(*k.shape[:2], k.shape[3], k.shape[2]) / math.sqrt(q.shape[-1])


@CausalSelfAttention.misconception(
    "The softmax ran over the queries, down each column. Each query shares its attention among the "
    "keys: the last axis, dim=-1."
)
class softmax_over_the_queries(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -math.inf).softmax(-2)


@CausalSelfAttention.misconception(
    "The softmax ran over axis 1, and that axis is the heads. Each query shares its attention "
    "among the keys: the last axis, dim=-1."
)
class softmax_over_the_heads(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -math.inf).softmax(1)


@CausalSelfAttention.variant(softmax_over_the_heads)
class softmax_over_the_heads_with_a_large_number(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -1e9).softmax(1)


@CausalSelfAttention.misconception(
    "There is no softmax: the scores themselves were used as weights. They may be negative and sum "
    "to anything; the softmax makes shares of them."
)
class forgets_the_softmax(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), 0)


@CausalSelfAttention.variant(forgets_the_softmax)
class forgets_the_softmax_beside_minus_infinity(_Attention):
    def weights(self, scores):
        return scores.masked_fill(_hidden(scores), -math.inf)


@CausalSelfAttention.misconception(
    "The softmax was taken twice: the shares were taken for scores and shared out again, which "
    "makes them nearly even, and gives the hidden ones e⁰ again."
)
class takes_the_softmax_twice(_Attention):
    def weights(self, scores):
        return super().weights(scores).softmax(-1)


@CausalSelfAttention.misconception(
    "The weights went onto the keys. A key is the label on the folder; what is handed over is the "
    "value inside."
)
class blends_the_keys(_Attention):
    def attend(self, q, k, v):
        return super().attend(q, k, k)


# Gradients, types, arguments


@CausalSelfAttention.misconception(
    "Somewhere a .detach(), no_grad, .data or numpy cut the result off from what it was made of: "
    "the numbers are right, but no gradient comes through, and something could never learn."
)
class cuts_the_gradient__(_Attention):
    def forward(self, x):
        return super().forward(x).detach()


@CausalSelfAttention.variant(cuts_the_gradient__)
class cuts_the_gradient_before_c_proj(_Attention):
    def attend(self, q, k, v):
        return super().attend(q, k, v).detach()


@CausalSelfAttention.misconception(
    "The weights were detached: the values learn, but whom to read never does. The gradient has to "
    "reach q and k as well."
)
class lets_only_the_values_learn(_Attention):
    def weights(self, scores):
        return super().weights(scores).detach()


@CausalSelfAttention.misconception(
    "Something on the way is float32 whatever came in: `torch.zeros(B, T, C)` and `.float()` do "
    "that, and c_proj refuses to multiply two types. Let it have the type of x, as "
    "`x.new_zeros(...)` has."
)
class fills_a_float32_tensor_on_the_way(_Attention):
    def merge(self, y):
        return super().merge(y).float()


@CausalSelfAttention.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the type of x."
)
class always_float32__(_Attention):
    def forward(self, x):
        return super().forward(x).float()


@CausalSelfAttention.misconception(
    "x was changed in place (`+=`, `*=`, `[...] =`): the block around this module still needs it "
    "as it was. Build something new."
)
class changes_x_in_place(_Attention):
    def forward(self, x):
        y = super().forward(x)
        with torch.no_grad():
            x += y
        return y


@CausalSelfAttention.variant(changes_x_in_place)
class adds_to_x_in_place(_Attention):
    def forward(self, x):
        x += super().forward(x)
        return x


# Other right answers, the first three for who has passed


@CausalSelfAttention.also_right
class with_split_heads_and_merge_heads(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        heads = [multihead.split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, -1)]
        y = attention.masked_attention(*heads)
        return self.c_proj(multihead.merge_heads(y))


@CausalSelfAttention.also_right
class from_nothing_but_torch(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        B, T, C = x.shape
        nh, hs = self.n_head, C // self.n_head
        q, k, v = self.c_attn(x).split(C, dim=2)
        q = q.view(B, T, nh, hs).transpose(1, 2)
        k = k.view(B, T, nh, hs).transpose(1, 2)
        v = v.view(B, T, nh, hs).transpose(1, 2)
        scores = q @ k.transpose(-2, -1) / hs**0.5
        hidden = torch.triu(torch.ones(T, T), diagonal=1).bool()
        weights = F.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1)
        y = (weights @ v).transpose(1, 2).reshape(B, T, C)
        return self.c_proj(y)


@CausalSelfAttention.also_right
class one_head_at_a_time(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.hs = n_embd // n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        q, k, v = self.c_attn(x).chunk(3, dim=-1)
        may_read = torch.ones(x.shape[1], x.shape[1]).tril() == 1
        found = []
        for start in range(0, x.shape[2], self.hs):
            columns = slice(start, start + self.hs)
            scores = q[..., columns] @ k[..., columns].mT / self.hs**0.5
            weights = scores.masked_fill(~may_read, -torch.inf).softmax(dim=-1)
            found.append(weights @ v[..., columns])
        return self.c_proj(torch.cat(found, dim=-1))


@CausalSelfAttention.also_right
class the_library_call(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        qkv = self.c_attn(x).unflatten(-1, (3, self.n_head, -1))  # (B, T, 3, nh, hs)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))


@CausalSelfAttention.also_right
class einsum_and_a_mask_made_beforehand(nn.Module):
    def __init__(self, n_embd, n_head, longest=1024):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.register_buffer("mask", torch.ones(longest, longest, dtype=torch.bool).tril())

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, self.n_head, -1).unbind(2)  # (B, T, nh, hs)
        scores = torch.einsum("bthd,bshd->bhts", q, k) * q.shape[-1] ** -0.5
        weights = scores.where(self.mask[:T, :T], -1e9).softmax(-1)
        return self.c_proj(torch.einsum("bhts,bshd->bthd", weights, v).reshape(B, T, C))


EXERCISES = [split_heads, merge_heads, CausalSelfAttention]
