"""The five functions by hand and against a naive recount; Tokenizer against the five functions."""

import doctest
import json
import os
import pickle
import random
import re
import unicodedata

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpt2course import tokenizer as module
from gpt2course.files import gpt2_vocabulary
from gpt2course.tokenizer import (
    END_OF_TEXT,
    Tokenizer,
    count_pairs,
    decode_ids,
    encode_chunk,
    merge_pair,
    split_text,
    train_merges,
)

TEXT = (
    "The robot must obey the orders given it. It obeyed 3 orders, then 12 more; it's tired.\n"
    "Der Roboter gehorcht: größer, schöner, öfter.\n\n    Робот слушается приказов, robots don't.\n"
    "机器人必须服从命令。机器人服从了命令。 🤖🤖 the kettle boiled, the robot beeped, beeped!!!\n"
) * 3

# Characters that both regex engines have known since Unicode 3.2, with more of those that decide
# where a chunk ends.
KNOWN = [
    chr(code)
    for code in range(0x110000)
    if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs")
]
texts = st.text(
    st.sampled_from(KNOWN) | st.sampled_from("aab thelr'sd  \n\t09!.é機ß") | st.sampled_from("  '")
)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXT, 400)


def naive_merges(chunks, n_merges):
    """The definition: after every merge, count everything again."""
    words = [list(chunk) for chunk in chunks]
    merges = []
    for new_id in range(256, 256 + n_merges):
        counts = {}
        for word in words:
            for i in range(len(word) - 1):
                pair = (word[i], word[i + 1])
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = sorted(counts, key=lambda pair: (-counts[pair], pair))[0]
        merges.append(best)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [new_id]
                i += 1
    return merges


def encode_in_rank_order(chunk, merges):
    """Another way to the same ids: each merge once, in order of rank, everywhere."""
    ids = list(chunk)
    for rank, pair in enumerate(merges):
        i = 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == tuple(pair):
                ids[i : i + 2] = [256 + rank]
            i += 1
    return ids


# count_pairs, merge_pair ------------------------------------------------------------------------


def test_the_examples_in_the_docstrings_hold():
    for tried, least in ((module, 6), (gpt2_vocabulary, 2)):
        result = doctest.testmod(tried)
        assert result.attempted >= least and result.failed == 0


def test_pairs_are_counted_with_overlap():
    assert count_pairs([1, 1, 1]) == {(1, 1): 2}
    assert count_pairs([5, 7, 5, 7, 9]) == {(5, 7): 2, (7, 5): 1, (7, 9): 1}
    assert count_pairs([]) == count_pairs([4]) == {}


@pytest.mark.parametrize(
    ("ids", "pair", "merged"),
    [
        ([1, 1, 1], (1, 1), [9, 1]),
        ([1, 1, 1, 1], (1, 1), [9, 9]),
        ([2, 1, 2, 1, 2], (1, 2), [2, 9, 9]),
        ([1, 2], (2, 1), [1, 2]),
        ([1, 9, 2, 2], (9, 2), [1, 9, 2]),  # a new 9 is not merged again
        ([], (1, 2), []),
        ([1], (1, 1), [1]),
    ],
)
def test_pairs_are_merged_left_to_right_without_overlap(ids, pair, merged):
    before = list(ids)
    assert merge_pair(ids, pair, 9) == merged
    assert ids == before


# train_merges -----------------------------------------------------------------------------------


def test_merges_are_the_most_frequent_pairs_worked_by_hand():
    # l-o 4x, o-w 3x; then lo-w 3x; then low-e 2x against four pairs that occur once.
    chunks = [b"low", b"lower", b"lowest", b"lot"]
    low_l, low_o, low_w, low_e = b"lowe"
    assert train_merges(chunks, 3) == [(low_l, low_o), (256, low_w), (257, low_e)]


def test_ties_go_to_the_smaller_pair():
    assert train_merges([b"zy", b"ab", b"ba"], 3) == [(97, 98), (98, 97), (122, 121)]
    assert train_merges([b"ca", b"bz"], 1) == [(98, 122)]


