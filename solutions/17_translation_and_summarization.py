# %% [markdown]
# # 17 · Translation and summarization
#
# The question of this lesson.
#
# - **In:** what goes in, and its shape.
# - **Out:** what comes out, and its shape.
# - **Time:** about 45 minutes. One exercise.

# %%
import torch

from gpt2course import check
from gpt2course.lessons.translation_and_summarization import matrices

# %%
matrices([("a picture", torch.eye(3))])


# %% [markdown]
# ## Exercise: `first_translation_and_summarization`
#
# The ids, each one larger.

# %%
def first_translation_and_summarization(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    ### BEGIN SOLUTION
    return [token_id + 1 for token_id in ids]
    ### END SOLUTION


# %%
first_translation_and_summarization = check(first_translation_and_summarization)
