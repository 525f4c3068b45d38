"""The texts of stubs: a room, a lesson's first cells, an exercise and the answers to it."""

CHECKS = "from gpt2course.checks.exercise import Case, Exercise, Property"
ROOM = '''\
"""What the notebook of lesson {number} shows and lets you play with."""

from gpt2course.drawing.matrix import matrices

__all__ = ["matrices"]
'''
ROOM_EXERCISES = f'"""The exercises of lesson {{number}}."""\n\n{CHECKS}\n\nEXERCISES = []\n'
OPENING = """\
# {number} · {title}

The question of this lesson.

- **In:** what goes in, and its shape.
- **Out:** what comes out, and its shape.
- **Time:** about 45 minutes. One exercise."""
TOOLS = """\
import torch

from gpt2course import check, my_progress
from gpt2course.lessons.{stem} import matrices"""
CLOSING = "**What you have built so far:**"
PROGRESS = "my_progress()"
PICTURE = 'matrices([("a picture", torch.eye(3))])'

# An exercise whose reference is not in the library brings an example of its own.
EXAMPLE = '''\
def {name}(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    return [token_id + 1 for token_id in ids]
'''
EXAMPLE_EXERCISE = """\
{source}

{name} = Exercise(
    {name},
    cases=[Case("three ids", ([5, 6, 9],)), Case("one id", ([0],)), Case("no ids", ([],))],
    properties=[Property("0 becomes 1", lambda f: f([0]) == [1])],
)
"""
EXAMPLE_ANSWER = """\
## a loop
```python
def {name}(ids):
    larger = []
    for token_id in ids:
        larger.append(token_id + 1)
    return larger
```
"""
EXAMPLE_MISTAKE = """\
## adds two
`+ 1` → `+ 2`

Each id grew by two, and not by one.
"""
EXAMPLE_RIGHT = """\
## counting places
```python
def {name}(ids):
    return [ids[place] + 1 for place in range(len(ids))]
```
"""
EXAMPLE_WRONG = """\
## one at a time, twice
```python
def {name}(ids):
    for _ in range(2):
        ids = [token_id + 1 for token_id in ids]
    return ids
```
named: adds two
"""
# An exercise whose reference is a function of the library.
EXERCISE = """\
{name} = Exercise(
    {module}.{name},
    cases=[Case("a small call", {case})],
)
"""
ANSWER = """\
## as the package has it
```python
{plain}
```
"""
MISTAKE = """\
## gives back what it was given
```python
def {name}({parameters}):
    return {first}
```
The first argument came back as it was: nothing was computed.
"""
RIGHT = """\
## through the package
```python
def {name}({parameters}):
    from {package} import {module}

    return {module}.{name}({call})
```
"""
WRONG = """\
## through a variable
```python
def {name}({parameters}):
    result = {first}
    return result
```
named: gives back what it was given
"""

# What goes into exercises.py, answers.md and mistakes.md, and into right/ and wrong/ of the tests.
OF_EXAMPLE = EXAMPLE_EXERCISE, EXAMPLE_ANSWER, EXAMPLE_MISTAKE, EXAMPLE_RIGHT, EXAMPLE_WRONG
OF_LIBRARY = EXERCISE, ANSWER, MISTAKE, RIGHT, WRONG
