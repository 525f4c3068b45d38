"""A learner who works through the lessons in real kernels, and one who restarts hers."""

import inspect
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import torch
from alone import logits_alone
from her_answers import ANSWERS, exercises_of, her_workbook
from nbclient import NotebookClient
from torch.testing import assert_close

from gpt2course.checks import engine
from gpt2course.config import GPT2Config
from gpt2course.files import COURSE_FOLDER
from gpt2course.learner import assemble, workbook
from gpt2course.model import GPT2

LESSONS = sorted((Path(__file__).resolve().parents[2] / "lessons").glob("*.ipynb"))


def run(path: Path, cells: int | None = None) -> None:
    """Run the first cells of a lesson, or all, in a fresh kernel and in its folder."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=120, resources=folder, shutdown_kernel="immediate")
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells[:cells]):
            client.execute_cell(cell, index)


def test_a_learner_with_answers_of_her_own_has_them_all_in_the_end(monkeypatch):
    """That each lesson runs with hers, and with all that she built before, conftest.py sees."""
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(her_workbook()))
    built = [name for path in LESSONS for name in exercises_of(path)]
    assert workbook.kept_names() == built == list(ANSWERS)
    for name in built:
        own = workbook.load(name, pytest.fail)
        assert own is not engine.find(name).reference
        assert engine.run(name, own).passed
    the_model_is_made_of_her_parts_alone(her_workbook())


def the_model_is_made_of_her_parts_alone(folder):
    """Her GPT2 reaches, part by part, what she wrote; and its logits are the reference's."""
    own = {name: workbook.load(name, pytest.fail) for name in ANSWERS}
    inside, waiting = set(), ["GPT2"]
    while waiting:
        name = waiting.pop()
        inside.add(name)
        imported = re.findall(r"^(?:from|import) .*", (folder / f"{name}.py").read_text(), re.M)
        for line in imported:
            package, _, part = line.removeprefix("from ").partition(" import ")
            if package == "gpt2course.mine":
                assert inspect.getmodule(own[name]).__dict__[part] is own[part]
                waiting.append(part)
            else:
                assert "gpt2course" not in line, line  # torch and Python, and nothing of ours
    assert inside == {
        "GPT2", "embed", "Block", "CausalSelfAttention", "split_heads", "merge_heads",
        "masked_attention", "causal_mask", "attention_scores", "attention_weights", "blend_values",
        "MLP", "gelu", "output_logits",
    }  # fmt: skip
    config = GPT2Config(n_layer=3, n_head=2, n_embd=16, n_ctx=9, vocab_size=31)
    torch.manual_seed(0)
    theirs, hers = GPT2(config), own["GPT2"](config)
    hers.load_state_dict(theirs.state_dict())
    idx = torch.randint(31, (2, 9))
    assert_close(hers(idx), theirs(idx))


def test_her_one_file_runs_where_the_course_is_not(monkeypatch, tmp_path):
    """It has her parts alone, and the reference's logits."""
    folder = shutil.copytree(her_workbook(), tmp_path / "my_gpt2")
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(folder))
    path, ids = assemble.assemble().path, [2047, 65, 300, 1200, 7, 411]
    parts, _, _ = path.read_text().partition("# The program")
    assert "the package's" not in parts
    with torch.no_grad():
        expected = GPT2.from_pretrained("course")(torch.tensor([ids]))
    assert_close(logits_alone(path, COURSE_FOLDER, ids, tmp_path), expected, atol=1e-3, rtol=1e-4)


def test_a_kernel_restarted_half_way_goes_on_from_the_top():
    path = next(path for path in LESSONS if path.stem == "06_masking")
    run(path, 30)
    run(path)