def test_merges_never_cross_chunks():
    assert train_merges([b"a", b"b", b"a", b"b"], 5) == []
    assert train_merges([b"ab", b"ab", b"cd"], 9) == [(97, 98), (99, 100)]


def test_training_stops_where_no_pair_is_left():
    assert train_merges([b"abc"], 10) == [(97, 98), (256, 99)]
    assert train_merges([], 5) == train_merges([b""], 5) == train_merges([b"abc"], 0) == []


def test_a_run_of_one_byte_merges_as_in_the_definition():
    for length in range(1, 40):
        assert train_merges([b"a" * length], 50) == naive_merges([b"a" * length], 50)


chunk_lists = st.lists(
    st.binary(max_size=12) | st.text("aab", max_size=20).map(str.encode), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(chunk_lists, st.integers(0, 40))
@example([b"aaaa", b"aaa", b"aaaa"], 9)
def test_merges_are_exactly_those_of_a_naive_recount(chunks, n_merges):
    before = list(chunks)
    assert train_merges(chunks, n_merges) == naive_merges(chunks, n_merges)
    assert chunks == before


def test_merges_of_a_text_are_exactly_those_of_a_naive_recount():
    chunks = split_text(TEXT)
    merges = train_merges(chunks, 1000)
    assert merges == naive_merges(chunks, 1000)
    assert 150 < len(merges) < 1000  # the text is used up


# encode_chunk, decode_ids -----------------------------------------------------------------------


def test_the_lowest_rank_is_merged_first_wherever_it_stands():
    a, b, c, d = b"abcd"
    # b-c was learned first, so a-b, which stands further left, finds no b.
    assert encode_chunk(b"abcd", [(b, c), (a, b), (256, d)]) == [a, 258]
    # a merge of merges, though c-d alone would be longer from the right
    assert encode_chunk(b"abcd", [(a, b), (256, c), (c, d)]) == [257, d]


def test_empty_chunks_and_no_merges_give_bytes():
    assert encode_chunk(b"", [(97, 98)]) == []
    assert encode_chunk(b"ab\xff", []) == [97, 98, 255]


@settings(max_examples=200, deadline=None)
@given(chunk_lists, st.binary(max_size=20) | st.text("aab", max_size=30).map(str.encode))
def test_encoding_equals_merging_in_order_of_rank(chunks, chunk):
    merges = train_merges(chunks, 30)
    for some in [chunk, *chunks]:
        assert encode_chunk(some, merges) == encode_in_rank_order(some, merges)


def test_decoding_joins_bytes_before_it_reads_them():
    assert decode_ids([0xE2, 0x82, 0xAC], []) == "€"
    assert decode_ids([0xE2, 256], [(0x82, 0xAC)]) == "€"
    assert decode_ids([257, 104], [(104, 105), (256, 33)]) == "hi!h"
    assert decode_ids([], []) == ""


def test_bytes_that_are_not_utf8_decode_to_the_replacement_character():
    assert decode_ids([97, 0xFF, 98], []) == "a\ufffdb"
    assert decode_ids([0xE2, 0x82], []) == b"\xe2\x82".decode(errors="replace")


@pytest.mark.parametrize("token_id", [-1, -257, 257, 10**6])
def test_decode_ids_refuses_ids_beyond_the_merges(token_id):
    with pytest.raises(ValueError, match=rf"between 0 and 256, got {token_id};"):
        decode_ids([97, token_id], [(104, 105)])


@settings(deadline=None)
@given(texts)
def test_the_five_functions_round_trip(text):
    merges = train_merges(split_text(text), 20)
    ids = [i for chunk in split_text(text) for i in encode_chunk(chunk, merges)]
    assert decode_ids(ids, merges) == text


# split_text -------------------------------------------------------------------------------------

# openai/gpt-2, encoder.py
RELEASED_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def test_chunks_by_hand():
    assert split_text("we'll  go\n\n x2 --it's") == [
        *(b"we", b"'ll", b" ", b" go", b"\n\n", b" x", b"2", b" --", b"it", b"'s"),
    ]
    assert split_text("a \n ") == [b"a", b" \n "]
    assert split_text("") == []


@settings(max_examples=300, deadline=None)
@given(texts)
@example("x \n")
@example("it's we'd I'm don't you'll we've they're 'S 'LL ''re 'x")
@example(" \n\t x\u3000\u3000y \u2028")
def test_the_pattern_cuts_as_the_released_one(text):
    assert split_text(text) == split_text(text, RELEASED_PATTERN)


def test_a_pattern_that_leaves_text_out_is_refused():
    with pytest.raises(ValueError, match=r"leaves out ' ' at position 2; .*\|\(\?s:\.\)"):
        split_text("ab cd", r"\w+")
    with pytest.raises(ValueError, match="leaves out '!' at position 2"):
        split_text("ab!", r"\w+")
    assert split_text("ab\ncd", r"\w+|(?s:.)") == [b"ab", b"\n", b"cd"]


@pytest.mark.parametrize("pattern", ["(", r"\p{Nonsense}", "[a"])
def test_a_pattern_that_does_not_compile_is_named(pattern):
    with pytest.raises(
        ValueError, match=f"pattern must be a regex, got {re.escape(repr(pattern))}"
    ):
        split_text("text", pattern)
    with pytest.raises(
        ValueError, match=f"pattern must be a regex, got {re.escape(repr(pattern))}"
    ):
        Tokenizer([], pattern)


# Tokenizer: training and encoding ---------------------------------------------------------------


def test_training_learns_what_the_five_functions_learn(tokenizer):
    assert tokenizer.merges == train_merges(split_text(TEXT), 400 - 257)
    assert tokenizer.vocab_size == 400 and tokenizer.end_of_text == 399
    assert repr(tokenizer) == "Tokenizer(vocab_size=400)"


def test_several_texts_train_as_chunks_of_each():
    texts = (text for text in ["ab ab", "b ab", ""])
    assert Tokenizer.train(texts, 259).merges == train_merges([b"ab", b" ab", b"b", b" ab"], 2)


def test_a_vocabulary_larger_than_the_text_stops_early():
    tokenizer = Tokenizer.train("abc", 5000)
    assert tokenizer.merges == [(97, 98), (256, 99)]
    assert tokenizer.vocab_size == 259 and tokenizer.end_of_text == 258


@pytest.mark.parametrize("texts", ["", [], ["", ""]])
def test_an_empty_text_gives_a_tokenizer_of_bytes(texts):
    tokenizer = Tokenizer.train(texts, 300)
    assert tokenizer.vocab_size == 257 and tokenizer.merges == []
    assert tokenizer.encode("aé") == [97, 0xC3, 0xA9]
    assert tokenizer.encode("") == [] and tokenizer.decode([]) == ""


@pytest.mark.parametrize("vocab_size", [256, 0, -1, 300.0, True, "300", None])
def test_a_vocabulary_smaller_than_the_bytes_is_refused(vocab_size):
    with pytest.raises(ValueError, match=f"at least 257 .*got {vocab_size!r}"):
        Tokenizer.train("abc", vocab_size)


def test_special_characters_count_as_text_in_training():
    assert Tokenizer.train(END_OF_TEXT, 300).merges == train_merges(split_text(END_OF_TEXT), 43)


@settings(max_examples=300, deadline=None)
@given(text=texts)
@example(text=TEXT)
@example(text="    the  robot's \n\n ")
def test_ids_are_those_of_encode_chunk(tokenizer, text):
    chunks = split_text(text)
    ids = [i for chunk in chunks for i in encode_chunk(chunk, tokenizer.merges)]
    assert tokenizer.encode(text) == ids
    assert tokenizer.decode(ids) == decode_ids(ids, tokenizer.merges) == text


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_ids_are_those_of_tiktoken_for_the_released_pattern(training_text, text):
    tokenizer = Tokenizer.train(training_text, 300)
    ranks = {tokenizer.token_bytes(i): i for i in range(tokenizer.end_of_text)}
    peer = tiktoken.Encoding(
        "peer", pat_str=RELEASED_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    for some in (training_text, text, training_text + text):
        assert tokenizer.encode(some) == peer.encode_ordinary(some)


small_merges = st.lists(st.tuples(*[st.sampled_from([97, 98, *range(256, 262)])] * 2), max_size=6)


@settings(max_examples=300, deadline=None)
@given(small_merges, st.text("ab", max_size=30))
@example([(97, 98), (98, 97), (256, 97)], "ababa")
@example([(98, 97), (97, 98), (257, 97)], "ababa")  # here tiktoken alone would merge ab, a
def test_merges_are_refused_or_give_the_ids_of_encode_chunk(merges, text):
    try:
        tokenizer = Tokenizer(merges)
    except ValueError as error:
        assert re.match(r"merge \d", str(error))
    else:
        assert tokenizer.encode(text) == encode_chunk(text.encode(), merges)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(97, 98), (257, 99)], r"merge 1 must join two ids below 257, .* got \(257, 99\)"),
        ([(97, 256)], r"merge 0 must join two ids below 256"),
        ([(97, -1)], r"merge 0 must join two ids below 256"),
        ([(97, 98, 99)], r"merge 0 must join two ids"),
        ([(97, 98.0)], r"merge 0 must join two ids"),
        ([(97, True)], r"merge 0 must join two ids"),
        ([(97, 98), (97, 98)], r"merge 1, \(97, 98\), can never apply"),
        ([(98, 99), (97, 98), (257, 99)], r"merge 2, \(257, 99\), can never apply: .*\[97, 256\]"),
    ],
)
def test_merges_that_no_training_gives_are_named(merges, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer(merges)


def test_the_end_of_text_is_ordinary_text_unless_it_is_allowed(tokenizer):
    text = f"one{END_OF_TEXT}two  {END_OF_TEXT}{END_OF_TEXT}"
    plain = tokenizer.encode(text)
    assert tokenizer.end_of_text not in plain
    assert tokenizer.decode(plain) == text

    end = tokenizer.end_of_text
    one, two = tokenizer.encode("one"), tokenizer.encode("two  ")
    special = tokenizer.encode(text, allow_special=True)
    assert special == [*one, end, *two, end, end]
    assert tokenizer.decode(special) == text
    peer = tokenizer._encoding.encode(text, allowed_special="all")
    assert special == peer


def test_token_bytes_are_those_of_the_merges(tokenizer):
    assert tokenizer.token_bytes(97) == b"a"
    for rank, (left, right) in enumerate(tokenizer.merges):
        joined = tokenizer.token_bytes(left) + tokenizer.token_bytes(right)
        assert tokenizer.token_bytes(256 + rank) == joined
    assert tokenizer.token_bytes(tokenizer.end_of_text) == END_OF_TEXT.encode()


def test_the_merges_handed_out_are_a_copy(tokenizer):
    tokenizer.merges.clear()
    assert len(tokenizer.merges) == 400 - 257


def test_a_pickled_tokenizer_gives_the_same_ids(tokenizer):
    assert pickle.loads(pickle.dumps(tokenizer)).encode(TEXT) == tokenizer.encode(TEXT)


# Tokenizer: every text --------------------------------------------------------------------------


def test_100_000_random_strings_of_all_planes_round_trip(tokenizer):
    rng = random.Random(20)
    ranges = [range(0x80), range(0x80, 0x800), range(0x800, 0xD800), range(0xE000, 0x10000)]
    ranges += [range(plane << 16, (plane + 1) << 16) for plane in range(1, 17)]
    pool = "".join(chr(rng.choice(rng.choice(ranges))) for _ in range(200_000))
    planes, lengths = set(), set()
    for _ in range(100_000):
        start, length = rng.randrange(len(pool)), rng.choice([0, 1, 2, 3, 5, 8, 13, 21, 34])
        text = pool[start : start + length]
        assert tokenizer.decode(tokenizer.encode(text)) == text
        planes.update(map(ord, text[:1]))
        lengths.add(len(text))
    assert {code >> 16 for code in planes} == set(range(17)) and len(lengths) >= 9


def test_every_character_round_trips(tokenizer):
    for plane in range(17):
        codes = range(plane << 16, (plane + 1) << 16)
        text = "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", [b"bytes", bytearray(b"x"), None, 7, ["a"], np.array(["a"])])
