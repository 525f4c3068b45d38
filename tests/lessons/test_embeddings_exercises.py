"""Answers to lesson 03 that its checks do not list: right ones pass, wrong ones do not."""

import copy
import heapq
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import Answers

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.card import Card

answers = Answers()
right, wrong = answers.right, answers.wrong


# embed_tokens: right in other ways


@right("embed_tokens")
def comparing_with_every_id(idx, wte):
    is_row = idx.unsqueeze(-1) == torch.arange(wte.size(0))
    return torch.matmul(is_row.type_as(wte), wte)


@right("embed_tokens")
def einsum_over_one_hots(idx, wte):
    return torch.einsum("btv,vc->btc", F.one_hot(idx, wte.shape[0]).to(wte), wte)


@right("embed_tokens")
def rows_of_an_identity_matrix(idx, wte):
    return torch.eye(len(wte), dtype=wte.dtype)[idx] @ wte if len(wte) < 1000 else wte[idx, :]


@right("embed_tokens")
def gathering(idx, wte):
    B, T = idx.shape
    index = idx.reshape(B * T, 1).expand(-1, wte.shape[1])
    return wte.gather(0, index).view(B, T, -1)


@right("embed_tokens")
def take_along_dim(idx, wte):
    return wte.take_along_dim(idx.reshape(-1, 1), dim=0).unflatten(0, idx.shape)


@right("embed_tokens")
def nested_comprehension(idx, wte):
    return torch.stack([torch.stack([wte[int(i)] for i in row]) for row in idx])


@right("embed_tokens")
def column_by_column(idx, wte):
    return torch.stack([wte[:, c][idx] for c in range(wte.shape[1])], dim=-1)


@right("embed_tokens")
def filling_zeros(idx, wte):
    B, T = idx.shape
    result = torch.zeros(B, T, wte.shape[1], dtype=wte.dtype)
    for b in range(B):
        for t in range(T):
            result[b, t] = wte[idx[b, t].item()]
    return result


@right("embed_tokens")
def scattering_ones(idx, wte):
    one_hot = torch.zeros(*idx.shape, len(wte), dtype=wte.dtype)
    one_hot.scatter_(2, idx.unsqueeze(2), 1.0)
    return one_hot @ wte


@right("embed_tokens")
def bags_of_one(idx, wte):
    return F.embedding_bag(idx.reshape(-1, 1), wte, mode="sum").reshape(*idx.shape, -1)


@right("embed_tokens")
def mapped_over_the_batch(idx, wte):
    return torch.vmap(lambda sequence: wte.index_select(0, sequence))(idx)


@right("embed_tokens")
def nested_lists_as_an_index(idx, wte):
    return wte[torch.tensor(idx.tolist())]


@right("embed_tokens")
def with_a_copy_of_the_ids(idx, wte, verbose=False):
    ids = idx.clone()
    ids += 0
    return wte[ids] * 1


# embed_tokens: wrong


@wrong("embed_tokens", "counts the rows from 1")
def the_row_before(idx, wte):
    return torch.roll(wte, 1, dims=0)[idx]


@wrong("embed_tokens", "takes the next row")
def the_row_after(idx, wte):
    return torch.roll(wte, -1, dims=0)[idx]


@wrong("embed_tokens", "returns the one hot vectors")
def one_hots_by_comparing(idx, wte):
    return (idx[..., None] == torch.arange(len(wte))).to(wte.dtype)


@wrong("embed_tokens", "takes columns")
def turned_table(idx, wte):
    return torch.stack([wte[:, i] for i in idx.flatten()]).view(*idx.shape, -1)


@wrong("embed_tokens", "joins the sequences")
def index_select_without_a_shape(idx, wte):
    return torch.index_select(wte, 0, idx.reshape(-1))


@wrong("embed_tokens", "adds up the vectors of a sequence")
def counts_of_words(idx, wte):
    return F.one_hot(idx, len(wte)).sum(dim=1).to(wte.dtype) @ wte


@wrong("embed_tokens", "looks up the place and not the id")
def first_rows(idx, wte):
    return wte[: idx.shape[1]].repeat(idx.shape[0], 1, 1)


@wrong("embed_tokens", "exchanges batch and time")
def stacked_along_the_wrong_axis(idx, wte):
    return torch.stack([wte[sequence] for sequence in idx], dim=1)


@wrong("embed_tokens", "puts the channels in the middle")
def channels_first(idx, wte):
    return wte[idx].permute(0, 2, 1)


