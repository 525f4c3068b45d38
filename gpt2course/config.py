"""The sizes of a GPT-2: the four that were released, and one that trains on a laptop."""

from dataclasses import dataclass, fields

# Far above every GPT that was published; a size beyond is a slip or a damaged file.
LARGEST = {"n_layer": 1_000, "n_head": 10_000, "n_embd": 100_000}
LARGEST |= {"n_ctx": 1_000_000, "vocab_size": 10_000_000}


def check_heads(n_embd: int, n_head: int) -> None:
    """Raise ValueError unless n_head heads share n_embd columns evenly."""
    if n_head < 1 or n_embd % n_head:
        divisors = (d for d in range(1, min(n_embd, LARGEST["n_embd"]) + 1) if n_embd % d == 0)
        nearest = min(divisors, key=lambda d: (abs(d - n_head), -d), default=1)
        raise ValueError(
            f"n_embd must be divisible by n_head, got {n_embd} and {n_head}; try n_head={nearest}"
        )


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of one model; the defaults are the smallest GPT-2 (124M parameters).

    Raises:
        ValueError: a size is not an int of at least 1, or beyond `LARGEST`, or n_head does not
            divide n_embd.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 2.
    """

    n_layer: int = 12  # blocks; as deep as GPT (2018)
    n_head: int = 12  # heads of 64 columns, a size kept in all four models
    n_embd: int = 768  # width: 12 heads of 64
    n_ctx: int = 1024  # positions, twice GPT's 512
    vocab_size: int = 50257  # 256 bytes + 50,000 merges + <|endoftext|>

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"{field.name} must be an int of at least 1, got {value!r}; "
                    f"the smallest GPT-2 has {field.name}={field.default}"
                )
            if value > LARGEST[field.name]:
                raise ValueError(
                    f"{field.name} must be at most {LARGEST[field.name]:,}, got {value:,}; "
                    f"the smallest GPT-2 has {field.name}={field.default}"
                )
        check_heads(self.n_embd, self.n_head)


# Every step adds 12 blocks and 4 or more heads of 64; context and vocabulary stay.
RELEASED = {
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": GPT2Config(n_layer=48, n_head=25, n_embd=1600),
}

COURSE = GPT2Config(
    n_layer=4,  # at this width enough to find the noun behind "it" in minutes of training
    n_head=4,  # heads of 32; all four maps of a layer fit in one figure
    n_embd=128,  # 1.1 million parameters in all, 4.3 MB of float32
    n_ctx=128,  # several sentences
    vocab_size=2048,  # 256 bytes + 1,791 merges + <|endoftext|>
)
