"""The pages at the top: code runs, links and paths lead somewhere, pictures are those of today."""

import json
import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

from gpt2course import corpus, weights
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.tools.cli import main

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT.parent / "shared" / "tiktoken-cache"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = [re.sub(r"^  ", "", code, flags=re.M) if code.startswith("  ") else code
            for code in re.findall(r"```python\n(.*?)```", README, re.S)]  # fmt: skip


INSTRUCTORS, IMPORTERS, COURSE, LOG_PROBS, RELEASED, TEXT = SNIPPETS


def test_the_snippet_for_instructors_runs():
    names = {}
    exec(INSTRUCTORS, names)
    assert names["result"].status == "failed"


def test_the_snippet_for_importers_runs():
    names = {}
    exec(IMPORTERS, names)
    assert names["logits"].shape == (1, len(names["ids"]), names["config"].vocab_size)
    assert names["text"].startswith("a robot must obey")


def test_the_snippet_for_the_course_model_runs(capsys):
    names = {}
    exec(COURSE, names)
    assert capsys.readouterr().out.strip()
    assert names["weights"].shape == (4, 4, len(names["ids"]), len(names["ids"]))


def test_the_snippet_for_log_probabilities_runs():
    names = {}
    exec(LOG_PROBS, names)
    n_tokens = len(names["tokenizer"].encode("Mina watched the robot."))
    assert names["log_probs"].shape == (n_tokens - 1,) and (names["log_probs"] < 0).all()


def test_the_snippet_for_the_text_runs(capsys):
    names = {}
    exec(TEXT, names)
    assert names["story"] in corpus.training_documents()
    assert names["probe"].clue in capsys.readouterr().out


@pytest.mark.released
def test_the_snippet_for_released_weights_runs(monkeypatch, tmp_path, capsys):
    """With a small random model in the place of the 124M."""
    if CACHE.is_dir():
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(CACHE))
    try:
        Tokenizer.gpt2()
    except ConnectionError as error:
        pytest.skip(f"GPT-2's vocabulary can't be had here: {error}")
    GPT2(GPT2Config(n_layer=1, n_head=2, n_embd=8)).save_pretrained(tmp_path)
    monkeypatch.setattr(
        "gpt2course.files.hub.download",
        lambda repo, names, revision: [tmp_path / weights.CONFIG, tmp_path / weights.WEIGHTS],
    )
    exec(RELEASED, {})
    assert len(capsys.readouterr().out) > 40  # characters of forty tokens


def test_the_small_run_learns_what_the_readme_says(tmp_path):
    options, before, after = re.search(
        r"`(--n-layer.*?)` gets from ([\d.]+) to ([\d.]+) nats", README, re.S
    ).groups()
    assert main(["train", "--out", str(tmp_path / "small"), *options.split()]) == 0
    history = json.loads((tmp_path / "small" / "history.json").read_text())
    (_, first), *_, (_, last) = history["heldout"]
    assert first == pytest.approx(float(before), abs=0.05)
    assert last == pytest.approx(float(after), abs=0.1)


PAGES = [(ROOT / page).read_text(encoding="utf-8") for page in ("CONTRIBUTING.md", "CHANGELOG.md")]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", "".join([README, *PAGES])))
def test_every_link_leads_somewhere(target):
    assert target.startswith("https://") or (ROOT / target).exists()


def test_what_contributing_names_exists():
    """Files, folders and modules; NN_stem, my_subject and the like stand for something else."""
    text = PAGES[0]
    paths = re.findall(r"`([\w./]+/[\w./]*)`|(?<= )(solutions/[\w./]+)", text)
    paths = {path for pair in paths for path in pair if path and not re.search("stem|name", path)}
    assert len(paths) > 12
    assert [path for path in paths if not (ROOT / path).exists()] == []
    modules = set(re.findall(r"\bgpt2course(?:\.\w+)+", text))
    assert {"gpt2course.tools.authoring", "gpt2course.tools.kill_table"} <= modules
    for module in modules:
        assert resolve_name(module)


def test_the_workflow_runs_what_is_here_on_the_oldest_python_that_the_course_takes():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    everything, set_up = workflow["jobs"]["everything"], workflow["jobs"]["set-up"]
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = about["requires-python"].removeprefix(">=")
    assert set_up["strategy"]["matrix"]["python"][0] == oldest
    assert f"python:{oldest}-" in everything["container"]["image"]
    lines = "\n".join(s.get("run", "") for s in [*everything["steps"], *set_up["steps"]])
    for path in re.findall(r"[\w./]+/[\w.]+\.ipynb|course\.py|\.ci/run", lines):
        assert (ROOT / path).exists(), path


def test_the_site_is_published_as_the_command_builds_it():
    workflow = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))
    build = workflow["jobs"]["build"]["steps"]
    (command,) = [step["run"] for step in build if "gpt2course" in step.get("run", "")]
    (upload,) = [step["with"]["path"] for step in build if "pages" in step.get("uses", "")]
    assert command.split()[-2:] == ["--out", upload]
    assert workflow["jobs"]["publish"]["needs"] == "build"


def test_the_hooks_run_what_the_course_installs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (local,) = hooks["repos"]
    assert local["repo"] == "local" and len(local["hooks"]) == 3
    for hook in local["hooks"]:
        python, flag, module, *_ = hook["entry"].split()
        assert (python, flag, hook["language"]) == ("python", "-m", "system")
        assert find_spec(module)
        # Files named one by one are linted whatever pyproject.toml excludes: the lessons' sources.
        assert module != "ruff" or "--force-exclude" in hook["entry"]


def test_every_lesson_stands_in_the_table():
    lessons = {path.name for path in (ROOT / "lessons").glob("*.ipynb")}
    assert lessons == set(re.findall(r"\]\(lessons/([^)]+)\)", README))


def test_the_picture_of_gpt2_is_the_one_that_lessons_show(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_pictures

    assert (ROOT / "docs" / "gpt2.svg").read_text(encoding="utf-8") == make_pictures.tower_svg()
    sys.modules.pop("make_pictures")
