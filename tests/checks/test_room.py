"""mistakes.md and answers.md: what the reader takes, and what it says where it can't."""

import pytest

from gpt2course import checks
from gpt2course.checks.room import (
    RightAnswer,
    RoomFault,
    read_answers,
    read_mistakes,
    reference_source,
    sections,
)

REFERENCE = '''
def double(x):
    """Twice x."""
    twice = 2 * x
    return twice
'''
OTHER = RightAnswer("adding", "def double(x):\n    if x:\n        x = x + x\n    return x")


@pytest.fixture
def mistakes(tmp_path):
    """What a section `## three times` of these lines gives."""

    def read(*lines, answers=(OTHER,)):
        path = tmp_path / "mistakes.md"
        path.write_text("\n".join(["# double", "", "## three times", *lines, ""]))
        return read_mistakes(path, "double", REFERENCE, list(answers))

    return read


def results(mistake, x=5):
    found = []
    for way in mistake.ways:
        space = {}
        exec(way, space)
        found.append(space["double"](x))
    return found


def test_an_edit_of_the_reference_is_a_whole_answer(mistakes):
    (mistake,) = mistakes("`2 * x` → `3 * x`", "", "It is", "`3 * x`.")
    assert (mistake.name, mistake.why, results(mistake)) == ("three times", "It is `3 * x`.", [15])


def test_several_lines_are_several_ways_and_commas_join_edits(mistakes):
    (mistake,) = mistakes("`2 *` → `3 *`", "`= 2 *` → `= 1 *`, `return` → `return 3 *`", "", "No.")
    assert results(mistake) == [15, 15]


def test_an_edit_applies_to_the_first_answer_that_has_it_once(mistakes):
    (mistake,) = mistakes("`x + x` → `x + x + x`", "", "No.")
    assert results(mistake) == [15]
    (mistake,) = mistakes("in *adding*: `return x` → `return 15`", "", "No.")
    assert results(mistake) == [15] and "if x" in mistake.ways[0]


def test_an_edit_can_take_something_away(mistakes):
    (mistake,) = mistakes("`2 * ` → nothing", "", "No.")
    assert results(mistake) == [5]


def test_a_diff_replaces_whole_lines_at_whatever_indent(mistakes):
    block = ["```diff", " if x:", "-    x = x + x", "+    y = x + x", "+    x = y + x", "```"]
    (mistake,) = mistakes(*block, "", "No.")
    assert results(mistake) == [15]


def test_a_diff_may_begin_with_a_deeper_line(mistakes):
    lines = ["-        x = x + x", "-    return x", "+        x = x + x + x", "+    return x"]
    block = ["```diff", *lines, "```"]
    (mistake,) = mistakes(*block, "", "No.")
    assert results(mistake) == [15]


def test_edits_of_one_way_do_not_meet_each_other(mistakes):
    (mistake,) = mistakes("`2` → `x`, `* x` → `* 2`", "", "Exchanged, and the same.")
    assert "twice = x * 2\n" in mistake.ways[0]


def test_a_python_block_is_a_whole_answer_and_its_comments_are_no_headings(mistakes):
    block = ["```python", "# double", "def double(x):", "    return 3 * x", "```"]
    (mistake,) = mistakes(*block, "", "No.")
    assert results(mistake) == [15]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["`4 * x` → `3 * x`", "", "No."], "exactly once in a right answer"),
        (["`x` → `y`", "", "No."], "exactly once in a right answer"),
        (["`2 *` → `3 *`, `* x` → `* y`", "", "No."], "overlaps"),
        (["`2 * x` → `2 * x`", "", "No."], "the edit changes nothing"),
        (["in *halving*: `x` → `y`", "", "No."], r"no right answer \*halving\*; .* has adding"),
        (
            ["```diff", "-z = 1", "+z = 2", "```", "", "No."],
            "found exactly once in no right answer",
        ),
        (["```text", "x", "```", "", "No."], "a block is ```python or ```diff, not ```text"),
        (["Only words."], "has no edit"),
        (["`2 *` → `3 *`"], "does not say what to tell"),
        (["`2 *` → `3 *`", "", "No.", "", "## three times", "`2 *` → `4 *`", "", "No."], "twice"),
    ],
)
def test_a_fault_names_the_file_the_heading_and_the_reason(mistakes, lines, said):
    with pytest.raises(RoomFault, match=said) as raised:
        mistakes(*lines)
    assert str(raised.value).startswith("mistakes.md:") and "'three times'" in str(raised.value)


def test_a_right_answer_needs_one_block(tmp_path):
    path = tmp_path / "answers.md"
    path.write_text("# double\n\n## adding\nNo code.\n")
    with pytest.raises(RoomFault, match="answers.md:3: 'adding' of double needs one ```python"):
        read_answers(path, "double")


def test_a_file_that_is_not_there_has_no_sections(tmp_path):
    assert sections(tmp_path / "answers.md") == {}


@pytest.fixture
def room(tmp_path, monkeypatch):
    """The room of lesson 06 with another text in one of its files."""
    from gpt2course.checks import engine, exercise

    original = exercise.ROOMS / "masking"
    (tmp_path / "masking").mkdir()
    for name in ("mistakes.md", "answers.md"):
        (tmp_path / "masking" / name).write_text((original / name).read_text())
    monkeypatch.setattr(exercise, "ROOMS", tmp_path)
    monkeypatch.setattr(engine, "ROOMS", tmp_path)
    found = [checks.find(name) for name in ("causal_mask", "masked_attention")]

    def forget():
        for one in found:
            vars(one).pop("mistakes", None)
            vars(one).pop("right_answers", None)

    forget()
    yield tmp_path / "masking"
    monkeypatch.undo()
    forget()


def test_a_room_in_order_has_no_fault(room):
    assert checks.faults("masking") == []


@pytest.mark.parametrize(
    ("file", "added", "said"),
    [
        ("mistakes.md", "# masked_attention\n## new\n`q` → `p`\n\nNo.", "exactly once"),
        (
            "mistakes.md",
            "# causal_mask\n## fine\n```python\n"
            + reference_source(checks.find("causal_mask").reference)
            + "```\n\nNo.",
            "'fine' of causal_mask gives a right answer",
        ),
        ("mistakes.md", "# embed\n", "mistakes.md has the headings"),
        (
            "mistakes.md",
            "# causal_mask\n## broken\n```python\ndef causal_mask(n) return 1\n```\n\nNo.",
            "way 1 of 'broken' of causal_mask is no answer (SyntaxError",
        ),
        (
            "answers.md",
            "# causal_mask\n## wrong\n```python\ndef causal_mask(n_query, n_key): return 1\n```",
            "answers.md: 'wrong' of causal_mask: It returned an int",
        ),
        (
            "answers.md",
            "# causal_mask\n## misspelt\n```python\ndef casual_mask(n, m):\n    return 1\n```",
            "NameError: the text does not define causal_mask",
        ),
    ],
)
def test_the_faults_of_a_room_are_named(room, file, added, said):
    path = room / file
    path.write_text(path.read_text() + "\n\n" + added + "\n")
    assert any(said in fault for fault in checks.faults("masking")), checks.faults("masking")