def test_text_that_is_not_str_is_refused(tokenizer, text):
    with pytest.raises(TypeError, match=f"text must be str, got {type(text).__name__}"):
        tokenizer.encode(text)


def test_bytes_are_told_to_be_decoded_first(tokenizer):
    for call in (tokenizer.encode, split_text, lambda text: Tokenizer.train(text, 300)):
        with pytest.raises(TypeError, match=r"decode it first: text\.decode\('utf-8'\)"):
            call(b"bytes")


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [("ab\ud800", "D800", 2), ("\udfffz", "DFFF", 0), ("a\ud83d\ude00", "D83D", 1)],
)
def test_a_lone_surrogate_is_named_with_its_position(tokenizer, text, code, position):
    for call in (tokenizer.encode, split_text, lambda text: Tokenizer.train(["ok", text], 300)):
        with pytest.raises(ValueError, match=rf"U\+{code}.*at position {position}; mend it") as e:
            call(text)
    remedy = re.search(r"mend it with (text\.encode.*\))$", str(e.value))[1]
    assert tokenizer.encode(eval(remedy, {"text": text}))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("a" * 10_000_000, id="one letter"),
        pytest.param("機" * 3_333_334, id="three bytes a letter"),
        pytest.param("the robot's 3 orders!  " * 434_783, id="words"),
        pytest.param(" " * 10_000_000 + "x", id="blanks before a word"),
    ],
)
def test_a_line_of_10_megabytes_round_trips(tokenizer, line):
    assert len(line.encode()) >= 10_000_000
    assert tokenizer.decode(tokenizer.encode(line)) == line


