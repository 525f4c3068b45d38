# %% [markdown]
# # 21 · Your gpt2
#
# The question of this lesson.
#
# - **In:** what goes in, and its shape.
# - **Out:** what comes out, and its shape.
# - **Time:** about 45 minutes. One exercise.

# %%
import torch

from gpt2course import check
from gpt2course.lessons.your_gpt2 import matrices

# %%
matrices([("a picture", torch.eye(3))])


# %% [markdown]
# ## Exercise: `first_your_gpt2`
#
# The ids, each one larger.

# %%
def first_your_gpt2(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    ### BEGIN SOLUTION
    return [token_id + 1 for token_id in ids]
    ### END SOLUTION


# %%
first_your_gpt2 = check(first_your_gpt2)
