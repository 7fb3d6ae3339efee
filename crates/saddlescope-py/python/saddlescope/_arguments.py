"""Arguments that are numbers, looked at before any work is done."""

import math
import operator
import os

#: Seeds and counts have 64 bits.
_LIMIT = 2**64


def whole(name, value, least=0):
    """A whole number from `least` on, as an int."""
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or not least <= found < _LIMIT:
        raise ValueError(f"{name}={value!r}; expected a whole number from {least} on")
    return found


def optional_whole(name, value, least=0):
    """The same, or None."""
    return None if value is None else whole(name, value, least)


def grid_side(value):
    """Points along each side of a surface, or 0 for no surfaces."""
    found = whole("grid", value)
    if found == 1:
        raise ValueError("grid=1; expected 0 for no surfaces, or at least 2 points along each side")
    return found


def number(name, value, *, positive=False):
    """A finite number that is not negative (or is positive), as a float."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and (found > 0 if positive else found >= 0)):
        raise ValueError(f"{name}={value!r}; expected a finite number {'above 0' if positive else 'from 0 on'}")
    return found


def optional_number(name, value, *, positive=False):
    """The same, or None."""
    return None if value is None else number(name, value, positive=positive)


def file_path(name, value):
    """A path as a string, or None. The empty one is refused: it would be the folder that one happens to be in."""
    if value is None:
        return None
    path = os.fspath(value)
    if not path:
        raise ValueError(f"{name} is an empty path")
    return path