@pytest.mark.parametrize(
    ("blanks", "end"),
    [
        ("y" * 1_050_000 + " " * 1_100_000, "x"),
        (" " * 1_100_000, ""),
        ("\n" * 200_201, ""),
        ("\n" * 200_201, END_OF_TEXT),
        ("\n" * 200_202, "\n"),
        (" \t" * 101_111, "\nx  "),
    ],
)
def test_long_runs_of_blanks_get_the_ids_of_the_plain_algorithm(blanks, end):
    tokenizer = Tokenizer.train(["        x", "\n\n\nx", " \t \tx"], 262)
    text = f"x{blanks}{end}{' ' * 100_001}x"
    ids = [i for chunk in split_text(text) for i in encode_chunk(chunk, tokenizer.merges)]
    assert tokenizer.encode(text) == ids
    if end == END_OF_TEXT:
        before, after = (tokenizer.encode(part) for part in text.split(END_OF_TEXT))
        special = tokenizer.encode(text, allow_special=True)
        assert special == [*before, tokenizer.end_of_text, *after]


def test_a_long_chunk_gets_the_ids_of_the_plain_algorithm():
    tokenizer = Tokenizer.train(["aaaaa", "abab", "12121"], 264)
    for text in ("a" * 100_001, "aab" * 20_000, "121" * 30_000):
        assert tokenizer.encode(text) == encode_chunk(text.encode(), tokenizer.merges)


