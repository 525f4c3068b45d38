"""The exercises of lesson 02: from text to ids and back, by merging pairs."""

from __future__ import annotations

import random
from collections import Counter
from functools import reduce
from itertools import accumulate, combinations, groupby, pairwise
from math import inf

import numpy as np

from gpt2course import tokenizer
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.mistakes import fresh

SENTENCES = (
    "A robot must obey orders. The other robot obeys no orders: it orders robots about. "
    "Où est l'autre café? The robots' orders, 1024 of them, are in order, and they obey."
)
CHUNKS = tokenizer.split_text(SENTENCES)
MERGES = tokenizer.train_merges(CHUNKS, 60)
ROBOT = list("🤖".encode())  # 240, 159, 164, 150


def _drawn(n: int, choices: str | range, seed: int) -> list:
    """n draws, the same on every run."""
    return random.Random(seed).choices(choices, k=n)


def _apart(text: str) -> list[int]:
    """The numbers of a text, each an object of its own, so that `is` does not find them equal."""
    return [int(number) for number in text.split()]


# count_pairs ------------------------------------------------------------------------------------


def _second_call(answer, ids):
    """What the second of two calls gives: counts that are left from the first would show.

    Where they do, the result is that of two calls alone, without what calls before them left.
    """
    answer = fresh(answer)
    before = answer(list(ids))
    before = dict(before) if isinstance(before, dict) else before  # the call may hand it out again
    counts = answer(ids)
    if not isinstance(counts, dict) or not isinstance(before, dict):
        return counts
    if before == counts:
        return dict(counts)  # so that a card shows a dict, and no Counter
    return {p: 2 * (n - before.get(p, 0)) for p, n in counts.items() if n != before.get(p, 0)}


def _runs_are_counted(counts, ids) -> bool:
    right = tokenizer.count_pairs(ids)
    return all(counts.get(pair, 0) == n for pair, n in right.items() if pair[0] == pair[1])


def _orders_are_apart(counts, ids) -> bool:
    """Where a pair occurs in both orders, both are keys."""
    pairs = {(a, b) for a, b in pairwise(ids) if a != b}
    return all(pair in counts for pair in pairs if pair[::-1] in pairs)


count_pairs = Exercise(
    tokenizer.count_pairs,
    lesson="02_tokens",
    call=_second_call,
    cases=[
        Case("five ids", ([1, 2, 3, 1, 2],)),
        Case("a run of three", ([1, 1, 1],)),
        Case("the same two ids in both orders", ([2, 1, 2],)),
        Case("two ids", ([5, 9],)),
        Case("one id", ([7],)),
        Case("no id", ([],)),
        Case("longer runs among others", ([3, 1, 1, 1, 1, 1, 3, 1, 1],)),
        Case("ids above 255", (_apart("256 97 300 256 97 50000"),)),
        Case("the bytes of a sentence", (list(SENTENCES.encode()),)),
        Case("a thousand ids of seven kinds", (_drawn(1000, range(7), seed=1),)),
    ],
    properties=[
        Property(
            "the keys are tuples of two ids",
            lambda f: all(isinstance(k, tuple) and len(k) == 2 for k in f([1, 2, 3, 1, 2])),
            of_result=lambda got, ids: all(isinstance(k, tuple) and len(k) == 2 for k in got),
        ),
        Property(
            "n ids have n - 1 pairs in all",
            lambda f: sum(f([1, 2, 3, 1, 2]).values()) == 4,
            of_result=lambda got, ids: sum(got.values()) == max(0, len(ids) - 1),
        ),
        Property(
            "a run of three holds two pairs",
            lambda f: f([1, 1, 1]).get((1, 1)) == 2,
            of_result=_runs_are_counted,
        ),
        Property(
            "(1, 2) and (2, 1) are counted apart",
            lambda f: {(1, 2), (2, 1)} <= set(f([3, 1, 2, 1, 2, 1, 2, 3])),
            of_result=_orders_are_apart,
        ),
        Property("one id has no pair", lambda f: len(f([7])) == 0),
    ],
)


@count_pairs.misconception(
    "In a run of equal ids every second pair was left out. `[1, 1, 1]` has two pairs of "
    "neighbours, the first with the second and the second with the third, although only one can be "
    "merged. Counting looks at all neighbours; it is the merging that may not overlap."
)
def counts_without_overlap(ids):
    return {p: len(ids) - len(tokenizer.merge_pair(ids, p, -1)) for p in set(pairwise(ids))}


@count_pairs.misconception(
    "The ids were taken two by two: first and second, third and fourth. Each id has a neighbour on "
    "both sides: after (first, second) comes (second, third)."
)
def takes_the_ids_two_by_two(ids):
    return dict(Counter(zip(ids[::2], ids[1::2], strict=False)))


@count_pairs.misconception(
    "The two ids of a pair were sorted (or put into a set), so that (1, 2) and (2, 1) share one "
    "count. Order is all in a text: `ob` is not `bo`."
)
def forgets_the_order(ids):
    return dict(Counter((min(pair), max(pair)) for pair in pairwise(ids)))


@count_pairs.misconception(
    "The last pair is missing. Of n ids the last pair begins at position n - 2, so the loop runs "
    "over `range(len(ids) - 1)`."
)
def forgets_the_last_pair(ids):
    return dict(Counter(list(pairwise(ids))[:-1]))


@count_pairs.misconception(
    "The first pair is missing: the loop begins one too late. The first pair is (ids[0], ids[1])."
)
def forgets_the_first_pair(ids):
    return dict(Counter(list(pairwise(ids))[1:]))


@count_pairs.misconception(
    "Each id was paired with the one after the next. The neighbour is one place further: `zip(ids, "
    "ids[1:])`."
)
def pairs_with_the_one_after_next(ids):
    return dict(Counter(zip(ids, ids[2:], strict=False)))


@count_pairs.misconception(
    "There is one pair too many: the last id with the first. `ids[i - 1]` with i = 0 is `ids[-1]`, "
    "the last one. A text has two ends and does not close into a ring."
)
def joins_the_end_to_the_beginning(ids):
    return dict(Counter((ids[i - 1], ids[i]) for i in range(len(ids))))


@count_pairs.misconception(
    "Every id was paired with every later one. A pair is two neighbours, nothing in between."
)
def pairs_everything_with_everything(ids):
    return dict(Counter(combinations(ids, 2)))


@count_pairs.misconception(
    "The loop looks one id past the end: the last id has no right neighbour. Stop one earlier, at "
    "`range(len(ids) - 1)`."
)
def looks_past_the_end(ids):
    counts = Counter()
    for i in range(len(ids)):
        counts[ids[i], ids[i + 1]] += 1
    return counts


@count_pairs.misconception(
    "The keys are strings. A pair is a tuple of two ids, `(1, 2)`: it goes on to `merge_pair` as "
    "it is, and 1 with 12 must not look like 11 with 2."
)
def writes_the_keys_as_text(ids):
    return dict(Counter(f"{a},{b}" for a, b in pairwise(ids)))


@count_pairs.misconception(
    "Single ids were counted. What is asked for is how often each pair of neighbours occurs."
)
def counts_single_ids(ids):
    return dict(Counter(ids))


@count_pairs.misconception(
    "Every pair has the count 1: the count was written anew each time and never grew. Add 1 to "
    "what is there: `counts[pair] = counts.get(pair, 0) + 1`."
)
def counts_every_pair_once(ids):
    return dict.fromkeys(pairwise(ids), 1)


@count_pairs.misconception(
    "Every count is one too small: a pair that is seen for the first time got 0. It has been seen "
    "once, so it begins with 1."
)
def begins_at_zero(ids):
    return {pair: count - 1 for pair, count in Counter(pairwise(ids)).items()}


@count_pairs.misconception(
    "Every count is one too large: a pair that is seen for the first time got 1, and then 1 was "
    "added. Before its first time it has been seen 0 times: `counts.get(pair, 0) + 1`."
)
def begins_at_one_and_adds_one(ids):
    return {pair: count + 1 for pair, count in Counter(pairwise(ids)).items()}