@wrong("embed_tokens", "multiplies by the root of C")
def scaled_as_in_the_first_transformer(idx, wte):
    return F.embedding(idx, wte) * wte.size(-1) ** 0.5


@wrong("embed_tokens", "multiplies integers with floats")
def scattering_integers(idx, wte):
    one_hot = torch.zeros(*idx.shape, len(wte), dtype=torch.int64)
    return one_hot.scatter(2, idx[..., None], 1) @ wte


@wrong("embed_tokens", "lets one hot guess the size of the vocabulary")
def one_hot_without_classes(idx, wte):
    one_hot = F.one_hot(idx)
    return one_hot.to(wte.dtype) @ wte


@wrong("embed_tokens", "cuts the gradient")
def a_module_of_its_own(idx, wte):
    return torch.nn.Embedding.from_pretrained(wte)(idx)


@wrong("embed_tokens", "cuts the gradient")
def a_module_that_learns_by_itself(idx, wte):
    return torch.nn.Embedding.from_pretrained(wte, freeze=False)(idx)


@wrong("embed_tokens", "cuts the gradient")
def through_numpy(idx, wte):
    return torch.from_numpy(wte.detach().numpy()[idx.numpy()])


@wrong("embed_tokens", "always float32")
def into_a_new_table(idx, wte):
    result = torch.zeros(*idx.shape, wte.shape[1])
    for b, sequence in enumerate(idx):
        for t, token_id in enumerate(sequence):
            result[b, t] = wte[token_id]
    return result


@wrong("embed_tokens", "takes id 0 for padding")
def a_row_for_padding(idx, wte):
    return wte[idx].masked_fill((idx == 0)[..., None], 0.0)


@wrong("embed_tokens", "looks up in a new random table")
def a_new_random_table(idx, wte):
    V, C = wte.shape
    table = torch.nn.Embedding(V, C)
    return table(idx)


@wrong("embed_tokens", "looks up in a new random table")
def normal_numbers(idx, wte):
    return torch.randn_like(wte)[idx]


@wrong("embed_tokens")
def numbers_between_0_and_1(idx, wte):
    return torch.rand(*idx.shape, wte.shape[1], dtype=wte.dtype)


@wrong("embed_tokens", "makes the one hot vectors C long")
def as_many_classes_as_columns(idx, wte):
    one_hot = F.one_hot(idx, num_classes=wte.size(-1))
    return one_hot.to(wte.dtype) @ wte


@wrong("embed_tokens", "makes the one hot vectors C long")
def as_many_classes_as_columns_and_no_product(idx, wte):
    _, C = wte.shape
    return F.one_hot(idx, C)


@wrong("embed_tokens")
def ids_as_bytes(idx, wte):
    return wte[idx.to(torch.uint8).long()]


@wrong("embed_tokens")
def ids_as_short_numbers(idx, wte):
    return wte[idx.to(torch.int16).long()]


@wrong("embed_tokens")
def each_id_once(idx, wte):
    return wte[idx.unique()].expand(*idx.shape, -1)


@wrong("embed_tokens")
def bounded_length(idx, wte):
    return F.embedding(idx, wte, max_norm=1.0)


@wrong("embed_tokens")
def gradient_shared_out_by_frequency(idx, wte):
    return F.embedding(idx, wte, scale_grad_by_freq=True)


@wrong("embed_tokens")
def sorted_ids(idx, wte):
    return wte[idx.sort(dim=-1).values]


@wrong("embed_tokens")
def the_first_five(idx, wte):
    x = wte[idx]
    x[:, 5:] = 0
    return x


@wrong("embed_tokens")
def a_list_of_tensors(idx, wte):
    return [wte[sequence] for sequence in idx]


@wrong("embed_tokens")
def a_numpy_array(idx, wte):
    return wte.detach().numpy()[idx.numpy()]


@wrong("embed_tokens")
def counts_down_in_place(idx, wte):
    idx -= 1
    return wte[idx + 1]


@wrong("embed_tokens")
def half_precision(idx, wte):
    return wte.half()[idx].to(wte.dtype)


@wrong("embed_tokens")
def nothing_returned(idx, wte):
    wte[idx]


# nearest_tokens: right in other ways


@right("nearest_tokens")
def with_numpy(token_id, wte, k):
    table = wte.numpy()
    cosine = table @ table[token_id] / np.linalg.norm(table, axis=1)
    return [int(i) for i in np.argsort(-cosine) if i != token_id][:k]