def test_training_on_a_long_line_learns_its_doublings():
    merges = Tokenizer.train("a" * 2**17, 500).merges
    assert merges == [(97, 97)] + [(i, i) for i in range(256, 256 + 16)]


def test_a_pattern_with_too_many_retries_is_named_and_harms_nothing(tokenizer):
    other = Tokenizer(tokenizer.merges, RELEASED_PATTERN)
    with pytest.raises(ValueError, match="pattern must not need a million retries"):
        other.encode(" " * 2_000_000 + "x")
    assert other.encode(TEXT) == tokenizer.encode(TEXT)


# Tokenizer: every list of ids -------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        tuple,
        iter,
        np.array,
        lambda ids: np.array(ids, dtype=np.uint16),
        lambda ids: list(np.array(ids)),
        torch.tensor,
        lambda ids: torch.tensor(ids, dtype=torch.int32),
        lambda ids: list(torch.tensor(ids)),
    ],
)
def test_ids_may_come_as_any_flat_list_of_integers(tokenizer, kind):
    ids = tokenizer.encode("the robot")
    assert tokenizer.decode(kind(ids)) == "the robot"
    assert tokenizer.token_bytes(np.int64(ids[0])) == tokenizer.token_bytes(ids[0])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([97, 98.0], r"ids must be ints, got 98\.0 at position 1"),
        ([True], "ids must be ints, got True at position 0"),
        (["97"], "ids must be ints, got '97' at position 0"),
        ("97", "ids must be ints, got '9' at position 0"),
        ([None], "ids must be ints, got None"),
        (np.array([1.0]), r"ids must be ints, got 1\.0"),
        (np.array([True]), "ids must be ints, got True"),
        ([np.bool_(True)], "ids must be ints, got True"),
        (torch.tensor([1.5]), r"ids must be ints, got 1\.5"),
        (torch.tensor([True]), "ids must be ints, got True"),
        (torch.tensor([[1, 2]]), r"ids must be ints, got \[1, 2\] .* one row at a time"),
        ([[1, 2]], r"ids must be ints, got \[1, 2\] .* one row at a time"),
        (97, r"ids must be a list, got the number 97; write \[97\]"),
        (torch.tensor(97), r"ids must be a list, got the number 97; write \[97\]"),
    ],
)
def test_ids_that_are_no_integers_are_refused(tokenizer, ids, message):
    for decode in (tokenizer.decode, tokenizer.decode_bytes):
        with pytest.raises(TypeError, match=message):
            decode(ids)


