"""One file of all parts: whose they are, that it runs alone, and what the exam says of it."""

import ast
import inspect
import json
import linecache
import math
import random
import re
import textwrap

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from alone import logits_alone, run_alone
from test_learner import ANSWERS
from torch import nn
from torch.testing import assert_close

from gpt2course import tokenizer
from gpt2course.checks import engine
from gpt2course.config import GPT2Config
from gpt2course.evaluation import token_nll
from gpt2course.files import COURSE_FOLDER
from gpt2course.learner import exam, page, workbook
from gpt2course.learner.answer_source import compose
from gpt2course.learner.assemble import assemble, target
from gpt2course.model import GPT2
from gpt2course.sampling import generate
from gpt2course.weights import load_tokenizer

IDS = [2047, 65, 300, 1200, 7, 411, 88, 1999, 12, 640, 3, 2]
SMALL = GPT2Config(n_layer=2, n_head=3, n_embd=12, n_ctx=10, vocab_size=2048)


def keep(folder, name, source, imports=""):
    """A kept answer as the workbook writes it, without its check."""
    answers = {other: engine.find(other).reference for other in ANSWERS if other != name}
    module = vars(inspect.getmodule(inspect.unwrap(engine.find(name).reference)))
    names = {**module, "torch": torch, "nn": nn, "F": F, "math": math, **answers}
    source = textwrap.dedent(source).strip() + "\n"
    file = f"<{name} {random.random()}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    body = compose(name, names[name], workbook._parts(name))
    folder.mkdir(exist_ok=True)
    text = f"# {name} (lesson x): my answer\n{workbook._seal(body)}{body}"
    (folder / f"{name}.py").write_text(text)


@pytest.fixture
def all_hers(workbook_folder):
    for name, source in ANSWERS.items():
        keep(workbook_folder, name, source)
    return workbook_folder


@pytest.fixture(scope="module")
def course():
    return GPT2.from_pretrained("course")


def reference_logits(course):
    with torch.no_grad():
        return course(torch.tensor([IDS]))


# The file


def test_with_nothing_built_it_runs_alone_on_the_packages_parts_and_says_so(course, tmp_path):
    made = assemble()
    assert made.own == [] and len(made.missing) == len(made.parts) > 20
    text = made.path.read_text()
    assert f"0 of {len(made.parts)} parts are my own" in " ".join(text.split())
    for part in made.parts:
        assert f"# {part.name}, lesson {part.lesson[:2]}: the package's" in text
        assert f"{part.lesson}.ipynb" in text
    assert "lesson 06: causal_mask, masked_attention" in str(made)
    logits = logits_alone(made.path, COURSE_FOLDER, IDS, tmp_path)
    assert_close(logits, reference_logits(course), atol=1e-3, rtol=1e-4)


def test_with_all_parts_of_her_own_it_gives_the_references_logits_alone(all_hers, course, tmp_path):
    made = assemble()
    assert made.missing == [] and made.said == ()
    assert "the package's" not in made.path.read_text().partition("# The program")[0]
    logits = logits_alone(made.path, COURSE_FOLDER, IDS, tmp_path)
    assert_close(logits, reference_logits(course), atol=1e-3, rtol=1e-4)
    ran = run_alone(made.path, "A robot must", "--max-new-tokens", 9)
    idx = torch.tensor([[2047, *load_tokenizer("course").encode("A robot must")]])
    expected = generate(course, idx, 9, temperature=0)[0, 1:]
    assert ran.stdout.rstrip("\n") == load_tokenizer("course").decode(expected), ran.stderr


def test_her_text_stands_in_it_word_for_word(all_hers):
    text = assemble().path.read_text()
    for name in ("gelu", "causal_mask", "Block", "read_safetensors"):
        answer = textwrap.dedent(ANSWERS[name]).strip()
        code = answer[answer.index(f"class {name}" if name[0].isupper() else f"def {name}") :]
        assert code in text


def test_half_of_the_parts_are_hers(workbook_folder, course, tmp_path):
    half = list(ANSWERS)[::2]
    for name in half:
        keep(workbook_folder, name, ANSWERS[name])
    made = assemble()
    assert set(made.own) == {part.name for part in made.parts} & set(half)
    assert made.own and made.missing
    logits = logits_alone(made.path, COURSE_FOLDER, IDS, tmp_path)
    assert_close(logits, reference_logits(course), atol=1e-3, rtol=1e-4)


