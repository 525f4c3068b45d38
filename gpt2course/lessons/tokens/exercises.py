"""The exercises of lesson 02: from text to ids and back, by merging pairs."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate, pairwise

from gpt2course import tokenizer
from gpt2course.checks.exercise import Case, Exercise, Property

SENTENCES = (
    "A robot must obey orders. The other robot obeys no orders: it orders robots about. "
    "Où est l'autre café? The robots' orders, 1024 of them, are in order, and they obey."
)
CHUNKS = tokenizer.split_text(SENTENCES)
MERGES = tokenizer.train_merges(CHUNKS, 60)
ROBOT = list("🤖".encode())  # 240, 159, 164, 150


def _drawn(n: int, choices: str | bytes | range, seed: int) -> list:
    """n draws, the same on every run."""
    return random.Random(seed).choices(choices, k=n)


def _apart(text: str) -> list[int]:
    """The numbers of a text, each an object of its own, so that `is` does not find them equal."""
    return [int(number) for number in text.split()]


# count_pairs ------------------------------------------------------------------------------------


def _call_count(answer, ids):
    """A Counter is shown as the dict that the exercise asks for."""
    counts = answer(ids)
    return dict(counts) if isinstance(counts, Counter) else counts


count_pairs = Exercise(
    tokenizer.count_pairs,
    call=_call_count,
    cases=[
        Case("five ids", ([1, 2, 3, 1, 2],)),
        Case("a run of three", ([1, 1, 1],)),
        Case("the same two ids in both orders", ([2, 1, 2],)),
        Case("two ids", ([5, 9],)),
        Case("one id", ([7],)),
        Case("no id", ([],)),
        Case("longer runs among others", ([3, 1, 1, 1, 1, 1, 3, 1, 1],)),
        Case("ids above 255", (_apart("300 97 256 300 97 50000 256 300"),)),
        Case("the bytes of a sentence", (list(SENTENCES.encode()),)),
        Case("a thousand ids of seven kinds", (_drawn(1000, range(7), seed=1),)),
    ],
    properties=[
        Property(
            "the keys are tuples of two ids",
            lambda f: all(isinstance(k, tuple) and len(k) == 2 for k in f([1, 2, 3, 1, 2])),
        ),
        Property("n ids have n - 1 pairs in all", lambda f: sum(f([1, 2, 3, 1]).values()) == 3),
        Property("a run of three holds two pairs", lambda f: f([1, 1, 1]).get((1, 1)) == 2),
        Property(
            "(1, 2) and (2, 1) are counted apart",
            lambda f: {(1, 2), (2, 1)} <= set(f([3, 1, 2, 1, 2, 1, 2, 3])),
        ),
    ],
)


# merge_pair -------------------------------------------------------------------------------------


def _call_merge(answer, ids, pair, new_id):
    before = list(ids)
    merged = answer(ids, pair, new_id)
    if merged is ids and merged == before:
        raise ValueError("the result is the list that came in; the exercise asks for a new one")
    return merged


def _opened(ids: list[int], new_id: int, pair: tuple[int, int]) -> list[int]:
    return [i for token_id in ids for i in (pair if token_id == new_id else (token_id,))]


merge_pair = Exercise(
    tokenizer.merge_pair,
    call=_call_merge,
    cases=[
        Case("the pair at the end", ([3, 1, 2], (1, 2), 4)),
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
            "nothing is lost: with the pair in place of the new id, the old ids are back",
            lambda f: _opened(f([3, 1, 2, 2, 1, 2], (1, 2), 4), 4, (1, 2)) == [3, 1, 2, 2, 1, 2],
            of_result=lambda got, ids, pair, new_id: _opened(got, new_id, pair) == ids,
        ),
        Property("the other order is another pair", lambda f: f([2, 1], (1, 2), 4) == [2, 1]),
        Property(
            "a run is merged from the left",
            lambda f: f([1, 1, 1], (1, 1), 4)[0] == 4,
            of_result=lambda got, ids, pair, new_id: (
                got[0] == new_id if tuple(ids[:2]) == pair == pair[::-1] else None
            ),
        ),
    ],
)


# train_merges -----------------------------------------------------------------------------------


def _most_frequent(chunks) -> list[tuple[int, int]]:
    """The pairs that occur most often before anything is merged."""
    counts = Counter(pair for chunk in chunks for pair in pairwise(chunk))
    return [pair for pair, count in counts.items() if count == max(counts.values())]


train_merges = Exercise(
    tokenizer.train_merges,
    cases=[
        Case("one merge", ([b"bab", b"ab"], 1)),
        Case("two merges, the second on top of the first", ([b"abc", b"abc", b"ab"], 2)),
        Case("a tie goes to the smaller pair", ([b"ba", b"ab"], 1)),
        Case("a tie: 97 is smaller than 100", ([b"da", b"ac"], 1)),
        Case("a tie: the first ids decide", ([b"ad", b"bc"], 1)),
        Case("a tie: the first ids are equal", ([b"ac", b"ab"], 1)),
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
        Case("chunks of spaces and new lines", ([b"  ", b"\n\n", b"  ", b"ab"], 3)),
        Case("characters of several bytes", (["é".encode(), " é".encode(), "🤖".encode()], 6)),
        Case("bytes that are no text", ([b"\xff\x00\xff\x00", b"\x00\xff", b"\xfe"], 4)),
        Case("a sentence", (CHUNKS, 60)),
        Case("long runs of two letters", ([bytes(_drawn(40, b"ab", s)) for s in range(4)], 40)),
        Case("three letters, many ties", ([bytes(_drawn(9, b"xyz", s)) for s in range(20)], 50)),
        Case("hundreds of merges", ([bytes(_drawn(130, range(256), s)) for s in range(6)], 770)),
    ],
    properties=[
        Property(
            "it begins with a pair that occurs most often",
            lambda f: f([b"xab", b"ab"], 1)[0] == (97, 98),
            of_result=lambda got, chunks, n_merges: (
                got[0] in _most_frequent(chunks) if got else None
            ),
        ),
        Property(
            "of equally frequent pairs it begins with the smaller one",
            lambda f: f([b"ba", b"ab"], 1)[0] == (97, 98),
            of_result=lambda got, chunks, n_merges: (
                got[0] == min(most) if got and got[0] in (most := _most_frequent(chunks)) else None
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
            "it makes n_merges pairs, or as many as there are",
            lambda f: [len(f([b"abcab"], n)) for n in (0, 2, 9)] == [0, 2, 3],
            of_result=lambda got, chunks, n_merges: (
                len(got) == len(tokenizer.train_merges(chunks, n_merges))
            ),
        ),
    ],
)


# encode_chunk -----------------------------------------------------------------------------------

BC_AB = [(98, 99), (97, 98)]  # bc was learned before ab
LETTERS = range(68, 103)  # D to f
PAIRS_OF_LETTERS = random.Random(4).sample([(a, b) for a in LETTERS for b in LETTERS], 35 * 35)
MIXED_LETTERS = bytes([*_drawn(60, b"defDEF", seed=6), 33, *PAIRS_OF_LETTERS[-1]])


def _pieces(ids, merges) -> list[bytes]:
    """The bytes of every id."""
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return [table[i] for i in ids]


def _makes_the_first(ids, chunk, merges) -> bool | None:
    """Whether the lowest rank of all in the chunk is made at its leftmost place: no cut inside."""
    pairs = list(pairwise(chunk))
    first = next((pair for pair in merges if pair in pairs), None)
    ends = list(accumulate(map(len, _pieces(ids, merges))))
    return pairs.index(first) + 1 not in ends if first else None


encode_chunk = Exercise(
    tokenizer.encode_chunk,
    cases=[
        Case("one merge", (b"cab", [(97, 98)])),
        Case("two merges want the same byte: bc was learned first", (b"abc", BC_AB)),
        Case("two merges want the same byte: ab was learned first", (b"abc", BC_AB[::-1])),
        Case("a merge on top of a merge", (b"abcd", [(97, 98), (256, 99)])),
        Case("the same merge in two places", (b"abxab", [(97, 98)])),
        Case("a run of three", (b"aaa", [(97, 97)])),
        Case("merges of merges in a run", (b"aaaaa", [(97, 97), (256, 256)])),
        Case("fewer tokens would be possible", (b"abcd", [*BC_AB, (99, 100)])),
        Case("a longer piece would be possible", (b"abcd", [*BC_AB, (257, 99), (258, 100)])),
        Case("a longer piece is right", (b"abc", [(98, 99), (97, 256), (97, 98)])),
        Case("the larger pair was learned first", (b"cab", [(99, 97), (97, 98)])),
        Case("the first merge does not occur", (b"xab", BC_AB)),
        Case("the rarer pair was learned first", (b"ababc", BC_AB)),
        Case("no merges", (b"abc", [])),
        Case("the empty chunk", (b"", [(97, 98)])),
        Case("a single byte", (b"a", [(97, 98)])),
        Case("a character of two bytes", (" é".encode(), [(32, 195)])),
        Case("bytes that are no text", (b"\xff\xfe\x00\xff", [(255, 254), (0, 255)])),
        Case("a chunk of the sentence with its merges", (b" robots", MERGES)),
        Case("the whole sentence as one chunk", (SENTENCES.encode(), MERGES)),
        Case("letters at random", (bytes(_drawn(80, b"aborst ", seed=5)), MERGES)),
        Case("many merges", (MIXED_LETTERS, PAIRS_OF_LETTERS)),
    ],
    properties=[
        Property(
            "the ids, decoded again, give the bytes",
            lambda f: b"".join(_pieces(f(b" robots", MERGES), MERGES)) == b" robots",
            of_result=lambda got, chunk, merges: b"".join(_pieces(got, merges)) == chunk,
        ),
        Property(
            "no two neighbours are left that could be merged",
            lambda f: not set(pairwise(f(b" robots", MERGES))) & set(MERGES),
            of_result=lambda got, chunk, merges: not set(pairwise(got)) & set(merges),
        ),
        Property(
            "of two merges that want the same byte, the one learned first is made",
            lambda f: f(b"abc", BC_AB)[-1] == 256 and f(b"abc", BC_AB[::-1])[0] == 256,
            of_result=_makes_the_first,
        ),
        Property(
            "a pair is merged wherever it occurs",
            lambda f: f(b"abxab", [(97, 98)]) == [256, 120, 256],
        ),
    ],
)


# decode_ids -------------------------------------------------------------------------------------

REFUSED = "an error is raised"


def _beyond(ids, merges) -> bool:
    return max(ids, default=0) >= 256 + len(merges)


def _call_decode(answer, ids, merges):
    """Where an id lies beyond the merges, the error is what is asked for: it is the value."""
    try:
        return answer(ids, merges)
    except Exception:
        if not _beyond(ids, merges):
            raise
        return REFUSED


def _shows_unreadable_bytes(got, ids, merges) -> bool | None:
    if _beyond(ids, merges):
        return None
    return got.count("\ufffd") == tokenizer.decode_ids(ids, merges).count("\ufffd")


decode_ids = Exercise(
    tokenizer.decode_ids,
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
        Case("spaces and new lines at both ends", ([32, 10, 104, 32, 13, 10, 9], [])),
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
            of_result=lambda got, ids, merges: (
                None if _beyond(ids, merges) else all(chr(i) in got for i in ids if i < 128)
            ),
        ),
        Property(
            "a merge is decoded into its two parts, left then right, down to the bytes",
            lambda f: f([257], [(97, 98), (256, 99)]) == "abc",
        ),
        Property("a character may be spread over several ids", lambda f: f([195, 169], []) == "é"),
        Property(
            "bytes that are no character become U+FFFD",
            lambda f: f([255], []) == "\ufffd",
            of_result=_shows_unreadable_bytes,
        ),
        Property(
            "an id beyond the merges raises an error",
            lambda f: _call_decode(f, [257], [(104, 105)]) == REFUSED,
            of_result=lambda got, ids, merges: got == REFUSED if _beyond(ids, merges) else None,
        ),
    ],
)


EXERCISES = [count_pairs, merge_pair, train_merges, encode_chunk, decode_ids]