@pytest.mark.parametrize("wrong", [400, -1, 50256, 2**32, 2**64, -(2**70), 10**30])
def test_ids_outside_the_vocabulary_are_named_with_their_position(tokenizer, wrong):
    message = rf"ids must lie between 0 and 399, got {wrong} at position 2; .* made the ids"
    with pytest.raises(ValueError, match=message):
        tokenizer.decode([97, 399, wrong, 98])
    with pytest.raises(ValueError, match=f"got {wrong} at"):
        tokenizer.token_bytes(wrong)


def test_ids_cut_inside_a_character_decode_to_the_replacement_character():
    assert Tokenizer([]).decode([97, 0xE2, 0x82]) == "a\ufffd"
    assert Tokenizer([]).decode_bytes([97, 0xE2, 0x82]) == b"a\xe2\x82"


# Tokenizer: files -------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A small tokenizer, whose third merge makes half a character, and its file."""
    tokenizer = Tokenizer.train("aaab aab 機機機 \n\n", 263)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    return tokenizer, path


def test_a_loaded_tokenizer_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "t.json")
    loaded = Tokenizer.load(str(tmp_path / "t.json"))
    assert loaded.merges == tokenizer.merges and loaded.vocab_size == tokenizer.vocab_size
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert loaded.encode(END_OF_TEXT, allow_special=True) == [tokenizer.end_of_text]


def test_the_pattern_is_in_force_after_loading(tmp_path):
    pattern = r"\w+ |(?s:.)"  # here a blank belongs to the word before it
    text = "ab ab ab ab"
    tokenizer = Tokenizer.train(text, 260, pattern)
    tokenizer.save(tmp_path / "t.json")
    loaded = Tokenizer.load(tmp_path / "t.json")
    ids = tokenizer.encode(text)
    assert loaded.pattern == pattern
    assert loaded.encode(text) == ids
    assert Tokenizer(tokenizer.merges).encode(text) != ids  # so the pattern does decide


