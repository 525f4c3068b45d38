"""A checkpoint to browse, and the same file loaded in several ways."""

from collections.abc import Mapping

from torch import Tensor, nn

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, playable, switch
from gpt2course.lessons.released_weights.figures import Load, tensor_card, two_lists
from gpt2course.weights import PREFIX


def checkpoint_to_play(state: Mapping[str, Tensor], model: nn.Module) -> Playable:
    """Choose a tensor of the file: its shapes there and in the model, and its numbers.

    The names are Hugging Face's, with or without the prefix "transformer.".
    """
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}

    def draw(tensor: str) -> Picture:
        return tensor_card(tensor, state[tensor], shapes.get(tensor.removeprefix(PREFIX)))

    return playable(draw, tensor=menu("tensor:", sorted(state, key=_place)))


def _place(name: str) -> tuple[int, int, str]:
    """The sort key of a name: the embeddings, the blocks by their number, the rest."""
    parts = name.removeprefix(PREFIX).split(".")
    if parts[0] == "h":
        return 1, int(parts[1]), name
    return (0 if parts[0] in ("wte", "wpe") else 2), 0, name


def loads_to_play(after: str, found: Mapping[str, Load], begin_with: str | None = None) -> Playable:
    """Choose a way of loading; its next tokens appear beside those of the first, the right one.

    It opens on `begin_with`, or on the second.
    """
    right = next(iter(found))

    def draw(load: str) -> Picture:
        return two_lists(after, (right, load), found[right], found[load])

    others = sorted((name for name in found if name != right), key=lambda name: name != begin_with)
    return playable(draw, load=switch("loaded:", others))
