"""Mistakes that the engine names by itself, in whatever exercise they are made."""

import math
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import checks

SOURCES = {
    "changes its argument": """
        def embed_tokens(idx, wte):
            result = wte[idx]
            idx += 1
            return result""",
    "returns None": "def gelu(x):\n    F.gelu(x, approximate='tanh')",
    "remembers earlier calls": """
        def count_pairs(ids, counts={}):
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + 1
            return counts""",
    "returns NumPy instead of a tensor": """
        def merge_heads(x):
            return x.detach().transpose(1, 2).flatten(2).numpy()""",
    "returns list instead of a tensor": """
        def blend_values(weights, v):
            return (weights @ v).tolist()""",
    "returns a tensor instead of a Python float": """
        def perplexity(nll):
            return nll.mean().exp()""",
    "returns a list instead of a tuple": """
        def append_to_cache(past, k, v):
            if past is None:
                return [k, v]
            return [torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)]""",
    "returns a tensor instead of a list": """
        def nearest_tokens(token_id, wte, k):
            cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
            cosine[token_id] = -math.inf
            return cosine.topk(k).indices""",
    "returns tensors instead of Python ints": """
        def nearest_tokens(token_id, wte, k):
            cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
            cosine[token_id] = -math.inf
            return list(cosine.topk(k).indices)""",
    "returns NumPy instead of Python ints": """
        def count_pairs(ids):
            import numpy as np
            pairs = list(zip(ids, ids[1:]))
            return {pair: np.int64(pairs.count(pair)) for pair in pairs}""",
    "holds None in place of a value": """
        def append_to_cache(past, k, v):
            return (k, v) if past is None else (torch.cat([past[0], k], dim=2), None)""",
    "has another dtype": "def split_heads(x, n_head):\n"
    "    return x.unflatten(-1, (n_head, -1)).transpose(1, 2).double()",
    "cuts the gradient": "def output_logits(x, wte):\n    return x.detach() @ wte.T",
    "a name without self.": """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
                self.c_proj = nn.Linear(4 * n_embd, n_embd)
            def forward(self, x):
                return self.c_proj(gelu(c_fc(x)))""",
    "has no forward": """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
                self.c_proj = nn.Linear(4 * n_embd, n_embd)
            def foward(self, x):
                return self.c_proj(gelu(self.c_fc(x)))""",
    "has no __init__": """
        class MLP(nn.Module):
            def _init_(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
                self.c_proj = nn.Linear(4 * n_embd, n_embd)
            def forward(self, x):
                return self.c_proj(gelu(self.c_fc(x)))""",
    "does not call super().__init__()": """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
            def forward(self, x):
                return x""",
    "does something else in training mode": """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, 4 * n_embd)
                self.c_proj = nn.Linear(4 * n_embd, n_embd)
                self.dropout = nn.Dropout(0.1)
            def forward(self, x):
                return self.dropout(self.c_proj(gelu(self.c_fc(x))))""",
    "the line with raise is still there": """
        def merge_heads(x):
            raise NotImplementedError("your turn")
            return x.transpose(1, 2).flatten(2)""",
}


def dedented(source):
    import textwrap

    return textwrap.dedent(source).strip()


def exercise_of(source):
    return dedented(source).split("(")[0].split()[1]


@pytest.mark.parametrize("name", SOURCES)
def test_a_rule_names_what_shows_by_itself(name):
    exercise = checks.find(exercise_of(SOURCES[name]))
    result = checks.run(exercise.name, exercise.build(dedented(SOURCES[name])))
    assert not result.passed
    assert result.misconception == name, result.message
    assert result.why


@pytest.mark.parametrize(
    "answer",
    [
        lambda ids: zip(ids, ids[1:], strict=False),
        lambda ids: (pair for pair in zip(ids, ids[1:], strict=False)),
        lambda ids: (np.array(ids[:-1]), np.array(ids[1:])),
    ],
    ids=["zip", "generator", "arrays"],
)
def test_what_gives_the_same_every_time_is_not_told_that_it_remembers(answer):
    result = checks.run("shift_targets", answer)
    assert not result.passed
    assert result.misconception != "remembers earlier calls", result.message


def test_the_same_numbers_in_another_dtype_are_not_taken_for_memory():
    result = checks.run("gelu", lambda x: F.gelu(x.float(), approximate="tanh"))
    assert result.misconception == "has another dtype", result.message


def test_a_name_that_init_never_sets_is_not_told_to_belong_to_the_module():
    source = """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(C, 4 * C)
            def forward(self, x):
                return self.c_fc(x)"""
    result = checks.run("MLP", checks.find("MLP").build(dedented(source)))
    assert "name 'C' is not defined" in result.message
    assert result.misconception != "a name without self."