def test_every_packages_part_passes_the_check_of_its_exercise():
    made = assemble()
    module = made.module()
    for part in made.parts:
        assert engine.run(part.name, getattr(module, part.name)).passed, part.name


def test_it_is_the_same_file_each_time_and_the_model_is_beside_it(workbook_folder):
    first = assemble().path.read_bytes()
    assert assemble().path.read_bytes() == first
    for name in ("config.json", "model.safetensors", "gpt2course-tokenizer.json"):
        copy = workbook_folder / "course_model" / name
        assert copy.read_bytes() == (COURSE_FOLDER / name).read_bytes()


def test_only_torch_is_needed(all_hers):
    tree = ast.parse(assemble().path.read_text())
    runs = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    modules = {getattr(n, "module", None) or n.names[0].name for n in runs}
    modules = {name.split(".")[0] for name in modules}
    assert modules - {"torch", "numpy"} <= set(__import__("sys").stdlib_module_names)


# What may be in a workbook


def test_helpers_of_one_name_do_not_meet(workbook_folder):
    keep(
        workbook_folder,
        "gelu",
        """
        scale = 0.044715

        def helper(x):
            return math.sqrt(2 / math.pi) * (x + scale * x**3)

        def gelu(x):
            return 0.5 * x * (1 + torch.tanh(helper(x)))
        """,
    )
    source = """
    scale = 1.0
    calls = 0

    def helper(x):
        global calls
        calls += 1
        text = '''one
    two'''
        assert text.count(chr(10)) == 1 and text.endswith("two") and calls > 0
        return x - x.mean(-1, keepdim=True)

    def layer_norm(x, weight, bias, eps=1e-5):
        x = helper(x)
        return scale * x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias
    """
    (workbook_folder / "layer_norm.py").write_text(textwrap.dedent(source))
    made = assemble()
    module = made.module()
    assert {"gelu", "layer_norm"} <= set(made.own)
    for name in ("gelu", "layer_norm"):
        assert engine.run(name, getattr(module, name)).passed
    assert not hasattr(module, "helper")


def test_a_helper_with_the_name_of_another_part_or_of_the_program_stays_apart(workbook_folder):
    keep(
        workbook_folder,
        "MLP",
        """
        def gelu(x):
            return F.gelu(x, approximate="tanh")

        def main(x):
            return gelu(x)

        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
                self.c_proj = nn.Linear(4 * n_embd, n_embd)

            def forward(self, x):
                return self.c_proj(main(self.c_fc(x)))
        """,
    )
    module = assemble().module()
    assert module.main.__module__ == module.__name__ and "argv" in module.main.__annotations__
    assert engine.run("MLP", module.MLP).passed


def test_an_import_that_means_something_else_elsewhere_stays_apart(workbook_folder):
    folder = workbook_folder
    folder.mkdir()
    for name, line in (
        ("blend_values", "from torch import matmul as product"),
        ("output_logits", "from math import prod as product"),
    ):
        inside = {
            "blend_values": "def blend_values(weights, v):\n    return product(weights, v)\n",
            "output_logits": "def output_logits(x, wte):\n    return x @ wte.T * product([1])\n",
        }[name]
        (folder / f"{name}.py").write_text(f"{line}\n\n{inside}")
    made = assemble()
    assert {"blend_values", "output_logits"} <= set(made.own)
    module = made.module()
    for name in ("blend_values", "output_logits"):
        assert engine.run(name, getattr(module, name)).passed


def test_an_answer_under_another_name_and_one_that_uses_a_part_under_another_name(workbook_folder):
    folder = workbook_folder
    folder.mkdir()
    (folder / "gelu.py").write_text(
        "import torch\n\ndef mine(x):\n"
        "    return torch.nn.functional.gelu(x, approximate='tanh')\n\ngelu = mine\n"
    )
    (folder / "masked_attention.py").write_text(
        "from gpt2course.mine import attention_scores as s, causal_mask as m\n"
        "from gpt2course.attention import blend_values\nimport math; low = -math.inf\n\n"
        "def masked_attention(q, k, v):\n"
        "    hidden = ~m(q.shape[-2], k.shape[-2])\n"
        "    return blend_values(s(q, k).masked_fill(hidden, low).softmax(-1), v)\n"
    )
    made = assemble()
    assert {"gelu", "masked_attention"} <= set(made.own)
    for name in ("gelu", "masked_attention"):
        assert engine.run(name, getattr(made.module(), name)).passed


