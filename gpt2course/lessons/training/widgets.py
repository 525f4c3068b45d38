"""Sliders of lesson 13: the learning rate's schedule, and a model at moments of its training."""

from collections.abc import Callable, Sequence

from gpt2course.drawing.curves import curves
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, playable, slider, stops
from gpt2course.lessons.training.figures import Moment, moment_picture

Schedule = Callable[[int, float, float, int, int], float]


def schedule_to_play(learning_rate: Schedule, max_steps: int = 1000) -> Playable:
    """Sliders for the highest and the lowest rate, the warm-up and the length of a run."""

    def draw(highest: float, lowest: float, warmup: int, steps: int) -> Picture:
        min_lr, up = highest * lowest, min(warmup, steps - 1)
        rates = [(s, learning_rate(s, highest, min_lr, up, steps)) for s in range(0, 1500, 5)]
        ends = {"max_lr": highest, "min_lr": min_lr}
        return curves(
            {"the rate": rates},
            f"steps up: {up}, steps down: {steps - up}",
            "learning rate",
            ends,
            y_range=(0.0, 0.011),
            decimals=4,
        )

    return playable(
        draw,
        highest=slider("max_lr", 0.005, 0.001, 0.01, 0.001, readout_format=".3f"),
        lowest=slider("min_lr / max_lr", 0.1, 0.0, 1.0, 0.1),
        warmup=slider("warmup_steps", 100, 0, 500, 20),
        steps=slider("max_steps", max_steps, 500, 1500, 100),
    )


def moments_to_play(moments: Sequence[Moment], question: str, right: Words) -> Playable:
    """A slider over the moments of a training run; it begins at the last one."""
    by_step = {moment.step: moment for moment in moments}

    def draw(step: int) -> Picture:
        return moment_picture(by_step[step], question, right)

    steps = stops("steps", [(f"{step:,}", step) for step in by_step], moments[-1].step)
    return playable(draw, step=steps)