@settings(max_examples=50, deadline=None)
@given(text=texts)
def test_what_any_text_teaches_survives_the_file(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("saved") / "t.json"
    tokenizer = Tokenizer.train(text, 280)
    tokenizer.save(path)
    assert Tokenizer.load(path).merges == tokenizer.merges


def test_the_file_can_be_read_by_a_person(saved):
    _, path = saved
    lines = path.read_text("utf-8").splitlines()
    assert lines[1] == '  "format": "gpt2course tokenizer",'
    assert '    [97, 97, "aa"],' in lines
    assert r'    [169, 159, "\\xa9\\x9f"],' in lines  # a part of 機 stands as its bytes
    assert '    [230, 257, "機"],' in lines


def test_saving_twice_gives_the_same_bytes(saved):
    tokenizer, path = saved
    before = path.read_bytes()
    Tokenizer.load(path).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["tokenizer.json"]


def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    tokenizer, path = saved
    before = path.read_bytes()

    def full_disk(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        Tokenizer.train("other text", 300).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["tokenizer.json"]


def test_a_file_cut_at_any_byte_is_recognised(saved):
    _, path = saved
    whole = path.read_bytes().rstrip()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"tokenizer\.json must be .*it is not whole JSON"):
            Tokenizer.load(path)


def test_a_file_with_any_character_changed_is_recognised(saved):
    _, path = saved
    whole = path.read_bytes().rstrip()
    assert len(whole) > 400
    for i, byte in enumerate(whole):
        if byte in b" \n":
            continue  # blanks between the parts carry nothing
        path.write_bytes(whole[:i] + bytes([byte ^ 1]) + whole[i + 1 :])
        with pytest.raises(ValueError, match=r"tokenizer\.json must be as Tokenizer\.save wrote"):
            Tokenizer.load(path)


def edited(**changes):
    return lambda fields: fields.update(changes)


def pair_at(row, left, right):
    def edit(fields):
        fields["merges"][row][:2] = [left, right]

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited(format="other"), "its format is not 'gpt2course tokenizer'"),
        (edited(version=2), "its version is 2, this one reads 1"),
        (edited(version=None), "its version is None"),
        (edited(pattern=r"\w+|\W"), "its field 'sha256' does not fit the rest: it was edited"),
        (edited(pattern="("), "pattern must be a regex, got '\\('"),
        (edited(pattern=5), "pattern must be a regex, got 5"),
        (edited(special_tokens={}), "its field 'special_tokens' does not fit"),
        (edited(special_tokens={END_OF_TEXT: 0}), "its field 'special_tokens' does not fit"),
        (edited(sha256="0" * 64), "its field 'sha256' does not fit"),
        (edited(more=1), "its field 'more' does not fit"),
        (edited(merges={}), "its merges are not rows of two ids and a text"),
        (edited(merges=[[97, 98]]), "its merges are not rows"),
        (edited(merges=[[97, 98, "ab"], 5]), "its merges are not rows"),
        (edited(merges=[]), "its field 'special_tokens' does not fit"),
        (lambda fields: fields.pop("pattern"), "it lacks pattern"),
        (lambda fields: fields.pop("merges"), "it lacks merges"),
        (lambda fields: fields.pop("sha256"), "it lacks sha256"),
        (lambda fields: fields["merges"].pop(), "its field 'special_tokens' does not fit"),
        (
            lambda fields: fields["merges"][0].__setitem__(2, "zz"),
            "its field 'merges' does not fit",
        ),
        (lambda fields: fields["merges"].append([97, 97, "aa"]), r"\(97, 97\), can never apply"),
        (pair_at(1, 999, 98), r"merge 1 must join two ids below 257, which exist before it"),
        (pair_at(0, 256, 98), r"merge 0 must join two ids below 256"),
        (pair_at(0, -1, 98), r"merge 0 must join two ids below 256"),
        (pair_at(0, 97.0, 97), r"merge 0 must join two ids below 256"),
        (pair_at(0, "97", 97), r"merge 0 must join two ids below 256"),
        (pair_at(0, [97], 97), r"merge 0 must join two ids below 256"),
        (pair_at(-1, 120, 121), "its field 'merges' does not fit the rest"),
    ],
)
def test_each_edited_field_is_named(saved, edit, message):
    _, path = saved
    fields = json.loads(path.read_text("utf-8"))
    edit(fields)
    path.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(ValueError, match=message) as error:
        Tokenizer.load(path)
    assert str(path) in str(error.value) and "save it again" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not whole JSON"),
        (b"\xff\xfe\x00\x80garbage", "not whole JSON"),
        ('{"format": "Stra\u00dfe"}'.encode("latin-1"), "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b"[]", "its format is not"),
        (b"null", "its format is not"),
        (b'{"version": 1}', "its format is not"),
    ],
)
def test_a_file_of_another_kind_is_recognised(tmp_path, content, message):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"other\.json must be .*{message}"):
        Tokenizer.load(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        Tokenizer.load(tmp_path / "nowhere.json")
