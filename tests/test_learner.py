"""Learners who work through the lessons in real kernels: right, partly wrong, twice, restarted."""

import copy
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gpt2course import workbook
from gpt2course.checks import engine

LESSONS = sorted((Path(__file__).resolve().parents[1] / "lessons").glob("*.ipynb"))

# Right answers of a learner's own: other ways than the package's.
ANSWERS = {
    "count_pairs": """
        def count_pairs(ids):
            counts = {}
            for i in range(1, len(ids)):
                pair = ids[i - 1], ids[i]
                if pair not in counts:
                    counts[pair] = 0
                counts[pair] = counts[pair] + 1
            return counts
        """,
    "merge_pair": """
        def merge_pair(ids, pair, new_id):
            merged, rest = [], list(ids)
            while rest:
                if tuple(rest[:2]) == tuple(pair):
                    merged.append(new_id)
                    rest = rest[2:]
                else:
                    merged.append(rest.pop(0))
            return merged
        """,
    "train_merges": """
        def train_merges(chunks, n_merges):
            texts, merges = [list(chunk) for chunk in chunks], []
            while len(merges) < n_merges:
                total = {}
                for ids in texts:
                    for pair, n in count_pairs(ids).items():
                        total[pair] = total.get(pair, 0) + n
                if not total:
                    break
                best = sorted(total, key=lambda pair: (-total[pair], pair))[0]
                texts = [merge_pair(ids, best, 256 + len(merges)) for ids in texts]
                merges.append(best)
            return merges
        """,
    "encode_chunk": """
        def encode_chunk(chunk, merges):
            ids = list(chunk)
            ranks = {pair: rank for rank, pair in enumerate(merges)}
            while True:
                known = [ranks[p] for p in zip(ids, ids[1:]) if p in ranks]
                if not known:
                    return ids
                rank = min(known)
                ids = merge_pair(ids, merges[rank], 256 + rank)
        """,
    "decode_ids": """
        def decode_ids(ids, merges):
            pieces = [bytes([i]) for i in range(256)]
            for left, right in merges:
                pieces.append(pieces[left] + pieces[right])
            return b"".join(pieces[i] for i in ids).decode("utf-8", "replace")
        """,
    "attention_scores": """
        def attention_scores(q, k):
            return torch.einsum("...th,...sh->...ts", q, k) * q.shape[-1] ** -0.5
        """,
    "attention_weights": """
        def attention_weights(scores):
            raised = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
            return raised / raised.sum(dim=-1, keepdim=True)
        """,
    "blend_values": """
        def blend_values(weights, v):
            return torch.matmul(weights, v)
        """,
    "causal_mask": """
        def causal_mask(n_query, n_key):
            query = torch.arange(n_query) + n_key - n_query
            return torch.arange(n_key) <= query[:, None]
        """,
    "masked_attention": """
        def masked_attention(q, k, v):
            hidden = ~causal_mask(q.shape[-2], k.shape[-2])
            scores = attention_scores(q, k) + torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
            return blend_values(attention_weights(scores.to(q.dtype)), v)
        """,
}
WRONG = {
    "merge_pair": "def merge_pair(ids, pair, new_id):\n    return [new_id] * len(ids)",
    "encode_chunk": "def encode_chunk(chunk, merges):\n    return list(chunk)",
    "attention_weights": "def attention_weights(scores):\n    return scores.softmax(0)",
    "masked_attention": "def masked_attention(q, k, v):\n    raise RuntimeError('what now?')",
}


def work_through(path: Path, answers: dict[str, str], times: int = 1) -> nbformat.NotebookNode:
    """Run a lesson in a fresh kernel with these answers in its exercise cells."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("exercise-")
        if name in answers:
            cell.source = textwrap.dedent(answers[name]).strip()
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    )
    with client.setup_kernel():
        for _ in range(times):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
    return notebook


def shown(notebook: nbformat.NotebookNode, text: str) -> int:
    """How many cells show the text."""
    return sum(text in str(cell.get("outputs", "")) for cell in notebook.cells)


def exercises_of(path: Path) -> list[str]:
    return [name for name, e in engine.exercises().items() if e.lesson == path.stem]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_an_untouched_lesson_runs_twice_in_one_kernel(path, workbook_folder):
    notebook = work_through(path, {}, times=2)
    assert shown(notebook, "not started") + shown(notebook, "is the package's own here") > 0
    assert not workbook_folder.exists()


def test_a_learner_with_answers_of_her_own_carries_them_all_to_the_end(workbook_folder):
    for path in LESSONS:
        notebook = work_through(path, ANSWERS)
        assert shown(notebook, ": passed") == len(exercises_of(path)), path.stem
    assert workbook.kept_names() == engine.names() == list(ANSWERS)
    assert "the package's" not in (workbook_folder / "masked_attention.py").read_text()
    for name in engine.names():
        own = workbook.load(name, pytest.fail)
        assert own is not engine.find(name).reference
        assert engine.run(name, own).passed
    leaning = workbook.load("masked_attention", pytest.fail)
    assert leaning.__globals__["causal_mask"] is workbook.load("causal_mask", pytest.fail)


def test_a_learner_who_gets_a_third_wrong_reaches_the_end_and_no_wrong_part_travels():
    answers = {**copy.copy(ANSWERS), **WRONG}
    for path in LESSONS:
        notebook = work_through(path, answers)
        wrong = [name for name in exercises_of(path) if name in WRONG]
        assert shown(notebook, "Until yours passes") == len(wrong), path.stem
    assert workbook.kept_names() == [name for name in engine.names() if name not in WRONG]


def test_a_kernel_restarted_half_way_goes_on_from_the_top():
    path = LESSONS[-1]
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells[:30]):
            client.execute_cell(cell, index)
    work_through(path, {})
