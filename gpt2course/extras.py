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