@count_pairs.misconception(
    "The `return` stands inside the loop, so the function ends after the first pair. Move it "
    "to the left, to the height of the `for`."
)
def returns_after_the_first_pair(ids):
    for pair in pairwise(ids):
        return {pair: 1}


@count_pairs.misconception(
    "`ids[i:i+2]` is a list, and a list cannot be the key of a dict, since it can be changed. Make "
    "a tuple of it: `(ids[i], ids[i + 1])`, or `tuple(ids[i:i+2])`."
)
def takes_lists_as_keys(ids):
    return dict(Counter(ids[i : i + 2] for i in range(len(ids) - 1)))


@count_pairs.misconception(
    "The counts of an earlier call are still in there. A dict that is made outside the function, "
    "or as a default such as `counts={}`, is made once and shared by all calls. Make it inside."
)
def keeps_the_counts_of_earlier_calls(ids, counts={}):  # noqa: B006
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return dict(counts)


@count_pairs.misconception(
    "It is a list of pairs and counts. A dict is asked for, since what follows looks a pair up: "
    "`counts[pair]`."
)
def returns_a_list(ids):
    return Counter(pairwise(ids)).most_common()


@count_pairs.misconception(
    "These are the pairs themselves, and not how often each occurs. Count them in a dict."
)
def returns_the_pairs(ids):
    return list(pairwise(ids))


@count_pairs.misconception(
    "The counts are right, but the list that came in is not what it was before: `pop` and `append` "
    "change it. Whoever called still needs it. Read the ids by position, or go over `zip(ids, "
    "ids[1:])`."
)
def changes_the_ids(ids):
    counts = Counter()
    while len(ids) > 1:
        counts[ids.pop(0), ids[0]] += 1
    return counts


@count_pairs.also_right
def zip_with_the_list_one_later(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):  # noqa: B905
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@count_pairs.also_right
def a_counter_of_pairwise(ids):
    return Counter(pairwise(ids))


@count_pairs.also_right
def by_position(ids):
    counts = {}
    for i in range(len(ids) - 1):
        pair = ids[i], ids[i + 1]
        if pair not in counts:
            counts[pair] = 0
        counts[pair] += 1
    return counts


@count_pairs.also_right
def sorted_and_grouped(ids):
    pairs = sorted(zip(ids, ids[1:]))  # noqa: B905
    return {pair: len(list(same)) for pair, same in groupby(pairs)}


@count_pairs.also_right
def with_numpy(ids):
    pairs, counts = np.unique([ids[:-1], ids[1:]], axis=1, return_counts=True)
    return {tuple(pair): n for pair, n in zip(pairs.T.astype(int).tolist(), counts.tolist())}  # noqa: B905


# merge_pair -------------------------------------------------------------------------------------

merge_pair = Exercise(
    tokenizer.merge_pair,
    lesson="02_tokens",
    cases=[
        Case("the pair at both ends", ([1, 2, 3, 1, 2], (1, 2), 4)),
        Case("a run of three", ([1, 1, 1], (1, 1), 4)),
        Case("a run of four", ([1, 1, 1, 1], (1, 1), 4)),
        Case("the pair in the middle", ([3, 1, 2, 3], (1, 2), 4)),
        Case("first half of the pair before the pair", ([1, 3, 1, 1, 2, 2, 1], (1, 2), 4)),
        Case("the pair twice, one after the other", ([1, 2, 1, 2, 3], (1, 2), 4)),
        Case("the two ids in the other order", ([2, 1, 3, 2, 1], (1, 2), 4)),
        Case("the pair does not occur", ([5, 6, 7], (1, 2), 4)),
        Case("nothing but the pair", ([1, 2], (1, 2), 4)),
        Case("one id", ([1], (1, 2), 4)),
        Case("no id", ([], (1, 2), 4)),
        Case("digits that only look like the pair", ([11, 2, 1, 22, 1, 2], (1, 2), 4)),
        Case("ids above 255", (_apart("300 301 97 300 300 301"), (300, 301), 50000)),
        Case("a thousand ids of three kinds", (_drawn(1000, range(3), seed=2), (1, 1), 256)),
        Case("five hundred ids of two kinds", (_drawn(500, range(2), seed=3), (1, 0), 256)),
    ],
    properties=[
        Property(
            "the pair is gone",
            lambda f: (1, 2) not in pairwise(f([1, 2, 3, 1, 2], (1, 2), 4)),
            of_result=lambda got, ids, pair, new_id: pair not in pairwise(got),
        ),
        Property(
            "nothing is lost: the new id, opened again, gives the old ids",
            lambda f: _opened(f([3, 1, 2, 2, 1, 2], (1, 2), 4), 4, (1, 2)) == [3, 1, 2, 2, 1, 2],
            of_result=lambda got, ids, pair, new_id: _opened(got, new_id, pair) == ids,
        ),
        Property(
            "a list without the pair stays as it is",
            lambda f: f([5, 6, 7], (1, 2), 4) == [5, 6, 7],
            of_result=lambda got, ids, pair, new_id: pair in pairwise(ids) or got == ids,
        ),
        Property("the other order is another pair", lambda f: f([2, 1], (1, 2), 4) == [2, 1]),
        Property(
            "a run is merged from the left",
            lambda f: f([1, 1, 1], (1, 1), 4)[0] == 4,
            of_result=lambda got, ids, pair, new_id: (
                pair[0] != pair[1] or tuple(ids[:2]) != pair or got[0] == new_id
            ),
        ),
    ],
)


def _opened(ids: list[int], new_id: int, pair: tuple[int, int]) -> list[int]:
    return [i for token_id in ids for i in (pair if token_id == new_id else (token_id,))]


@merge_pair.misconception(
    "The result is right, but the list that came in was changed on the way (`ids[i:i+2] = "
    "[new_id]`). Whoever called still needs it. Build a new list, or begin with a copy: "
    "`list(ids)`."
)
def changes_the_list_that_came_in(ids, pair, new_id):
    ids[:] = tokenizer.merge_pair(ids, pair, new_id)
    return ids