@right("nearest_tokens")
def with_a_heap(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id].unsqueeze(0)).tolist()
    others = (i for i in range(len(cosine)) if i != token_id)
    return heapq.nlargest(k, others, key=cosine.__getitem__)


@right("nearest_tokens")
def all_cosines_of_all(token_id, wte, k):
    direction = F.normalize(wte, dim=1)
    cosine = direction @ direction.T
    cosine.fill_diagonal_(-2)
    return cosine[token_id].topk(k)[1].tolist()


@right("nearest_tokens")
def by_hand(token_id, wte, k):
    rows = wte.tolist()
    own = rows[token_id]

    def cosine(i):
        dot = sum(a * b for a, b in zip(rows[i], own, strict=True))
        return dot / math.sqrt(sum(a * a for a in rows[i]))

    ids = list(range(token_id)) + list(range(token_id + 1, len(rows)))
    return sorted(ids, key=cosine, reverse=True)[:k]


@right("nearest_tokens")
def distances_of_directions(token_id, wte, k):
    direction = torch.nn.functional.normalize(wte)
    far = torch.cdist(direction[token_id][None], direction)[0]
    far[token_id] = torch.inf
    return far.topk(k, largest=False).indices.tolist()


@right("nearest_tokens")
def by_angle(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    angle = cosine.clamp(-1, 1).acos().tolist()
    return sorted((i for i in range(len(wte)) if i != token_id), key=lambda i: angle[i])[:k]


@right("nearest_tokens")
def without_its_row_and_counted_again(token_id, wte, k):
    others = torch.cat([wte[:token_id], wte[token_id + 1 :]])
    ranked = F.cosine_similarity(others, wte[token_id], dim=1).argsort(descending=True)
    return [i + 1 if i >= token_id else i for i in ranked.tolist()][:k]


@right("nearest_tokens")
def one_more_and_itself_removed(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    cosine[token_id] = 2
    return cosine.argsort(descending=True)[1 : k + 1].tolist()


@right("nearest_tokens")
def equal_ones_the_other_way_round(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
    others = [i for i in reversed(range(len(wte))) if i != token_id]
    return sorted(others, key=lambda i: -round(cosine[i], 12 if wte.dtype.itemsize == 8 else 6))[:k]


@right("nearest_tokens")
def with_a_little_in_the_denominator(token_id, wte, k):
    norms = wte.square().sum(1).sqrt()
    cosine = (wte * wte[token_id]).sum(1) / (norms * norms[token_id] + 1e-8)
    cosine[token_id] = float("-inf")
    return cosine.sort(descending=True).indices.tolist()[:k]


@right("nearest_tokens")
def signed_square_of_the_cosine(token_id, wte, k):
    dot = wte @ wte[token_id]
    ranking = dot * dot.abs() / wte.square().sum(-1)
    ranking[token_id] = -math.inf
    return ranking.topk(k).indices.tolist()


@right("nearest_tokens")
def cut_off_after_leaving_itself_out(token_id, wte, k):
    best = F.cosine_similarity(wte, wte[token_id], dim=-1).topk(k + 1).indices.tolist()
    return [i for i in best if i != token_id][:k]


@right("nearest_tokens")
def any_choice_among_equals(token_id, wte, k):
    cosine = F.cosine_similarity(wte.double(), wte[token_id].double(), dim=-1).tolist()
    ids = [i for i in range(len(wte)) if i != token_id]
    ids = ids[2:] + ids[:2]
    return sorted(ids, key=lambda i: -cosine[i])[:k]


# nearest_tokens: wrong


@wrong("nearest_tokens", "removes itself where it may be missing")
def one_more_and_itself_dropped(token_id, wte, k):
    direction = F.normalize(wte, dim=-1)
    cosines = direction @ direction[token_id]
    best = cosines.topk(k + 1).indices.tolist()
    best.remove(token_id)
    return best


@wrong("nearest_tokens", "gives k plus 1 where itself is missing")
def one_more_and_itself_filtered(token_id, wte, k):
    direction = wte / wte.norm(dim=-1, keepdim=True)
    cosines = direction @ direction[token_id]
    return [i for i in cosines.topk(k + 1).indices.tolist() if i != token_id]


@wrong("nearest_tokens", "gives k plus 1 where itself is missing")
def one_more_of_a_sort_and_itself_filtered(token_id, wte, k):
    cosines = F.cosine_similarity(wte, wte[token_id], dim=-1)
    best = cosines.argsort(descending=True)[: k + 1].tolist()
    return [i for i in best if i != token_id]


@wrong("nearest_tokens", "removes itself where it may be missing")
def one_more_from_the_end_and_itself_dropped(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
    best = sorted(range(len(wte) - 1, -1, -1), key=lambda i: -cosine[i])[: k + 1]
    best.remove(token_id)
    return best


@wrong("nearest_tokens", "gives the farthest")
def descending_forgotten(token_id, wte, k):
    cosines = F.cosine_similarity(wte, wte[token_id], dim=-1)
    return cosines.argsort()[:k].tolist()


@wrong("nearest_tokens", "gives the farthest")
def descending_forgotten_and_itself_first(token_id, wte, k):
    direction = wte / wte.norm(dim=-1, keepdim=True)
    cosines = direction @ direction[token_id]
    cosines[token_id] = -torch.inf
    return cosines.argsort()[:k].tolist()


@wrong("nearest_tokens", "divides without keepdim")
def lengths_in_a_row(token_id, wte, k):
    unit = wte / wte.norm(dim=-1)
    cosines = unit @ unit[token_id]
    cosines[token_id] = -torch.inf
    return cosines.topk(k).indices.tolist()


@wrong("nearest_tokens", "takes the mean of each row away")
def correlation(token_id, wte, k):
    similarity = torch.corrcoef(wte)[token_id]
    similarity[token_id] = -torch.inf
    return similarity.topk(k).indices.tolist()


@wrong("nearest_tokens", "takes the mean row of the table away")
def around_the_middle_of_the_table(token_id, wte, k):
    centred = wte - wte.mean(0)
    direction = centred / centred.norm(dim=-1, keepdim=True)
    cosines = direction @ direction[token_id]
    cosines[token_id] = -torch.inf
    return cosines.topk(k).indices.tolist()


@wrong("nearest_tokens", "takes the dot product")
def only_its_own_length(token_id, wte, k):
    dot = wte @ (wte[token_id] / wte[token_id].norm())
    dot[token_id] = -math.inf
    return dot.topk(k).indices.tolist()


@wrong("nearest_tokens", "takes the dot product")
def the_length_of_the_whole_table(token_id, wte, k):
    unit = wte / wte.norm()
    ranked = sorted(range(len(wte)), key=lambda i: -(unit[i] @ unit[token_id]).item())
    return [i for i in ranked if i != token_id][:k]


@wrong("nearest_tokens", "takes the distance")
def smallest_squared_difference(token_id, wte, k):
    far = ((wte - wte[token_id]) ** 2).mean(dim=1)
    far[token_id] = math.inf
    return far.argsort()[:k].tolist()


@wrong("nearest_tokens", "keeps itself")
def the_top_k_of_all(token_id, wte, k):
    return F.cosine_similarity(wte, wte[token_id][None]).topk(k).indices.tolist()


@wrong("nearest_tokens", "gives k and itself")
def the_top_k_plus_1(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id][None]).tolist()
    return sorted(range(len(wte)), key=lambda i: -cosine[i])[: k + 1]


@wrong("nearest_tokens", "removes itself from k")
def k_less_one(token_id, wte, k):
    found = F.cosine_similarity(wte, wte[token_id][None]).topk(k).indices.tolist()
    if token_id in found:
        found.remove(token_id)
    return found


@wrong("nearest_tokens", "sets its own cosine to 0")
def multiplied_by_a_mask(token_id, wte, k):
    mask = torch.ones(len(wte))
    mask[token_id] = 0
    return (F.cosine_similarity(wte, wte[token_id], dim=-1) * mask).topk(k).indices.tolist()


@wrong("nearest_tokens", "gives the farthest")
def smallest_cosine_first(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
    return sorted((i for i in range(len(wte)) if i != token_id), key=lambda i: cosine[i])[:k]


@wrong("nearest_tokens", "takes opposite for near")
def squared_cosine(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1) ** 2
    cosine[token_id] = -1
    return cosine.topk(k).indices.tolist()


@wrong("nearest_tokens", "divides the columns by their length")
def normalised_down_the_columns(token_id, wte, k):
    direction = F.normalize(wte, dim=0)
    similarity = direction @ direction[token_id]
    similarity[token_id] = -math.inf
    return similarity.topk(k).indices.tolist()


@wrong("nearest_tokens", "loses count behind the token")
def its_row_deleted(token_id, wte, k):
    kept = torch.tensor([i for i in range(len(wte)) if i != token_id])
    cosine = F.cosine_similarity(wte[kept], wte[token_id][None])
    return cosine.argsort(descending=True)[:k].tolist()


@wrong("nearest_tokens", "returns the cosines")
def the_values_of_topk(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    cosine[token_id] = -math.inf
    return cosine.sort(descending=True).values[:k].tolist()


@wrong("nearest_tokens", "returns a tensor")
def indices_as_they_are(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    cosine[token_id] = -math.inf
    return cosine.topk(k).indices


@wrong("nearest_tokens", "returns a list of tensors")
def a_loop_over_a_tensor(token_id, wte, k):
    return [i for i in the_librarys_ranking(token_id, wte) if i != token_id][:k]


@wrong("nearest_tokens", "sorts the ids")
def as_a_set(token_id, wte, k):
    return list(set([i.item() for i in the_librarys_ranking(token_id, wte) if i != token_id][:k]))


@wrong("nearest_tokens")
def changes_its_own_row(token_id, wte, k):
    own = wte[token_id].clone()
    wte[token_id] = -own
    return F.cosine_similarity(wte, own, dim=-1).topk(k).indices.tolist()


@wrong("nearest_tokens")
def equal_cosines_lose_each_other(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
    ids = {c: i for i, c in enumerate(cosine) if i != token_id}
    return [ids[c] for c in sorted(ids, reverse=True)][:k]


@wrong("nearest_tokens")
def only_those_that_point_the_same_way(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    ranked = [i.item() for i in the_librarys_ranking(token_id, wte) if i != token_id]
    return [i for i in ranked if cosine[i] > 0][:k]


@wrong("nearest_tokens")
def ranks_and_not_ids(token_id, wte, k):
    ranks = the_librarys_ranking(token_id, wte).argsort().tolist()
    return ranks[:k]


@wrong("nearest_tokens")
def a_tuple(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    cosine[token_id] = -math.inf
    return tuple(cosine.topk(k).indices.tolist())


@wrong("nearest_tokens")
def numpys_integers(token_id, wte, k):
    cosine = wte.numpy() @ wte[token_id].numpy() / np.linalg.norm(wte.numpy(), axis=1)
    return [i for i in np.argsort(-cosine) if i != token_id][:k]


@wrong("nearest_tokens")
def pairs_with_their_cosines(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    cosine[token_id] = -math.inf
    top = cosine.topk(k)
    return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


@wrong("nearest_tokens")
def the_neighbours_of_token_0(token_id, wte, k):
    return engine.find("nearest_tokens").reference(0, wte, k)


@wrong("nearest_tokens")
def always_three(token_id, wte, k):
    return engine.find("nearest_tokens").reference(token_id, wte, min(3, len(wte) - 1))


@wrong("nearest_tokens")
def sums_of_differences(token_id, wte, k):
    far = F.normalize(wte, p=1, dim=-1)
    far = (far - far[token_id]).abs().sum(-1)
    far[token_id] = math.inf
    return far.topk(k, largest=False).indices.tolist()


@wrong("nearest_tokens")
def rounded_cosines(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
    others = [i for i in range(len(wte)) if i != token_id]
    return sorted(others, key=lambda i: -round(cosine[i], 2))[:k]


def the_librarys_ranking(token_id, wte):
    return F.cosine_similarity(wte, wte[token_id], dim=-1).argsort(descending=True)


# The claims


@pytest.mark.parametrize(("exercise", "answer"), answers.right_ones)
def test_right_answers_that_are_not_listed_pass(exercise, answer):
    result = checks.run(exercise, answer)
    assert result.status == "passed", result.message


@pytest.mark.parametrize(("exercise", "answer", "named"), answers.wrong_ones)
def test_wrong_answers_that_are_not_listed_do_not_pass(exercise, answer, named):
    result = checks.run(exercise, answer)
    assert result.status in ("failed", "error")
    if named:
        assert result.misconception == named, result.message


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


def _right_answers(*exercises):
    for exercise in map(engine.find, exercises):
        yield exercise, exercise.reference
        for other in exercise.other_answers:
            yield exercise, other.answer


def test_every_property_holds_of_every_right_answer_and_of_what_it_returns():
    for exercise, answer in _right_answers("embed_tokens", "nearest_tokens"):
        for prop in exercise.properties:
            assert prop.holds(answer), (answer, prop.claim)
            for case in exercise.cases:
                if prop.of_result and not case.gradients:
                    got = exercise.call(answer, *copy.deepcopy(case.args))
                    assert prop.of_result(got, *case.args), (answer, prop.claim, case.label)


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