@pytest.mark.parametrize(
    "line",
    [
        "from gpt2course.linear import linear",
        "import gpt2course.linear",
        "from torch.nn.functional import *",
    ],
)
def test_what_leans_on_the_package_is_the_packages_there_and_named(workbook_folder, line):
    workbook_folder.mkdir()
    source = f"{line}\n\ndef output_logits(x, wte):\n    return x @ wte.T\n"
    (workbook_folder / "output_logits.py").write_text(source)
    made = assemble()
    assert "output_logits" in made.missing
    assert any("output_logits.py needs" in said and line in said for said in made.said)
    assert (workbook_folder / "output_logits.py").read_text() == source


def test_a_damaged_part_is_set_aside_and_the_packages_takes_its_place(all_hers):
    (all_hers / "gelu.py").write_bytes(b"def gelu(x:\n  \xff")
    made = assemble()
    assert made.missing == ["gelu"]
    assert any("gelu.py.damaged-1" in said for said in made.said)
    assert (all_hers / "gelu.py.damaged-1").exists()


def test_an_edited_part_that_no_longer_passes_is_not_taken(all_hers):
    path = all_hers / "gelu.py"
    path.write_text(path.read_text().replace("0.044715", "0.05"))
    made = assemble()
    assert made.missing == ["gelu"] and any("no longer passes" in said for said in made.said)


def test_two_parts_that_use_each_other_end(workbook_folder):
    workbook_folder.mkdir()
    pair = {
        "attention_weights": "from gpt2course.mine import blend_values as b\n\n"
        "def attention_weights(scores):\n    b\n    return scores.softmax(-1)\n",
        "blend_values": "from gpt2course.mine import attention_weights as a\n\n"
        "def blend_values(weights, v):\n    a\n    return weights @ v\n",
    }
    for name, source in pair.items():
        (workbook_folder / f"{name}.py").write_text(source)
    made = assemble()
    assert any("use each other" in said for said in made.said)
    assert engine.run("blend_values", made.module().blend_values).passed


def test_a_file_edited_by_hand_is_kept_under_a_dated_name(workbook_folder):
    path = assemble().path
    path.write_text(path.read_text() + "# my note\n")
    made = assemble()
    (aside,) = workbook_folder.glob("gpt2.edited-*.py")
    assert re.fullmatch(r"gpt2\.edited-\d{4}-\d\d-\d\d-\d{6}\.py", aside.name)
    assert aside.read_text().endswith("# my note\n") and aside.name in made.said[0]
    assert "my note" not in path.read_text()
    assemble()
    assert len([*workbook_folder.glob("gpt2.edited-*.py")]) == 1


def test_a_file_system_that_does_not_tell_case_does_not_lose_the_part_GPT2(
    workbook_folder, monkeypatch
):
    assert target() == workbook_folder / "gpt2.py"
    workbook_folder.with_name("MY_GPT2").symlink_to(workbook_folder)
    assert target() == workbook_folder / "my_gpt2.py"


# The program around the parts


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    patched = pytest.MonkeyPatch()
    patched.setenv("GPT2COURSE_WORKBOOK", str(tmp_path_factory.mktemp("w") / "my_gpt2"))
    module = assemble().module()
    patched.undo()
    return module


def test_text_is_cut_as_the_packages_pattern_cuts_it(program):
    dice = random.Random(5)
    signs = "aZé中ß \t\n\r\u00a0\u2003\u3000\x1c\x85'sdmtlvre019²Ⅷ½.,!?-_€😀\u0301"
    for _ in range(3000):
        text = "".join(dice.choice(signs) for _ in range(dice.randrange(14)))
        assert program.split_text(text) == tokenizer.split_text(text), repr(text)


def test_both_kinds_of_tokenizer_give_the_packages_ids(program, tmp_path):
    text = "Mina's kettle boiled 12 times;  it whirred.\n\n¿Größe? <|endoftext|> 中"
    ours = load_tokenizer("course")
    ours.save_pretrained(tmp_path)
    tokens = program.Tokens(COURSE_FOLDER)
    assert tokens.encode(text) == ours.encode(text) and tokens.end == ours.end_of_text
    assert tokens.decode(ours.encode(text)) == text
    (tmp_path / "gpt2course-tokenizer.json").unlink()  # vocab.json and merges.txt remain
    tokens = program.Tokens(tmp_path)
    assert tokens.encode(text) == ours.encode(text) and tokens.end == ours.end_of_text
    ids = json.loads((tmp_path / "vocab.json").read_text())
    swapped = {token: {5: 9, 9: 5}.get(i, i) for token, i in ids.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(swapped))
    expected = [{5: 9, 9: 5}.get(i, i) for i in ours.encode("\x05\x09 a")]
    assert program.Tokens(tmp_path).encode("\x05\x09 a") == expected


