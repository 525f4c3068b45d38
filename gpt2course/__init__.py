"""Build GPT-2 piece by piece: components, and checks that name your mistake.

from gpt2course import check                # in a lesson: causal_mask = check(causal_mask)
from gpt2course.mine import causal_mask     # in a later one: your part, or the package's
from gpt2course import GPT2, generate       # in work of your own
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What is asked for most, loaded with its module when first asked for: `import gpt2course` is quick.
_WHERE = {
    "GPT2": "model",
    "GPT2Config": "config",
    "KVCache": "kv_cache",
    "Sampling": "sampling",
    "Tokenizer": "tokenizer",
    "activations": "inspection",
    "check": "learner.notebook",
    "generate": "sampling",
    "kept_names": "learner.workbook",
    "load_tokenizer": "weights",
    "my_progress": "learner.progress",
    "require_passed": "learner.notebook",
    "stream_text": "sampling",
}
__all__ = [*_WHERE]

if TYPE_CHECKING:
    from gpt2course.config import GPT2Config as GPT2Config
    from gpt2course.inspection import activations as activations
    from gpt2course.kv_cache import KVCache as KVCache
    from gpt2course.learner.notebook import check as check
    from gpt2course.learner.notebook import require_passed as require_passed
    from gpt2course.learner.progress import my_progress as my_progress
    from gpt2course.learner.workbook import kept_names as kept_names
    from gpt2course.model import GPT2 as GPT2
    from gpt2course.sampling import Sampling as Sampling
    from gpt2course.sampling import generate as generate
    from gpt2course.sampling import stream_text as stream_text
    from gpt2course.tokenizer import Tokenizer as Tokenizer
    from gpt2course.weights import load_tokenizer as load_tokenizer
else:

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module 'gpt2course' has no attribute {name!r}")
        return getattr(import_module(f"gpt2course.{_WHERE[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_WHERE})
