"""Shares as they are written everywhere in the course."""

from __future__ import annotations


def percent(share: float, decimals: int = 1) -> str:
    """A share in per cent; what rounding would make 0 or 1 says so.

    >>> percent(0.97), percent(0.00004), percent(0.99998), percent(1.0), percent(0.344, 0)
    ('97.0 %', '< 0.1 %', '> 99.9 %', '100 %', '34 %')
    """
    step = 10.0**-decimals
    if 0 < 100 * share < step / 2:
        return f"< {step:g} %"
    if 1 > share >= 1 - step / 200:
        return f"> {100 - step:g} %"
    return f"{share:.{decimals}%}".replace("100.0%", "100%").replace("%", " %")