@pytest.mark.released
def test_gpt2s_own_vocabulary(program, tmp_path):
    try:
        ours = tokenizer.Tokenizer.gpt2()
    except ConnectionError:
        pytest.skip("GPT-2's vocabulary is not on this machine")
    ours.save_pretrained(tmp_path)
    tokens = program.Tokens(tmp_path)
    text = "A robot must obey the orders given it by human beings, 1942: größer 中\n"
    assert tokens.encode(text) == ours.encode(text)
    assert tokens.decode(ours.encode(text)) == text and tokens.end == 50256


def small_folder(folder, dtype=torch.float32):
    torch.manual_seed(4)
    model = GPT2(SMALL).to(dtype)
    model.save_pretrained(folder)
    load_tokenizer("course").save(folder / "gpt2course-tokenizer.json")
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_folder_of_save_pretrained_is_read(program, tmp_path, dtype):
    model = small_folder(tmp_path, dtype)
    read = program.load_model(tmp_path)
    for name, parameter in model.named_parameters():
        assert torch.equal(read.get_parameter(name), parameter.float()), name


def test_a_checkpoint_of_transformers_in_several_files_is_read(program, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the course installs it")
    config = transformers.GPT2Config(
        n_layer=2, n_head=3, n_embd=12, n_positions=10, vocab_size=2048
    )
    torch.manual_seed(6)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len([*tmp_path.glob("model*.safetensors")]) > 1
    idx = torch.tensor([IDS[:9]])
    with torch.no_grad():
        assert_close(program.load_model(tmp_path)(idx), theirs(idx).logits, atol=1e-4, rtol=1e-4)


def test_writing_with_the_cache_gives_the_packages_text_beyond_the_context_too(program, tmp_path):
    model = small_folder(tmp_path)
    read = program.load_model(tmp_path)
    expected = generate(model, torch.tensor([IDS[:4]]), 15, temperature=0)[0].tolist()
    assert program.write(read, IDS[:4], 15) == expected
    assert program.write_anew(read, IDS[:4], 15) == expected
    end = expected[7]
    first = expected.index(end, 4)
    assert program.write(read, IDS[:4], 15, end=end) == expected[: first + 1]


def test_draws_are_seeded_and_use_temperature_and_top_k(program, tmp_path):
    small_folder(tmp_path)
    read = program.load_model(tmp_path)

    def draw(seed, top_k):
        dice = torch.Generator().manual_seed(seed)
        return program.write(read, IDS[:3], 6, 1.0, top_k, dice)

    assert draw(1, None) == draw(1, None) != draw(2, None)
    assert draw(1, 1) == program.write(read, IDS[:3], 6)


def test_the_loss_is_the_packages(program, tmp_path):
    model = small_folder(tmp_path)
    read = program.load_model(tmp_path)
    ids = (IDS * 3)[:31]  # three full rows
    expected = token_nll(model, ids, stride=10).mean().item()
    assert abs(program.loss_of(read, ids) - expected) < 1e-5


def said_by(program, capsys, *argv):
    code = program.main(list(map(str, argv)))
    out, err = capsys.readouterr()
    return code, out, err


def test_what_is_missing_is_one_line_with_a_remedy(program, tmp_path, capsys):
    small_folder(tmp_path)
    tried = said_by(program, capsys, "a " * 30, "--model", tmp_path)
    assert tried[0] == 1 and "must fit the 10 tokens" in tried[2] and "shorten it" in tried[2]
    (tmp_path / "gpt2course-tokenizer.json").unlink()
    code, out, err = said_by(program, capsys, "a", "--model", tmp_path)
    assert (code, out) == (1, "") and "must hold a tokenizer" in err and "--tokenizer" in err
    assert said_by(program, capsys, "a", "--model", tmp_path, "--tokenizer", COURSE_FOLDER)[0] == 0
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    code, out, err = said_by(
        program, capsys, "a", "--model", tmp_path, "--tokenizer", COURSE_FOLDER
    )
    assert code == 1 and err.count("\n") == 1
    file.unlink()
    assert "must hold model.safetensors" in said_by(
        program, capsys, "a", "--model", tmp_path, "--tokenizer", COURSE_FOLDER)[2]  # fmt: skip
    assert "was fetched before" in said_by(program, capsys, "a", "--model", "no-such")[2]


def test_a_released_model_is_found_in_the_hubs_cache(program, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "models--openai-community--gpt2" / "snapshots" / "abc"
    small_folder(folder)
    assert said_by(program, capsys, "a", "--model", "gpt2", "--max-new-tokens", 2)[0] == 0
    assert program.folder_of("openai-community/gpt2") == folder


def test_speed_and_perplexity_are_printed(program, tmp_path, capsys):
    small_folder(tmp_path)
    out = said_by(program, capsys, "a", "--model", tmp_path, "--speed", "--max-new-tokens", 3)[1]
    assert "with the cache:" in out and "without:" in out
    (tmp_path / "text").write_text("A robot must obey.")
    out = said_by(program, capsys, "--model", tmp_path, "--perplexity", tmp_path / "text")[1]
    assert re.fullmatch(r"\d\.\d{4} nats per token, perplexity \d+\.\d\d\n", out)


# The exam


def see_all(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool)


def test_all_stages_agree_in_float32_and_float64(all_hers):
    said = exam.examine(assemble().module(), COURSE_FOLDER)
    assert said.count("stages agree") == 2 and "float64" in said


@pytest.mark.parametrize(
    ("part", "wrong", "stage", "lesson"),
    [
        ("causal_mask", see_all, "h.0.attn", "06_masking"),
        ("gelu", F.gelu, "h.0.mlp", "08_mlp"),
        ("attention_scores", lambda q, k: q @ k.mT, "h.0.attn", "05_self_attention"),
        ("merge_heads", lambda x: x.reshape(len(x), x.shape[2], -1), "h.0.attn", "07_multi_head"),
        ("embed", lambda idx, wte, wpe, start=0: wte[idx], "embedding", "04_positions"),
        ("output_logits", lambda x, wte: 2 * x @ wte.T, "logits", "10_output_projection"),
        ("embed", lambda idx, wte, wpe, start=0: wte[idx] * math.nan, "embedding", "04_positions"),
    ],
)
def test_a_wrong_part_is_found_at_its_stage_and_its_lesson_named(
    all_hers, part, wrong, stage, lesson
):
    module = assemble().module(**{part: wrong})
    compared = exam.compare(
        module.load_model(COURSE_FOLDER).double(),
        GPT2.from_pretrained("course", dtype="float64"), torch.tensor([IDS]),
    )  # fmt: skip
    assert compared.first == stage and not compared.same and stage in str(compared)
    mended = exam.mends(stage, vars(module))
    assert mended.startswith(part) and lesson in mended


def test_where_every_part_passes_the_lessons_of_the_stage_are_named(all_hers):
    module = assemble().module()
    said = exam.mends("h.1.mlp", vars(module))
    assert "each of gelu, MLP passes" in said and "08_mlp" in said


# The page


def test_the_page_shows_what_was_built_by_whom_and_needs_no_network(all_hers):
    (all_hers / "gelu.py").unlink()
    made = assemble()
    path = page.write_page(made, "A robot <must> obey", "all agree", by="Ada <Lovelace>")
    text = path.read_text()
    assert path == all_hers / "gpt2.html"
    assert "by Ada &lt;Lovelace&gt;" in text and "A robot &lt;must&gt; obey" in text
    assert not re.search(r"(src|href)=|https?:|@import|url\(", text)
    rows = dict(re.findall(r"<td>(\w+)</td><td>[\d-]+</td><td>(.*?)</td>", text))
    assert list(rows) == workbook.kept_names() and "gelu" not in rows
    assert rows["MLP"] == "yes" and rows["count_bigrams"] == ""
    assert f"{len(made.own)} of {len(made.parts)} parts" in text
    assert "<svg" in text and "@media print" in text


def test_without_a_name_the_page_leaves_a_line_for_it_and_without_parts_it_says_so():
    text = page.write_page(assemble(), "x", "y").read_text()
    assert "by ____" in text and "nothing yet" in text


def test_what_is_read_of_the_course_model_is_what_the_library_reads(program):
    raw = (COURSE_FOLDER / "model.safetensors").read_bytes()
    found, expected = program.read_safetensors(raw), safetensors.torch.load(raw)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
