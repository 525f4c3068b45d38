"""Strangers' texts in messages."""


def printable(text: str) -> str:
    r"""A stranger's text for a message: what would steer a terminal is written as in repr.

    >>> printable("\x1b[2J größer")
    '\\x1b[2J größer'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
