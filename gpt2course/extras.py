"""What a plain `pip install gpt2course` leaves out."""

from importlib.util import find_spec


def require_course() -> None:
    """Raise ModuleNotFoundError where the packages that the lessons need are not installed."""
    for name in ("IPython", "ipywidgets", "psutil"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(
                f"the lessons and their checks need {name}, which a plain `pip install "
                "gpt2course` leaves out; install it with: pip install 'gpt2course[course]'",
                name=name,
            )


def require_mido() -> None:
    """Raise ModuleNotFoundError where the package that reads and writes MIDI is not installed."""
    if find_spec("mido") is None:
        raise ModuleNotFoundError(
            "MIDI files are read and written by mido, which a plain `pip install gpt2course` "
            "leaves out; install it with: pip install 'gpt2course[course]'",
            name="mido",
        )