@merge_pair.misconception(
    "The pair was merged in both orders. (2, 1) is another pair than (1, 2), with an id of its own "
    "if it should get one."
)
def merges_the_other_order_too(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and sorted(ids[i : i + 2]) == sorted(pair):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@merge_pair.misconception(
    "Only the first place was merged. The pair is replaced wherever it occurs: go on behind it."
)
def merges_only_the_first_place(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


@merge_pair.misconception(
    "The last id is lost where it is not part of a merge. A loop that stops at `len(ids) - 1` "
    "never comes to it: let it run to `len(ids)`, and ask there whether a neighbour exists."
)
def loses_the_last_id(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@merge_pair.misconception(
    "The second id of the pair is still there, behind the new id. The new id stands for both: "
    "after a merge go on two places further."
)
def keeps_the_second_id(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair
        merged += [new_id, ids[i + 1]] if found else [ids[i]]
        i += 2 if found else 1
    return merged


@merge_pair.misconception(
    "The second id of the pair was looked at once more. A `for` loop sets `i` anew in every round, "
    "so `i += 2` inside it has no effect; and over `zip(ids, ids[1:])` nothing skips. Move `i` "
    "yourself, in a `while` loop."
)
def a_for_loop_does_not_skip(ids, pair, new_id):
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
    return merged


@merge_pair.variant(a_for_loop_does_not_skip)
def goes_over_zip_without_skipping(ids, pair, new_id):
    return [new_id if (a, b) == pair else a for a, b in pairwise(ids)]


@merge_pair.misconception(
    "Everything after the first merge is lost. If you keep a sign that the next id is to be "
    "skipped, such as `skip = True`, take it back as soon as that one id has been skipped."
)
def skips_all_that_follows_a_merge(ids, pair, new_id):
    merged, skip = [], False
    for i, token_id in enumerate(ids):
        if skip:
            continue
        skip = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if skip else token_id)
    return merged


@merge_pair.misconception(
    "The pair became 256 whatever was asked for. The id to put in its place is the third argument, "
    "`new_id`."
)
def writes_256_for_every_pair(ids, pair, new_id):
    return tokenizer.merge_pair(ids, pair, 256)


@merge_pair.misconception(
    "In a run every pair of neighbours was merged, so that the inner ids count twice. An id can be "
    "part of one merge only: after a merge go on two places further, `i += 2`."
)
def merges_overlapping_pairs(ids, pair, new_id):
    merged, inside = [], False
    for i in range(len(ids)):
        found = i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair
        if found:
            merged.append(new_id)
        elif not inside:
            merged.append(ids[i])
        inside = found
    return merged


@merge_pair.misconception(
    "What is no part of the pair got lost. An id that is not merged goes on into the new list."
)
def drops_what_is_not_merged(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            i += 1
    return merged


@merge_pair.misconception(
    "After a merge one id too many was skipped: the loop went on three places further. The pair is "
    "two ids long, so it is `i += 2` there (and nothing added after that)."
)
def skips_the_id_after_a_merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 3
        else:
            merged.append(ids[i])
            i += 1
    return merged


@merge_pair.misconception(
    "The loop always goes on two places further, so it only sees pairs that begin at an even "
    "position. Two places after a merge, one place otherwise."
)
def looks_at_every_second_place(ids, pair, new_id):
    merged = []
    for i in range(0, len(ids), 2):
        merged += [new_id] if tuple(ids[i : i + 2]) == pair else ids[i : i + 2]
    return merged


@merge_pair.misconception(
    "A run was merged from its right end: `[1, 1, 1]` became `[1, 4]`. Encoding must give the same "
    "ids as training did, so all agree on one direction, and that is left to right: `[4, 1]`."
)
def merges_from_the_right(ids, pair, new_id):
    return tokenizer.merge_pair(ids[::-1], pair[::-1], new_id)[::-1]


@merge_pair.misconception(
    "Each id of the pair was replaced wherever it stands. Only where the two are neighbours, in "
    "this order, does the new id take their place."
)
def replaces_single_ids(ids, pair, new_id):
    return [new_id if token_id in pair else token_id for token_id in ids]


@merge_pair.misconception(
    "The new id was added, and the pair was left in. It should stand in place of the two."
)
def adds_the_new_id_behind_the_pair(ids, pair, new_id):
    merged = []
    for i, token_id in enumerate(ids):
        merged.append(token_id)
        if i and (ids[i - 1], token_id) == pair:
            merged.append(new_id)
    return merged


@merge_pair.misconception(
    "Nothing was merged: the comparison is never true. `ids[i:i+2]` is a list and `pair` a tuple, "
    "and Python calls no list equal to a tuple. Compare `(ids[i], ids[i + 1]) == pair`."
)
def merges_nothing(ids, pair, new_id):
    return list(ids)


@merge_pair.misconception(
    "The search gave up where the first id of the pair stands without the second. `ids.index` "
    "finds only the first such place: look further on, to the end of the list."
)
def gives_up_where_the_first_id_stands_alone(ids, pair, new_id):
    merged, i = [], 0
    while pair[0] in ids[i:]:
        found = ids.index(pair[0], i)
        if tuple(ids[found : found + 2]) != pair:
            break
        merged += [*ids[i:found], new_id]
        i = found + 2
    return merged + ids[i:]


@merge_pair.misconception(
    "The ids were written out as text and the pair replaced there. But `1 2` also hides in `11 2` "
    "and in `1 22`. Compare the ids themselves."
)
def replaces_in_written_numbers(ids, pair, new_id):
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(number) for number in text.split()]


@merge_pair.misconception(
    "The list gets shorter while the loop still counts to its old length, until it looks past the "
    "end. Use `while i < len(ids)`, or build a new list beside the old one."
)
def shortens_the_list_under_the_loop(ids, pair, new_id):
    ids = list(ids)
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
    return ids


@merge_pair.misconception(
    "The last id has no right neighbour, and the loop asks for it: `ids[i + 1]` fails there. Ask "
    "first whether there is one: `i + 1 < len(ids)`."
)
def asks_for_a_neighbour_of_the_last_id(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@merge_pair.misconception(
    "The ids were compared with `is`. That asks whether two names mean the same object, and for "
    "numbers above 256 Python often keeps several equal objects. Compare with `==`."
)
def compares_with_is(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@merge_pair.also_right
def over_a_stack(ids, pair, new_id):
    merged = []
    for token_id in ids:
        if merged and (merged[-1], token_id) == pair:
            merged[-1] = new_id
        else:
            merged.append(token_id)
    return merged


@merge_pair.also_right
def in_a_copy(ids, pair, new_id):
    ids, i = list(ids), 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


@merge_pair.also_right
def as_a_text_with_a_character_for_each_id(ids, pair, new_id):
    text = "".join(map(chr, ids))
    return list(map(ord, text.replace(chr(pair[0]) + chr(pair[1]), chr(new_id))))


@merge_pair.also_right
def with_an_iterator(ids, pair, new_id):
    places = iter(range(len(ids)))
    merged = []
    for i in places:
        found = ids[i : i + 2] == list(pair)
        merged.append(new_id if found else ids[i])
        if found:
            next(places)
    return merged


@merge_pair.also_right
def one_place_at_a_time(ids, pair, new_id):
    merged, skip = [], False
    for i, token_id in enumerate(ids):
        if skip:
            skip = False
        elif i + 1 < len(ids) and token_id == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            skip = True
        else:
            merged.append(token_id)
    return merged


# train_merges -----------------------------------------------------------------------------------

train_merges = Exercise(
    tokenizer.train_merges,
    lesson="02_tokens",
    cases=[
        Case("one merge", ([b"bab", b"ab"], 1)),
        Case("two merges, the second on top of the first", ([b"abc", b"abc", b"ab"], 2)),
        Case("a tie goes to the smaller pair", ([b"ba", b"ab"], 1)),
        Case("a tie: 97 is smaller than 100", ([b"da", b"ac"], 1)),
        Case("a tie: the first ids decide", ([b"ad", b"bc"], 1)),
        Case("never across chunks", ([b"ab", b"ab", b"ab"], 2)),
        Case("a chunk that occurs twice counts twice", ([b"ab", b"cd", b"cd"], 1)),
        Case("a pair that occurs once is merged too", ([b"abc"], 2)),
        Case("fewer pairs than merges", ([b"abc", b"b"], 5)),
        Case("a run counts each pair of neighbours", ([b"bbb", b"ac"], 1)),
        Case("a run of five", ([b"aaaaa"], 3)),
        Case("a tie between an old and a new id", ([b"aab", b"aa", b"bc"], 2)),
        Case("no merges", ([b"abab"], 0)),
        Case("no chunks", ([], 3)),
        Case("empty chunks and single bytes", ([b"", b"a", b"b", b""], 3)),
        Case("bytes that are no text", ([b"\xff\x00\xff\x00", b"\x00\xff", b"\xfe"], 4)),
        Case("characters of several bytes", (["é".encode(), " é".encode(), "🤖".encode()], 6)),
        Case("a sentence", (CHUNKS, 60)),
        Case(
            "long runs of two letters", ([bytes(_drawn(40, b"ab", seed)) for seed in range(4)], 40)
        ),
        Case("three letters, many ties", ([bytes(_drawn(9, b"xyz", s)) for s in range(20)], 50)),
    ],
    properties=[
        Property(
            "at most n_merges pairs",
            lambda f: len(f([b"abab"], 2)) <= 2,
            of_result=lambda got, chunks, n_merges: len(got) <= n_merges,
        ),
        Property(
            "it begins with a pair that occurs most often",
            lambda f: f([b"xab", b"ab"], 1)[0] == (97, 98),
            of_result=lambda got, chunks, n_merges: not got or got[0] in _most_frequent(chunks),
        ),
        Property(
            "of equally frequent pairs it begins with the smaller one",
            lambda f: f([b"ba", b"ab"], 1)[0] == (97, 98),
            of_result=lambda got, chunks, n_merges: (
                not got or got[0] not in (most := _most_frequent(chunks)) or got[0] == min(most)
            ),
        ),
        Property(
            "the first new id is 256",
            lambda f: f([b"abc", b"abc"], 2)[1] == (256, 99),
            of_result=lambda got, chunks, n_merges: all(
                max(pair) < 256 + rank for rank, pair in enumerate(got)
            ),
        ),
        Property(
            "the order of the chunks does not matter",
            lambda f: f([b"ba", b"ab", b"cc"], 3) == f([b"cc", b"ab", b"ba"], 3),
        ),
        Property(
            "the first merges are the same however many are asked for",
            lambda f: f(CHUNKS, 5) == f(CHUNKS, 9)[:5],
        ),
        Property("it stops where no pair is left", lambda f: len(f([b"ab"], 9)) == 1),
    ],
)


def _train(chunks, n_merges, best_of, first_id=256, count=None, merge=tokenizer.merge_pair):
    """Training as the exercise has it, with one part exchanged."""
    count = count or _count_all
    words, merges = [list(chunk) for chunk in chunks], []
    while len(merges) < n_merges and (counts := count(words)):
        pair = best_of(counts)
        if pair is None:
            break
        words = [merge(word, pair, first_id + len(merges)) for word in words]
        merges.append(pair)
    return merges


def _count_all(words) -> Counter:
    return Counter(pair for word in words for pair in pairwise(word))


def _best(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _first_seen(counts):
    return max(counts, key=counts.get)


def _most_frequent(chunks) -> list[tuple[int, int]]:
    """The pairs that occur most often before anything is merged."""
    counts = _count_all(chunks)
    return [pair for pair, count in counts.items() if count == max(counts.values())]


@train_merges.misconception(
    "Of two pairs that occur equally often, the one that came first in the text was taken. The "
    "smaller pair has the right of way, so that the result does not hang on the order of the "
    "chunks: compare (count, pair), the count downwards and the pair upwards."
)
def ties_go_to_the_first_seen(chunks, n_merges):
    return _train(chunks, n_merges, _first_seen)


@train_merges.misconception(
    "Of two pairs that occur equally often, the larger one was taken. `max` over (count, pair) "
    "prefers the larger pair too; the smaller one is asked for: `min` over (-count, pair)."
)
def ties_go_to_the_larger_pair(chunks, n_merges):
    return _train(
        chunks, n_merges, lambda counts: max(counts, key=lambda pair: (counts[pair], pair))
    )


@train_merges.misconception(
    "Of two pairs that occur equally often, the one that was seen last was taken (`>=` where `>` "
    "keeps the first). Neither is asked for: the smaller pair is."
)
def ties_go_to_the_last_seen(chunks, n_merges):
    return _train(chunks, n_merges, lambda counts: max(reversed(counts), key=counts.get))


@train_merges.misconception(
    "Ties were settled by comparing the pairs as text, and as text 100 comes before 97. Compare "
    "the tuples of numbers."
)
def ties_are_settled_as_text(chunks, n_merges):
    return _train(chunks, n_merges, lambda counts: min(counts, key=lambda p: (-counts[p], str(p))))


@train_merges.misconception(
    "Ties were settled by the second id, or by the sum of the two. Tuples are compared from the "
    "left: the first ids decide, and the second ones only where the first are equal."
)
def ties_look_at_the_second_id_first(chunks, n_merges):
    return _train(chunks, n_merges, lambda counts: min(counts, key=lambda p: (-counts[p], p[::-1])))


@train_merges.misconception(
    "The chunks were joined, so that pairs were counted and merged across their borders. A merge "
    "never crosses from one chunk into the next: count and merge in each chunk by itself."
)
def merges_across_chunks(chunks, n_merges):
    return _train([b"".join(chunks)], n_merges, _best)


@train_merges.misconception(
    "The pairs were counted once, at the beginning. Every merge makes new neighbours: replace the "
    "pair in all chunks, then count again."
)
def never_replaces_the_pair(chunks, n_merges):
    counts = _count_all(chunks)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]


@train_merges.misconception(
    "The same pair came again in every round: the merged list was thrown away. `for ids in lists: "
    "ids = merge_pair(…)` gives a new list to the name `ids` and leaves the one in `lists` as it "
    "was. Make the whole anew: `lists = [merge_pair(…) for ids in lists]`."
)
def throws_the_merged_lists_away(chunks, n_merges):
    return _train(chunks, n_merges, _best, merge=lambda word, pair, new_id: word)


@train_merges.variant(throws_the_merged_lists_away)
def throws_the_merged_lists_away_and_takes_the_first_seen(chunks, n_merges):
    return _train(chunks, n_merges, _first_seen, merge=lambda word, pair, new_id: word)


@train_merges.misconception(
    "The counts of one chunk took the place of those of the chunk before. `update` of a plain dict "
    "writes over what is there; only that of a `Counter` adds. Or add them yourself, pair by pair."
)
def update_replaces_the_counts(chunks, n_merges):
    return _train(chunks, n_merges, _best, count=_counts_replaced)


@train_merges.variant(update_replaces_the_counts)
def update_replaces_the_counts_and_the_first_seen_is_taken(chunks, n_merges):
    return _train(chunks, n_merges, _first_seen, count=_counts_replaced)


def _counts_replaced(words) -> dict:
    counts = {}
    for word in words:
        counts.update(tokenizer.count_pairs(word))
    return counts


@train_merges.misconception(
    "Each chunk was trained by itself, one after the other. There is one list of merges for all: "
    "in every round count the pairs of all chunks together, and merge in all of them."
)
def trains_each_chunk_alone(chunks, n_merges):
    merges = []
    for chunk in chunks:
        ids = list(chunk)
        for _ in range(n_merges):
            if len(ids) < 2:
                break
            merges.append(_best(tokenizer.count_pairs(ids)))
            ids = tokenizer.merge_pair(ids, merges[-1], 255 + len(merges))
    return merges


@train_merges.variant(trains_each_chunk_alone)
def trains_each_chunk_alone_until_there_are_enough(chunks, n_merges):
    return trains_each_chunk_alone(chunks, n_merges)[:n_merges]


@train_merges.misconception(
    "Chunks that occur several times were counted once (a set of chunks). A frequent word weighs "
    "as often as it occurs."
)
def counts_equal_chunks_once(chunks, n_merges):
    return _train(sorted(set(chunks)), n_merges, _best)


@train_merges.misconception(
    "The new ids begin at 0, and those are taken: 0 to 255 are the bytes. The first merge makes id "
    "256."
)
def new_ids_begin_at_0(chunks, n_merges):
    return _train(chunks, n_merges, _best, first_id=0)


@train_merges.misconception(
    "The new ids begin at 257. Bytes are 0 to 255, so the first free id is 256: `256 + "
    "len(merges)` before the new pair is added."
)
def new_ids_begin_at_257(chunks, n_merges):
    return _train(chunks, n_merges, _best, first_id=257)


@train_merges.misconception(
    "Every merge made the same new id, 256. Each merge needs an id of its own: 256, 257, 258, …"
)
def gives_every_merge_the_same_id(chunks, n_merges):
    return _train(
        chunks, n_merges, _best, merge=lambda word, pair, _: tokenizer.merge_pair(word, pair, 256)
    )


@train_merges.misconception(
    "It stopped at pairs that occur only once. That is a sensible economy, but here it goes on as "
    "long as any pair is left and merges are wanted."
)
def stops_at_pairs_that_occur_once(chunks, n_merges):
    return _train(
        chunks, n_merges, lambda counts: _best(counts) if max(counts.values()) > 1 else None
    )


@train_merges.misconception(
    "Where no pair is left, there is no most frequent one to ask for, and `max` or `min` of "
    "nothing raises an error. Stop before that: `if not counts: break`."
)
def asks_for_the_best_of_nothing(chunks, n_merges):
    words, merges = [list(chunk) for chunk in chunks], []
    for _ in range(n_merges):
        counts = _count_all(words)
        merges.append(max(sorted(counts), key=counts.get))
        words = [tokenizer.merge_pair(word, merges[-1], 255 + len(merges)) for word in words]
    return merges


@train_merges.misconception(
    "In a run of equal bytes only every second pair was counted. Count as `count_pairs` does: "
    "`bbb` holds two pairs of neighbours."
)
def counts_runs_without_overlap(chunks, n_merges):
    def count(words):
        counts = Counter()
        for word in words:
            for pair in set(pairwise(word)):
                counts[pair] += len(word) - len(tokenizer.merge_pair(word, pair, -1))
        return counts

    return _train(chunks, n_merges, _best, count=count)


@train_merges.misconception(
    "The counts of the rounds were added up: the dict was made before the loop and kept its old "
    "numbers. A merge makes some pairs rarer; count afresh in every round."
)
def keeps_the_counts_of_earlier_rounds(chunks, n_merges):
    words, merges, counts = [list(chunk) for chunk in chunks], [], Counter()
    for _ in range(n_merges):
        counts.update(_count_all(words))
        if not counts:
            break
        merges.append(_best(counts))
        words = [tokenizer.merge_pair(word, merges[-1], 255 + len(merges)) for word in words]
    return merges


@train_merges.misconception(
    "The result is a dict. A list is asked for: a pair's place in it is its rank, and 256 plus its "
    "rank is its id."
)
def returns_a_dict(chunks, n_merges):
    return {pair: 256 + i for i, pair in enumerate(tokenizer.train_merges(chunks, n_merges))}


@train_merges.misconception(
    "The pairs were sorted at the end. Their order is the order in which they were made, and "
    "encoding depends on it: the rank of a pair is its place in the list."
)
def sorts_the_merges(chunks, n_merges):
    return sorted(tokenizer.train_merges(chunks, n_merges))


@train_merges.misconception(
    "The result holds the pieces of text. What is asked for is the pair of ids that each merge "
    "joined."
)
def returns_the_bytes(chunks, n_merges):
    return _pieces(tokenizer.train_merges(chunks, n_merges))[256:]


@train_merges.misconception(
    "Characters were merged, not bytes: the chunks were decoded first. Then é would be the single "
    "id 233, and there would have to be an id for each of Unicode's characters. `list(chunk)` "
    "gives the bytes."
)
def merges_characters(chunks, n_merges):
    return _train([list(map(ord, chunk.decode())) for chunk in chunks], n_merges, _best)


@train_merges.misconception(
    "The pair's count was divided by the counts of its parts. That is how another tokenizer, "
    "WordPiece, is usually described; GPT-2's takes the pair that simply occurs most often."
)
def divides_by_the_counts_of_the_parts(chunks, n_merges):
    words, merges = [list(chunk) for chunk in chunks], []
    while len(merges) < n_merges and (counts := _count_all(words)):
        ids = Counter(i for word in words for i in word)
        pair = min(counts, key=lambda p: (-counts[p] / (ids[p[0]] * ids[p[1]]), p))
        words = [tokenizer.merge_pair(word, pair, 256 + len(merges)) for word in words]
        merges.append(pair)
    return merges


@train_merges.misconception(
    "The smallest pair was taken, and its count never asked for. The most frequent pair goes "
    "first; the smaller one only among equals."
)
def takes_the_smallest_pair(chunks, n_merges):
    return _train(chunks, n_merges, min)


@train_merges.misconception(
    "The rarest pair was taken. `min` of (count, pair) finds the smallest count; with a minus "
    "before the count it finds the largest, and still the smaller pair among equals."
)
def takes_the_rarest_pair(chunks, n_merges):
    return _train(chunks, n_merges, lambda counts: min(counts, key=lambda p: (counts[p], p)))


@train_merges.misconception(
    "A pair was counted once for each chunk that holds it. Every place counts, also several in the "
    "same chunk."
)
def counts_a_pair_once_in_each_chunk(chunks, n_merges):
    def count(words):
        return Counter(pair for word in words for pair in set(pairwise(word)))

    return _train(chunks, n_merges, _best, count=count)


@train_merges.misconception(
    "The new ids came back with the pairs. Return the pairs alone: the id of a merge follows from "
    "its place in the list."
)
def returns_the_new_ids_too(chunks, n_merges):
    return [(p, 256 + i) for i, p in enumerate(tokenizer.train_merges(chunks, n_merges))]


@train_merges.misconception(
    "Only the first chunk was read. The counts come from all chunks together."
)
def reads_only_the_first_chunk(chunks, n_merges):
    return _train(chunks[:1], n_merges, _best)


@train_merges.misconception(
    "There is one merge too few. `n_merges` pairs are asked for, as long as there are any."
)
def makes_one_merge_too_few(chunks, n_merges):
    return tokenizer.train_merges(chunks, max(0, n_merges - 1))


@train_merges.misconception(
    "There is one merge too many: the length was compared after the pair had been added, or with "
    "`<=`."
)
def makes_one_merge_too_many(chunks, n_merges):
    return tokenizer.train_merges(chunks, n_merges + 1)


@train_merges.also_right
def count_merge_repeat(chunks, n_merges):
    words, merges = [list(chunk) for chunk in chunks], []
    for new_id in range(256, 256 + n_merges):
        counts = Counter(pair for ids in words for pair in zip(ids, ids[1:]))  # noqa: B905
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [tokenizer.merge_pair(ids, best, new_id) for ids in words]
        merges.append(best)
    return merges


@train_merges.also_right
def the_first_of_the_sorted_pairs(chunks, n_merges):
    merges, words = [], list(map(list, chunks))
    while len(merges) < n_merges:
        counts = sum((Counter(pairwise(ids)) for ids in words), Counter())
        if not counts:
            return merges
        merges.append(max(sorted(counts), key=counts.get))
        words = [tokenizer.merge_pair(ids, merges[-1], 255 + len(merges)) for ids in words]
    return merges


@train_merges.also_right
def each_different_chunk_once_with_its_weight(chunks, n_merges):
    words = [(list(chunk), times) for chunk, times in Counter(chunks).items()]
    merges = []
    for _ in range(n_merges):
        counts = Counter()
        for ids, times in words:
            for pair in pairwise(ids):
                counts[pair] += times
        if not counts:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        words = [(tokenizer.merge_pair(ids, merges[-1], 255 + len(merges)), n) for ids, n in words]
    return merges


@train_merges.also_right
def one_long_list_with_walls(chunks, n_merges):
    wall, ids, merges = -1, [], []
    for chunk in chunks:
        ids += [*chunk, wall]
    for new_id in range(256, 256 + n_merges):
        counts = Counter(pair for pair in pairwise(ids) if wall not in pair)
        if not counts:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        ids = tokenizer.merge_pair(ids, merges[-1], new_id)
    return merges


# encode_chunk -----------------------------------------------------------------------------------

BC_AB = [(98, 99), (97, 98)]  # bc was learned before ab
LETTERS = range(68, 103)  # D to f
PAIRS_OF_LETTERS = random.Random(4).sample([(a, b) for a in LETTERS for b in LETTERS], 35 * 35)


def _pieces(merges: list[tuple[int, int]]) -> list[bytes]:
    """The bytes of every id."""
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return pieces


def _joined(ids: list[int], merges: list[tuple[int, int]]) -> bytes:
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids)


def _makes_the_first(ids, chunk, merges) -> bool:
    """Whether the lowest rank of all in the chunk is made at its leftmost place: no cut inside."""
    pairs = list(pairwise(chunk))
    first = next((pair for pair in merges if pair in pairs), None)
    ends = list(accumulate(len(_joined([i], merges)) for i in ids))
    return first is None or pairs.index(first) + 1 not in ends


encode_chunk = Exercise(
    tokenizer.encode_chunk,
    lesson="02_tokens",
    cases=[
        Case("one merge", (b"cab", [(97, 98)])),
        Case("two merges want the same byte: bc was learned first", (b"abc", BC_AB)),
        Case("a merge on top of a merge", (b"abcd", [(97, 98), (256, 99)])),
        Case("the same merge in two places", (b"abxab", [(97, 98)])),
        Case("a run of three", (b"aaa", [(97, 97)])),
        Case("merges of merges in a run", (b"aaaaa", [(97, 97), (256, 256)])),
        Case("fewer tokens would be possible", (b"abcd", [(98, 99), (97, 98), (99, 100)])),
        Case(
            "a longer piece would be possible",
            (b"abcd", [(98, 99), (97, 98), (257, 99), (258, 100)]),
        ),
        Case("a longer piece is right", (b"abc", [(98, 99), (97, 256), (97, 98)])),
        Case("the larger pair was learned first", (b"cab", [(99, 97), (97, 98)])),
        Case("the first merge does not occur", (b"xab", [(98, 99), (97, 98)])),
        Case("the rarer pair was learned first", (b"bcabab", [(98, 99), (99, 97), (97, 98)])),
        Case("no merges", (b"abc", [])),
        Case("the empty chunk", (b"", [(97, 98)])),
        Case("a single byte", (b"a", [(97, 98)])),
        Case("bytes that are no text", (b"\xff\xfe\x00\xff", [(255, 254), (0, 255)])),
        Case("a character of two bytes", (" é".encode(), [(32, 195)])),
        Case("a chunk of the sentence with its merges", (b" robots", MERGES)),
        Case("the whole sentence as one chunk", (SENTENCES.encode(), MERGES)),
        Case("letters at random", (bytes(_drawn(80, b"aborst ", seed=5)), MERGES)),
        Case(
            "many merges",
            (bytes([*_drawn(60, b"defDEF", seed=6), 33, *PAIRS_OF_LETTERS[-1]]), PAIRS_OF_LETTERS),
        ),
    ],
    properties=[
        Property(
            "the ids, opened again, give the bytes",
            lambda f: _joined(f(b" robots", MERGES), MERGES) == b" robots",
            of_result=lambda got, chunk, merges: _joined(got, merges) == chunk,
        ),
        Property(
            "no two neighbours are left that could be merged",
            lambda f: not set(pairwise(f(b" robots", MERGES))) & set(MERGES),
            of_result=lambda got, chunk, merges: not set(pairwise(got)) & set(merges),
        ),
        Property("without merges the ids are the bytes", lambda f: f(b"abc", []) == [97, 98, 99]),
        Property(
            "of two merges that want the same byte, the one learned first is made",
            lambda f: f(b"abc", BC_AB)[-1] == 256 and f(b"abc", BC_AB[::-1])[0] == 256,
            of_result=lambda got, chunk, merges: _makes_the_first(got, chunk, merges),
        ),
        Property(
            "a pair is merged wherever it stands",
            lambda f: f(b"abxab", [(97, 98)]) == [256, 120, 256],
        ),
    ],
)


def _encode(chunk, merges, choose, first_id=256):
    """Encoding as the exercise has it, with the choice of the next pair exchanged."""
    ranks = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    while candidates := [pair for pair in pairwise(ids) if pair in ranks]:
        pair = choose(candidates, ranks)
        ids = tokenizer.merge_pair(ids, pair, first_id + ranks[pair])
    return ids


@encode_chunk.misconception(
    "The pairs were merged from left to right, each as it was met. The merge that was learned "
    "first goes first, wherever in the chunk it stands: look at all neighbours before you choose "
    "one."
)
def merges_from_left_to_right(chunk, merges):
    return _encode(chunk, merges, lambda candidates, ranks: candidates[0])


@encode_chunk.variant(merges_from_left_to_right)
def merges_the_first_known_pair_and_begins_again(chunk, merges):
    ids = list(chunk)
    ranks = {pair: i for i, pair in enumerate(merges)}
    while at := [i for i, pair in enumerate(pairwise(ids)) if pair in ranks]:
        ids[at[0] : at[0] + 2] = [256 + ranks[tuple(ids[at[0] : at[0] + 2])]]
    return ids


@encode_chunk.variant(merges_from_left_to_right)
def passes_from_left_to_right_until_nothing_changes(chunk, merges):
    ids, before = list(chunk), None
    while ids != before:
        before, ids = ids, _one_pass(ids, merges)
    return ids


@encode_chunk.variant(merges_from_left_to_right)
def joins_each_byte_to_the_token_before_it(chunk, merges):
    ids, ranks = [], {pair: i for i, pair in enumerate(merges)}
    for byte in chunk:
        pair = (ids[-1], byte) if ids else None
        if pair in ranks:
            ids[-1] = 256 + ranks[pair]
        else:
            ids.append(byte)
    return ids


@encode_chunk.variant(merges_from_left_to_right)
def merges_in_place_on_the_way(chunk, merges):
    ids, ranks, i = list(chunk), {pair: i for i, pair in enumerate(merges)}, 0
    while i + 1 < len(ids):
        pair = ids[i], ids[i + 1]
        if pair in ranks:
            ids[i : i + 2] = [256 + ranks[pair]]
            i = max(0, i - 1)
        else:
            i += 1
    return ids


def _one_pass(ids, merges):
    """The ids with every known pair merged, each as it is met from the left."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    merged, i = [], 0
    while i < len(ids):
        pair = tuple(ids[i : i + 2])
        merged.append(256 + ranks[pair] if pair in ranks else ids[i])
        i += 2 if pair in ranks else 1
    return merged


@encode_chunk.misconception(
    "The smallest pair was taken: `min` compared the pairs themselves, which are numbers of bytes. "
    "Their ranks are to be compared, that is their places in `merges`: `min(…, key=…)`."
)
def takes_the_smallest_pair_and_not_the_lowest_rank(chunk, merges):
    return _encode(chunk, merges, lambda candidates, ranks: min(candidates))


@encode_chunk.variant(takes_the_smallest_pair_and_not_the_lowest_rank)
def takes_the_smallest_of_all_pairs(chunk, merges):
    ids, ranks = list(chunk), {pair: i for i, pair in enumerate(merges)}
    while len(ids) > 1 and (pair := min(pairwise(ids))) in ranks:
        ids = tokenizer.merge_pair(ids, pair, 256 + ranks[pair])
    return ids


@encode_chunk.misconception(
    "At each place the longest known piece was taken. Another tokenizer, WordPiece, cuts like "
    "that. GPT-2's repeats its merges in the order in which it learned them, even where a longer "
    "piece exists."
)
def takes_the_longest_piece(chunk, merges):
    pieces = {piece: i for i, piece in enumerate(_pieces(merges))}
    longest, ids, i = max(map(len, pieces)), [], 0
    while i < len(chunk):
        end = next(j for j in range(min(len(chunk), i + longest), i, -1) if chunk[i:j] in pieces)
        ids.append(pieces[chunk[i:end]])
        i = end
    return ids


@encode_chunk.misconception(
    "The pair that occurs most often in this chunk was merged first. Counting belongs to training. "
    "When encoding, the ranks decide: the merge that was learned first is made first."
)
def merges_the_most_frequent_pair(chunk, merges):
    return _encode(
        chunk, merges, lambda candidates, ranks: Counter(candidates).most_common(1)[0][0]
    )


@encode_chunk.misconception(
    "The merge that was learned last went first. It is the other way round: lowest rank first "
    "(`min`)."
)
def merges_the_highest_rank_first(chunk, merges):
    return _encode(chunk, merges, lambda candidates, ranks: max(candidates, key=ranks.get))


@encode_chunk.misconception(
    "Each merge was made in one place only. A pair is merged wherever it stands in the chunk."
)
def makes_each_merge_once(chunk, merges):
    ids = list(chunk)
    for i, pair in enumerate(merges):
        if pair in pairwise(ids):
            at = list(pairwise(ids)).index(pair)
            ids[at : at + 2] = [256 + i]
    return ids


@encode_chunk.variant(merges_the_highest_rank_first)
def goes_through_the_merges_from_the_last_to_the_first(chunk, merges):
    ids = list(chunk)
    for rank in reversed(range(len(merges))):
        ids = tokenizer.merge_pair(ids, merges[rank], 256 + rank)
    return ids


@encode_chunk.misconception(
    "It went through the bytes once and stopped. What a merge has made can be part of a further "
    "merge: go on until no pair of neighbours is among the merges."
)
def goes_through_the_bytes_once(chunk, merges):
    return _one_pass(list(chunk), merges)


@encode_chunk.misconception(
    "Only one merge was made. Go on until no pair of neighbours is among the merges."
)
def stops_after_one_merge(chunk, merges):
    ranks = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    pair = min(pairwise(ids), key=lambda pair: ranks.get(pair, inf), default=None)
    return tokenizer.merge_pair(ids, pair, 256 + ranks[pair]) if pair in ranks else ids


@encode_chunk.misconception(
    "It stopped at the first merge that does not occur in the chunk. Most merges do not; go on to "
    "the next one."
)
def stops_where_a_merge_does_not_occur(chunk, merges):
    ids = list(chunk)
    for i, pair in enumerate(merges):
        if pair not in pairwise(ids):
            break
        ids = tokenizer.merge_pair(ids, pair, 256 + i)
    return ids


@encode_chunk.misconception("These are the bytes: nothing was merged.")
def leaves_the_bytes(chunk, merges):
    return list(chunk)


@encode_chunk.misconception(
    "The rank itself was taken as the id, and ranks 0 to 255 are the ids of the bytes. The merge "
    "of rank r makes id 256 + r."
)
def takes_the_rank_as_id(chunk, merges):
    opened = {i + 256: i for i in range(len(merges))}
    return [opened.get(i, i) for i in tokenizer.encode_chunk(chunk, merges)]


@encode_chunk.misconception(
    "The new ids are one too large. Bytes are 0 to 255, so the first merge, rank 0, makes id 256."
)
def new_ids_begin_at_257_(chunk, merges):
    return [i + (i > 255) for i in tokenizer.encode_chunk(chunk, merges)]


@encode_chunk.misconception(
    "The result holds the pieces as bytes. The ids are asked for: 256 + rank for a merge, the byte "
    "itself for what was not merged."
)
def returns_the_pieces(chunk, merges):
    pieces = _pieces(merges)
    return [pieces[i] for i in tokenizer.encode_chunk(chunk, merges)]


@encode_chunk.misconception(
    "Every pair was asked for its rank, also those that are no merge, which is a KeyError. Give "
    "those a rank behind all others: `ranks.get(pair, math.inf)`, and stop when the best one is no "
    "merge."
)
def asks_every_pair_for_its_rank(chunk, merges):
    ranks = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda pair: ranks[pair])
        ids = tokenizer.merge_pair(ids, pair, 256 + ranks[pair])
    return ids


@encode_chunk.misconception(
    "It is right as long as there are two ids. A chunk can be a single byte, or become a single "
    "token, and then there is no pair, and `min` of nothing raises an error: `while len(ids) > 1`."
)
def asks_for_the_best_of_no_pairs(chunk, merges):
    ranks = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    while True:
        pair = min(pairwise(ids), key=lambda pair: ranks.get(pair, inf))
        if pair not in ranks:
            return ids
        ids = tokenizer.merge_pair(ids, pair, 256 + ranks[pair])


@encode_chunk.misconception(
    "It looked for the cut with the fewest tokens. That is often shorter, but it is another rule: "
    "the model has learned from ids that were made by the order of the merges."
)
def looks_for_the_fewest_tokens(chunk, merges):
    pieces = {piece: i for i, piece in enumerate(_pieces(merges))}
    longest = max(map(len, pieces))
    best = [[]]
    for end in range(1, len(chunk) + 1):
        starts = [s for s in range(max(0, end - longest), end) if chunk[s:end] in pieces]
        start = min(starts, key=lambda s: len(best[s]))
        best.append([*best[start], pieces[chunk[start:end]]])
    return best[-1]


@encode_chunk.misconception(
    "The chunk was decoded into characters first. The merges are over bytes: `list(chunk)` gives "
    "them, and é is two."
)
def begins_with_characters(chunk, merges):
    ids = list(map(ord, chunk.decode()))
    return tokenizer.apply_merges(ids, {pair: 256 + i for i, pair in enumerate(merges)})


@encode_chunk.also_right
def lowest_rank_first(chunk, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    while True:
        known = [pair for pair in pairwise(ids) if pair in rank]
        if not known:
            return ids
        first = min(known, key=rank.get)
        ids = tokenizer.merge_pair(ids, first, 256 + rank[first])


@encode_chunk.also_right
def every_merge_once_in_order(chunk, merges):
    ids = list(chunk)
    for i, pair in enumerate(merges):  # a later merge never makes room for an earlier one
        if pair in pairwise(ids):
            ids = tokenizer.merge_pair(ids, pair, 256 + i)
    return ids


@encode_chunk.also_right
def all_merges_folded_over_the_bytes(chunk, merges):
    def step(ids, merge):
        new_id, pair = merge
        return tokenizer.merge_pair(ids, pair, new_id)

    return reduce(step, enumerate(merges, start=256), list(chunk))


@encode_chunk.also_right
def one_place_after_the_other(chunk, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    ids = list(chunk)
    while len(ids) > 1:
        ranks = [rank.get(pair, inf) for pair in pairwise(ids)]
        i = ranks.index(min(ranks))  # the leftmost of the lowest
        if ranks[i] == inf:
            break
        ids[i : i + 2] = [256 + ranks[i]]
    return ids


# decode_ids -------------------------------------------------------------------------------------

REFUSED = "an error is raised"


def _beyond(ids, merges) -> bool:
    return max(ids, default=0) >= 256 + len(merges)


def _call_decode(answer, ids, merges):
    """Where an id lies beyond the merges, the error is what is asked for: it is the value."""
    if not _beyond(ids, merges):
        return answer(ids, merges)
    try:
        return answer(ids, merges)
    except Exception:
        return REFUSED


def _refuses(answer, ids, merges) -> bool:
    return _call_decode(answer, ids, merges) == REFUSED


decode_ids = Exercise(
    tokenizer.decode_ids,
    lesson="02_tokens",
    call=_call_decode,
    cases=[
        Case("two bytes", ([104, 105], [])),
        Case("a merge", ([256, 33], [(104, 105)])),
        Case("a merge of a merge", ([257, 256], [(97, 98), (256, 99)])),
        Case("é, two bytes in two tokens", ([99, 97, 102, 195, 169], [])),
        Case("a robot's face, four bytes in three tokens", ([256, *ROBOT[2:]], [tuple(ROBOT[:2])])),
        Case("the first byte of é alone", ([99, 195], [])),
        Case("a byte that no text holds", ([255, 104, 128], [])),
        Case("three bytes of four", ([ROBOT[0], 256], [tuple(ROBOT[1:3])])),
        Case("no ids", ([], [(97, 98)])),
        Case("an id one beyond the merges", ([104, 257], [(104, 105)])),
        Case("an id far beyond the merges", ([50256], [(104, 105)])),
        Case("a new id without merges", ([104, 256, 105], [])),
        Case("blanks at both ends", ([32, 10, 104, 32, 13, 10, 9], [])),
        Case("bytes that have a meaning of their own", ([239, 187, 191, 0, 97, 239, 191, 189], [])),
        Case("signs that look like others", (list("ﬁ ² e\u0301 é\x00".encode()), [])),
        Case("every byte", (list(range(256)), [])),
        Case("a sentence", (tokenizer.encode_chunk(SENTENCES.encode(), MERGES), MERGES)),
        Case("ids at random", (_drawn(60, range(256 + len(MERGES)), seed=7), MERGES)),
    ],
    properties=[
        Property(
            "bytes below 128 are their letters",
            lambda f: f([104, 105], []) == "hi",
            of_result=lambda got, ids, merges: all(chr(i) in got for i in ids if i < 128),
        ),
        Property(
            "a merge stands for its two parts, left then right",
            lambda f: f([256], [(104, 105)]) == "hi",
        ),
        Property(
            "merges of merges are opened to the end",
            lambda f: f([257], [(97, 98), (256, 99)]) == "abc",
        ),
        Property("a character may be spread over several ids", lambda f: f([195, 169], []) == "é"),
        Property(
            "bytes that are no character become U+FFFD",
            lambda f: f([255], []) == "\ufffd",
            of_result=lambda got, ids, merges: (
                _beyond(ids, merges)
                or got.count("\ufffd") == tokenizer.decode_ids(ids, merges).count("\ufffd")
            ),
        ),
        Property(
            "an id beyond the merges raises an error",
            lambda f: _refuses(f, [257], [(104, 105)]),
            of_result=lambda got, ids, merges: not _beyond(ids, merges) or got == REFUSED,
        ),
    ],
)


@decode_ids.misconception(
    "Each token was decoded by itself. A character of several bytes may be spread over several "
    "tokens, and half a character cannot be read. Join the bytes of all tokens first, then decode "
    "once."
)
def decodes_each_token_alone(ids, merges):
    pieces = _pieces(merges)
    return "".join(pieces[i].decode(errors="replace") for i in ids)


@decode_ids.misconception(
    "Bytes that are no character were left out. Then nobody sees that something is missing; "
    '`errors="replace"` puts U+FFFD, �, in their place.'
)
def leaves_out_what_cannot_be_read(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids).decode(errors="ignore")


@decode_ids.misconception(
    "Bytes that are no character raise an error. A model may stop in the middle of a character, "
    'and its text should still be shown: `decode("utf-8", errors="replace")`.'
)
def raises_at_what_cannot_be_read(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids).decode()


@decode_ids.misconception(
    "Every byte became a character of its own (`chr` of each byte, or Latin-1). Up to 127 that is "
    "the same; é is two bytes in UTF-8, which read this way are Ã and ©."
)
def makes_a_character_of_every_byte(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids).decode("latin-1")


@decode_ids.misconception(
    "A merge was opened once, and its parts were taken for bytes. They may be merges themselves, "
    "and `bytes` refuses numbers above 255. Open them until only bytes are left."
)
def opens_a_merge_only_once(ids, merges):
    opened = [part for i in ids for part in ((i,) if i < 256 else merges[i - 256])]
    return bytes(opened).decode(errors="replace")


@decode_ids.misconception("The two parts of a merge changed places: the pair is (left, right).")
def swaps_the_parts(ids, merges):
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[right] + pieces[left])
    return b"".join(pieces[i] for i in ids).decode(errors="replace")


@decode_ids.misconception(
    "An id that does not exist was passed over. It means that ids and merges do not belong "
    "together, and a text without the missing pieces hides that. Let it raise an error."
)
def passes_over_unknown_ids(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids if i < len(pieces)).decode(errors="replace")


@decode_ids.misconception(
    "An id that does not exist became U+FFFD. That sign is for bytes that are no character. An "
    "unknown id means that ids and merges do not belong together: let it raise an error."
)
def replaces_unknown_ids(ids, merges):
    pieces = _pieces(merges)
    unknown = "\ufffd".encode()
    return b"".join(pieces[i] if i < len(pieces) else unknown for i in ids).decode(errors="replace")


@decode_ids.misconception(
    "An id that does not exist was taken for the number of a character. An id above 255 is the "
    "merge of rank id - 256; where there is no such merge, let it raise an error."
)
def takes_unknown_ids_for_characters(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] if i < len(pieces) else chr(i).encode() for i in ids).decode(
        errors="replace"
    )


@decode_ids.misconception(
    "Every id was taken for the number of a character. That holds for the bytes below 128 only. "
    "From 256 on an id is a merge and stands for the pieces of its two parts; and the bytes above "
    "127 are parts of characters, to be joined first and decoded then."
)
def takes_every_id_for_a_character(ids, merges):
    return "".join(map(chr, ids))


@decode_ids.misconception(
    "The ids were taken for bytes as they are. That holds for ids below 256; from 256 on an id is "
    "a merge, and stands for the bytes of its left part followed by those of its right part."
)
def takes_every_id_for_a_byte(ids, merges):
    return bytes(ids).decode(errors="replace")


@decode_ids.misconception(
    'The bytes were joined and handed out as bytes. A str is asked for: `.decode("utf-8", '
    'errors="replace")`.'
)
def returns_bytes(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids)


@decode_ids.misconception("The result is a list of pieces. Join them into one text.")
def returns_a_list_of_pieces(ids, merges):
    pieces = _pieces(merges)
    return [pieces[i].decode(errors="replace") for i in ids]


@decode_ids.misconception(
    "The pieces were joined with blanks between them. The blanks are inside the tokens; nothing "
    "comes between."
)
def puts_blanks_between_the_tokens(ids, merges):
    pieces = _pieces(merges)
    return b" ".join(pieces[i] for i in ids).decode(errors="replace")


@decode_ids.misconception(
    "Blanks at the ends were cut off. They are part of the text: decoding gives back exactly what "
    "was encoded."
)
def strips_the_blanks(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids).decode(errors="replace").strip()


@decode_ids.misconception(
    "The merges were counted from 257. The merge of rank 0 is id 256, so it is `merges[id - 256]`."
)
def counts_merges_from_257(ids, merges):
    def opened(i):
        if i < 256:
            return bytes([i])
        left, right = merges[i - 257]
        return opened(left) + opened(right)

    return b"".join(map(opened, ids)).decode(errors="replace")


@decode_ids.misconception(
    "The text is right, but the list of ids that came in was changed: the merges were opened "
    "inside it. Whoever called still needs it. Begin with a copy, `list(ids)`."
)
def opens_the_merges_in_place(ids, merges):
    i = 0
    while i < len(ids):
        if ids[i] < 256:
            i += 1
        else:
            ids[i : i + 1] = merges[ids[i] - 256]
    return bytes(ids).decode(errors="replace")


@decode_ids.misconception(
    "Unreadable bytes were written out as codes such as \\xff. The exercise asks for U+FFFD, the "
    'sign that Unicode has for this: `errors="replace"`.'
)
def writes_unreadable_bytes_as_codes(ids, merges):
    pieces = _pieces(merges)
    return b"".join(pieces[i] for i in ids).decode(errors="backslashreplace")


@decode_ids.misconception(
    "`bytes(i)` with a number makes i bytes of value 0, which no one can see. The single byte i is "
    "`bytes([i])`: a list of one."
)
def makes_i_zero_bytes_of_the_byte_i(ids, merges):
    pieces = [bytes(i) for i in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return b"".join(pieces[i] for i in ids).decode(errors="replace")


@decode_ids.misconception(
    "`str` of bytes writes them as Python shows them, with `b'` in front and `\\x` codes inside. "
    'To read bytes as text, decode them: `.decode("utf-8", errors="replace")`.'
)
def writes_bytes_as_python_shows_them(ids, merges):
    pieces = _pieces(merges)
    return str(b"".join(pieces[i] for i in ids))


@decode_ids.variant(writes_bytes_as_python_shows_them)
def writes_each_piece_as_python_shows_it(ids, merges):
    pieces = _pieces(merges)
    return "".join(str(pieces[i]) for i in ids)


@decode_ids.also_right
def a_table_of_pieces(ids, merges):
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return b"".join(pieces[i] for i in ids).decode("utf-8", errors="replace")


@decode_ids.also_right
def opened_by_recursion(ids, merges):
    def opened(i):
        if i < 256:
            return bytes([i])
        left, right = merges[i - 256]
        return opened(left) + opened(right)

    return b"".join(map(opened, ids)).decode("utf-8", errors="replace")


@decode_ids.also_right
def with_a_stack(ids, merges):
    todo, found = ids[::-1], []
    while todo:
        i = todo.pop()
        if i < 256:
            found.append(i)
        else:
            todo.extend(reversed(merges[i - 256]))
    return bytes(found).decode("utf-8", errors="replace")


@decode_ids.also_right
def the_last_merge_undone_first(ids, merges):
    if any(i >= 256 + len(merges) for i in ids):
        raise ValueError(f"an id in {ids} is beyond the {len(merges)} merges")
    for new_id in range(255 + len(merges), 255, -1):
        ids = [i for old in ids for i in (merges[new_id - 256] if old == new_id else (old,))]
    return bytes(ids).decode("utf-8", errors="replace")


EXERCISES = [count_pairs, merge_pair, train_merges, encode_chunk, decode_ids]


def returns_nothing(*args):
    return None


for _exercise in EXERCISES:
    _exercise.misconception(
        "The function gives nothing back, which is `None` in Python. `print` only shows a value: "
        "hand it out with `return`, on every way through the function."
    )(returns_nothing)
