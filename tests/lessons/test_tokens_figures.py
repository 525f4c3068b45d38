"""The pictures and the slider of lesson 02 say what is true of the tokens."""

import re
from html.parser import HTMLParser

import pytest
from seen import shapes, texts

from gpt2course.drawing.tokens import boxes, piece_table, piece_text, token_boxes
from gpt2course.lessons.tokens.figures import (
    STORY,
    bytes_under,
    compression,
    cuts,
    language_chart,
    merge_steps,
    merge_tree,
)
from gpt2course.lessons.tokens.widgets import merge_slider, tokens_after
from gpt2course.tokenizer import Tokenizer, split_text, train_merges

ABC = [(97, 98), (256, 99)]  # 256 = ab, 257 = abc
MERGES = train_merges(split_text(STORY), 120)
TEXT = "The robots obeyed,  at the café 🤖"


class Tags(HTMLParser):
    """The tags of a page that are not closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def bars(picture):
    """(x, width) of the boxes of a drawing."""
    return [(box.x, box.width) for box in shapes(picture, "rect")]


def test_the_table_of_pieces_opens_every_merge():
    assert piece_table(ABC)[255:] == [b"\xff", b"ab", b"abc"]


@pytest.mark.parametrize(
    "piece, drawn",
    [
        (b"ab", "ab"),
        (b" ab", "␣ab"),
        (b"\n\t", "↵⇥"),
        ("é".encode(), "é"),
        (b"\xc3", "c3"),
        (b" \xf0\x9f", "20 f0 9f"),
        (b"\x00", "U+0000"),
    ],
)
def test_blanks_and_broken_characters_can_be_seen(piece, drawn):
    assert piece_text(piece) == drawn


def test_token_boxes_tell_every_piece_with_its_id():
    assert token_boxes([257, 32, 256], ABC).alt == "abc (257) ␣ (32) ab (256)"


def test_bytes_that_are_no_character_have_a_dashed_box():
    assert token_boxes(list("é".encode())).html.count("dashed") == 2
    assert "dashed" not in boxes(["é".encode(), b"\xef\xbf\xbd"]).html


@pytest.mark.parametrize(
    "picture",
    [
        boxes([b"<b>&\"'"], ["<b>"], title="<b>"),
        cuts([("<b>", [b"<b>"], [300])]),
        merge_tree(b"<b", [(60, 98)]),
        tokens_after("<b>", [(60, 98), (256, 62)], 2),
    ],
)
def test_what_stands_in_a_text_does_not_become_markup(picture):
    assert "b" not in Tags(picture.html).seen


def test_a_long_text_is_cut_and_says_so():
    picture = boxes([b"a"] * 7, most=5)
    assert picture.html.count(">a<") == 5
    assert "… and 2 more" in picture.html


def test_merge_steps_has_a_row_for_every_merge_that_finds_its_pair():
    never = (120, 121)
    alt = merge_steps(b"abcab", [*ABC, never]).alt
    assert alt == (
        "bytes: a | b | c | a | b (5 tokens); merge 0: a + b: ab | c | ab (3 tokens); "
        "merge 1: ab + c: abc | ab (2 tokens)"
    )


def test_merge_steps_stops_after_as_many_merges_as_asked():
    assert "merge 1" not in merge_steps(b"abc", ABC, most=1).alt


def test_every_byte_keeps_its_column_in_all_rows():
    rows = bars(merge_steps(b"abcab", ABC))
    (first, _), *_ = rows
    column = rows[1][0] - first
    assert [round((x - first) / column) for x, _ in rows] == [0, 1, 2, 3, 4, 0, 2, 3, 0, 3]
    assert [round((width + 4) / column) for _, width in rows] == [1, 1, 1, 1, 1, 2, 1, 2, 3, 2]


def test_a_piece_that_is_new_in_a_row_has_a_thick_frame_where_that_is_asked_for():
    same = [("a", [b"ab", b"c"], [256, 99]), ("b", [b"ab", b"c"], [256, 99])]
    other = [("a", [b"ab", b"c"], [256, 99]), ("b", [b"a", b"bc"], [97, 257])]
    pictures = [cuts(same, mark_new=True), cuts(other, mark_new=True), cuts(other)]
    thick = [len(shapes(picture, "rect", stroke_width="2.5")) for picture in pictures]
    assert thick == [0, 2, 0]
    assert shapes(merge_steps(b"abc", ABC), "rect", stroke_width="2.5")


def test_the_tree_tells_the_merges_from_first_to_last_and_each_once():
    assert merge_tree(b"abcab", ABC).alt == "abc | ab: a + b = ab (256); ab + c = abc (257)"
    ranks = re.findall(r"\((\d+)\)", merge_tree(b" robots obeyed", MERGES).alt)
    assert len(ranks) > 5
    assert ranks == sorted(set(ranks), key=int)


def test_the_tree_draws_a_line_from_every_part_to_what_it_is_part_of():
    tree = merge_tree(b"abcab", ABC)
    boxes, lines = shapes(tree, "rect"), shapes(tree, "path")
    assert (len(boxes), len(lines)) == (5 + 2 + 1, 6)
    tops, bottoms = {box.y for box in boxes}, {box.y + box.height for box in boxes}
    assert all(line.y in tops and line.points[1][1] in bottoms for line in lines)


def test_compression_tells_its_numbers():
    alt = compression({"one": [(0, 1.0), (9, 2.25)], "other": [(0, 1.0), (9, 1.5)]}).alt
    assert "one: 1.00 after 0, 2.25 after 9; other: 1.00 after 0, 1.50 after 9" in alt


def test_the_language_chart_tells_its_numbers():
    alt = language_chart({"Greek": (3, 6, 5), "English": (4, 4, 1)}, "ours").alt
    assert alt == (
        "One sentence, ours: Greek 3 characters, 6 bytes, 5 tokens; "
        "English 4 characters, 4 bytes, 1 token"
    )


@pytest.mark.parametrize("n_merges", [0, 1, 17, 120])
def test_the_slider_cuts_as_tiktoken_does_with_the_same_merges(n_merges):
    tokenizer = Tokenizer(MERGES[:n_merges])
    ids = tokenizer.encode(TEXT)
    alt = tokens_after(TEXT, MERGES, n_merges).alt
    merges = "1 merge" if n_merges == 1 else f"{n_merges} merges"
    assert f"{merges}: {len(TEXT.encode())} bytes in {len(ids)} tokens" in alt
    assert alt.endswith(" ".join(f"{piece_text(tokenizer.token_bytes(i))} ({i})" for i in ids))


def test_one_of_a_thing_has_no_plural():
    assert "0 merges: 1 byte in 1 token," in tokens_after("a", ABC, 0).alt
    assert "2 merges: 3 bytes in 1 token," in tokens_after("abc", ABC, 2).alt


def test_the_slider_names_the_merge_that_it_stands_at():
    assert "the last merge made 257: ab + c = abc" in tokens_after("abc", ABC, 2).alt
    assert "no merge yet" in tokens_after("abc", ABC, 0).alt


def test_moving_the_slider_and_typing_change_the_drawing():
    playable = merge_slider(MERGES, TEXT, n_merges=5)
    field, slider, shown = playable.widget.children
    assert shown.value == playable.twin.html == tokens_after(TEXT, MERGES, 5).html
    slider.value = 60
    assert shown.value == tokens_after(TEXT, MERGES, 60).html
    field.value = "an order"
    assert shown.value == tokens_after("an order", MERGES, 60).html


@pytest.mark.parametrize("text", ["", "half a face \ud83e", "x" * 3000])
@pytest.mark.parametrize("n_merges", [0, 120])
def test_nothing_that_can_be_typed_breaks_the_slider(text, n_merges):
    assert not Tags(tokens_after(text, MERGES, n_merges).html).open


def test_every_character_stands_over_its_bytes():
    picture = bytes_under("Ré🤖")
    assert picture.alt == "R 82; é 195 169; 🤖 240 159 164 150"
    boxes = shapes(picture, "rect")
    characters, stored = [b for b in boxes if b.y == 0], [b for b in boxes if b.y > 0]
    assert [len([b for b in stored if c.x <= b.x < c.x + c.width]) for c in characters] == [1, 2, 4]
    assert "3 characters, 7 bytes" in texts(picture)
