"""The house: imports point one way, along the data flow, and what is light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gpt2course"
# In the order of the data, on top of what writes files; a module may import those before it.
FLOW = [
    "files",
    "config",
    "corpus",
    "bigram",
    "tokenizer",
    "linear",
    "embedding",
    "attention",
    "multihead",
    "mlp",
    "block",
    "model",
    "kv_cache",
    "sampling",
    "hub",
    "weights",
    "inspection",
    "evaluation",
    "settings",
    "text_data",
    "chunked_loss",
    "checkpoints",
    "processes",
    "training",
    "model_card",
]
# Beside the flow, from what knows least to what knows most.
BESIDE = ["figures", "checks", "answer_source", "workbook", "mine", "widgets", "notebook"]
ALONE = ["authoring", "cli", "doctor"]  # the command line, which starts before torch is there


def imported_parts(part: str) -> set[str]:
    """The parts of the package that the files of one part import at their top."""
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else []
    found = set()
    for path in files or (PACKAGE / part).rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gpt2course"):
                inner = node.module.split(".")[1:]
                found |= {inner[0]} if inner else {alias.name for alias in node.names}
    return found - {part}


def test_every_part_of_the_package_has_its_place():
    parts = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == {*FLOW, *BESIDE, *ALONE}


@pytest.mark.parametrize("part", FLOW)
def test_the_flow_imports_only_what_comes_before(part):
    assert imported_parts(part) <= set(FLOW[: FLOW.index(part)])


@pytest.mark.parametrize("part", BESIDE)
def test_what_stands_beside_the_flow_imports_one_way(part):
    assert imported_parts(part) <= {*FLOW, *BESIDE[: BESIDE.index(part)]}


def test_authoring_needs_nothing_of_the_model():
    assert imported_parts("authoring") == {"files"}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import gpt2course", "torch"),
        ("import gpt2course.tools.authoring", "torch"),
        ("from gpt2course.model import GPT2", "matplotlib"),
        ("from gpt2course import check", "matplotlib"),
    ],
)
def test_importing_stays_light(statement, unwanted):
    code = f"import sys; {statement}; print({unwanted!r} in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
