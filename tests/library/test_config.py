"""Sizes: the released ones are the published ones, and impossible ones are refused."""

import time
from dataclasses import FrozenInstanceError, replace

import pytest

from gpt2course.config import COURSE, LARGEST, RELEASED, GPT2Config, check_heads


def test_released_sizes_are_those_of_the_paper():
    sizes = {name: (c.n_layer, c.n_head, c.n_embd) for name, c in RELEASED.items()}
    assert sizes == {
        "gpt2": (12, 12, 768),
        "gpt2-medium": (24, 16, 1024),
        "gpt2-large": (36, 20, 1280),
        "gpt2-xl": (48, 25, 1600),
    }


@pytest.mark.parametrize("name", RELEASED)
def test_released_sizes_share_head_size_context_and_vocabulary(name):
    config = RELEASED[name]
    assert config.n_embd / config.n_head == 64
    assert (config.n_ctx, config.vocab_size) == (2 * 512, 256 + 50_000 + 1)


def test_defaults_are_the_smallest_gpt2():
    assert GPT2Config() == RELEASED["gpt2"]


def test_course_size_is_small_enough_to_ship():
    assert (COURSE.n_layer, COURSE.n_head, COURSE.n_embd) == (4, 4, 128)
    assert (COURSE.n_ctx, COURSE.vocab_size) == (128, 2048)


def test_config_cannot_be_changed_after_it_was_checked():
    with pytest.raises(FrozenInstanceError):
        GPT2Config().n_head = 7


@pytest.mark.parametrize("name", ["n_layer", "n_head", "n_embd", "n_ctx", "vocab_size"])
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_below_one_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an int of at least 1, got {value}; the"):
        GPT2Config(**{name: value})


@pytest.mark.parametrize("name", LARGEST)
def test_sizes_beyond_every_model_are_refused_before_anything_is_built(name):
    sizes = {"n_head": LARGEST["n_head"], "n_embd": LARGEST["n_embd"]}
    assert GPT2Config(**sizes | {name: LARGEST[name]})
    for value in (LARGEST[name] + 1, 10**12 + 39, 2**40):
        with pytest.raises(ValueError, match=f"{name} must be at most {LARGEST[name]:,}, got"):
            GPT2Config(**sizes | {name: value})


def test_heads_of_an_enormous_width_are_refused_at_once():
    start = time.perf_counter()
    with pytest.raises(ValueError, match="got 1000000000039 and 12; try n_head=1$"):
        check_heads(10**12 + 39, 12)
    assert time.perf_counter() - start < 1  # a loop over all divisors takes half a day


# "Type-check" is how the message begins where jaxtyping's import hook refuses first.
@pytest.mark.parametrize("value", [12.0, "12", None, True])
def test_sizes_that_are_no_int_are_refused(value):
    message = f"n_layer must be an int of at least 1, got {value!r}; .*n_layer=12|[Tt]ype-check"
    with pytest.raises((ValueError, TypeError), match=message):
        GPT2Config(n_layer=value)


def test_heads_that_do_not_divide_the_width_are_refused_with_a_remedy():
    message = "n_embd must be divisible by n_head, got 768 and 10; try n_head=12"
    with pytest.raises(ValueError, match=message):
        GPT2Config(n_head=10)
    with pytest.raises(ValueError, match=message):
        replace(RELEASED["gpt2"], n_head=10)


@pytest.mark.parametrize("n_embd", [1, 7, 12, 30])
def test_the_suggested_n_head_divides_and_no_divisor_is_nearer(n_embd):
    divisors = [d for d in range(1, n_embd + 1) if n_embd % d == 0]
    for n_head in range(-2, 2 * n_embd):
        if n_head in divisors:
            check_heads(n_embd, n_head)
            continue
        with pytest.raises(ValueError) as refused:
            check_heads(n_embd, n_head)
        suggested = int(str(refused.value).rpartition("=")[2])
        assert suggested in divisors
        assert abs(suggested - n_head) == min(abs(d - n_head) for d in divisors)
