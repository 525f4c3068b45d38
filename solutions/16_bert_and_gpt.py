# %% [markdown]
# # 16 · Bert and gpt
#
# The question of this lesson.
#
# - **In:** what goes in, and its shape.
# - **Out:** what comes out, and its shape.
# - **Time:** about 45 minutes. One exercise.

# %%
import torch

from gpt2course import check
from gpt2course.lessons.bert_and_gpt import matrices

# %%
matrices([("a picture", torch.eye(3))])


# %% [markdown]
# ## Exercise: `first_bert_and_gpt`
#
# The ids, each one larger.

# %%
def first_bert_and_gpt(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    ### BEGIN SOLUTION
    return [token_id + 1 for token_id in ids]
    ### END SOLUTION


# %%
first_bert_and_gpt = check(first_bert_and_gpt)