def test_near_names_of_forward_are_pointed_out():
    exercise = checks.find("MLP")
    result = checks.run("MLP", exercise.build(dedented(SOURCES["has no forward"])))
    assert "Yours has `foward`: call it `forward`." in result.why


def test_a_class_whose_forward_is_still_the_stub_is_not_told_that_a_raise_was_left():
    class MLP(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            self.c_fc = nn.Linear(n_embd, 4 * n_embd)
            self.c_proj = nn.Linear(4 * n_embd, n_embd)

        def forward(self, x):
            raise NotImplementedError("your turn")

    result = checks.run("MLP", MLP)
    assert result.status == "error" and result.misconception is None
    assert 'raise NotImplementedError("your turn")' in result.message


def test_a_function_that_reads_a_variable_of_the_notebook_is_told_which():
    notebook = types.ModuleType("__main__")
    vars(notebook).update(torch=torch, q_of_the_lesson=torch.ones(3, 2))
    code = "def attention_scores(q, k):\n    return q_of_the_lesson @ k.mT"
    exec(code, vars(notebook))
    result = checks.run("attention_scores", notebook.attention_scores)
    assert result.misconception == "reads a variable of the notebook"
    assert "`q_of_the_lesson`" in result.why


def test_a_method_with_the_name_of_a_notebooks_variable_is_none():
    notebook = types.ModuleType("__main__")
    vars(notebook).update(torch=torch, mean=torch.ones(3), keepdim=1.0)
    code = "def layer_norm(x, weight, bias, eps=1e-5):\n    return x - x.mean(-1, keepdim=True) * 3"
    exec(code, vars(notebook))
    result = checks.run("layer_norm", notebook.layer_norm)
    assert result.status == "failed" and result.misconception is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("gelu", lambda x: F.gelu(x.float(), approximate="tanh").to(x.dtype)),
        ("layer_norm", lambda x, w, b, eps=1e-5: F.layer_norm(
            x.float(), x.shape[-1:], w.float(), b.float(), eps).to(x.dtype)),
        ("attention_weights", lambda scores: scores.float().softmax(-1).to(scores.dtype)),
    ],
)  # fmt: skip
def test_rounding_float64_on_the_way_is_named(name, answer):
    assert checks.run(name, answer).misconception == "rounds float64 on the way"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("perplexity", lambda nll: math.exp(nll.float().mean().item())),
        ("mean_attention", lambda weights, queries, keys: torch.stack([
            w.float()[:, :, query, those].sum(-1).to(w.dtype)
            for w, query, those in zip(weights, queries, keys, strict=True)
        ]).mean(0)),
    ],
)  # fmt: skip
def test_a_number_and_a_list_of_tensors_are_asked_for_the_digits_of_float64(name, answer):
    result = checks.run(name, answer)
    assert result.case.fine and result.misconception == "rounds float64 on the way", result.message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("embed_tokens", lambda to, idx, wte: to(wte)[idx]),
        ("attention_weights", lambda to, scores: to(scores.softmax(-1))),
        ("blend_values", lambda to, weights, v: to(weights) @ to(v)),
    ],
)
def test_half_precision_on_the_way_is_named(name, compute, dtype):
    def answer(*args):
        return compute(lambda x: x.to(dtype), *args).to(args[-1].dtype)

    result = checks.run(name, answer)
    assert result.misconception == "keeps only a few digits on the way", result.message


def test_a_factor_that_is_a_little_off_is_not_taken_for_half_precision():
    result = checks.run("blend_values", lambda weights, v: 1.01 * (weights @ v))
    assert not result.passed and result.misconception is None, result.message


def test_a_call_is_no_forward():
    source = SOURCES["has no forward"].replace("foward", "__call__")
    exercise = checks.find("MLP")
    result = checks.run("MLP", exercise.build(dedented(source)))
    assert result.misconception == "has no forward"
    assert "Yours has `__call__`: call it `forward`." in result.why


def test_a_constant_in_float32_is_right():
    def gelu(x):
        root = torch.sqrt(torch.tensor(2 / torch.pi))
        return 0.5 * x * (1 + torch.tanh(root * (x + torch.tensor(0.044715) * x**3)))

    assert checks.run("gelu", gelu).passed


def test_an_exercise_may_have_a_better_sentence_for_a_rule(monkeypatch):
    exercise = checks.find("output_logits")
    monkeypatch.setattr(exercise, "hints", {"cuts the gradient": "Ours."})
    source = SOURCES["cuts the gradient"]
    assert checks.run("output_logits", exercise.build(source)).why == "Ours."


def test_lines_about_properties_are_left_out_where_only_a_gradient_is_wrong():
    def embed_tokens(idx, wte):
        return wte[idx] + (wte - wte.detach())[idx]

    result = checks.run("embed_tokens", embed_tokens)
    assert result.case.gradients and result.properties == []
