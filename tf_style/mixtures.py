"""Names with weights: layers and losses, and mixtures of styles as they are typed."""

import difflib
import math
import re
import unicodedata

from tf_style.errors import UserError

__all__ = ["check_style", "mixture", "names_among", "readable", "weighted"]


def weighted(items: tuple[str, ...], what: str = "items") -> dict[str, float]:
    """Names with weights that sum to 1, from `name` or `name:weight` each.

    Raises:
        UserError: No name, one twice, or weights that are no numbers, negative or all zero.

    Example:
        >>> weighted(("relu1_1", "relu2_1:3"))
        {'relu1_1': 0.25, 'relu2_1': 0.75}
    """
    return _shares([item.partition(":")[::2] for item in items], what)


def mixture(items: tuple[str, ...], known: tuple[str, ...]) -> dict[str, float]:
    """Return the styles of a mixture with weights that sum to 1, as `weighted`.

    Names come from files, and may hold the commas and colons that separate them from one another
    and from their weights: a known name is taken as a whole.

    Args:
        items: What is asked for, split at its commas.
        known: Names of the styles there are; the result has those of them, and names as they were
            typed of what is not there.

    Example:
        >>> mixture(("10:30:3", "Night", " rain"), ("10:30", "Night, rain"))
        {'10:30': 0.75, 'Night, rain': 0.25}
    """
    return _shares(_matched(items, known), "style")


def names_among(items: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of styles without weights, put together as by `mixture`.

    Example:
        >>> names_among(("Night", "rain", "wave"), ("Night, rain", "wave"))
        ('Night, rain', 'wave')
    """
    return tuple(f"{name}:{weight}" if weight else name for name, weight in _matched(items, known))


def readable(name: str) -> str:
    r"""Return a file's name as a person types it: accents composed, and what is not UTF-8 as
    Latin-1.

    Example:
        >>> readable("Cafe\u0301"), readable("caf\udce9")
        ('Café', 'café')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        name = name.encode(errors="surrogateescape").decode("latin-1")
    return unicodedata.normalize("NFC", name)


def _matched(items, known):
    """Names, of the known ones where they match, and the text of their weights."""
    names = {_spelled(name): name for name in known}
    # Longer ones first, as one may begin with another and a comma.
    choice = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    item = re.compile(rf"({choice}) *(?::([^,]*))?(?:,|$)")
    rest, found = _spelled(",".join(items)), []
    while rest:
        if match := item.match(rest):
            name, weight, rest = names[match[1]], match[2] or "", rest[match.end() :]
        else:
            first, _, rest = rest.partition(",")
            name, _, weight = first.partition(":")
        found.append((name, weight))
    return found


def _spelled(name):
    """As typed in a list, which has blanks around its commas or none."""
    return re.sub(r"\s*,\s*", ",", readable(name)).strip()


def _shares(found, what):
    """Names with weights that sum to 1, from pairs of texts."""
    shares = {}
    for name, weight in found:
        try:
            shares[name] = float(weight or 1)
        except ValueError:
            shares[name] = math.nan
        if not 0 <= shares[name] < math.inf:
            given = f"{name}:{weight}"
            raise UserError(f"`{what}` takes name:weight, 0 or more. Received: {given!r}")
    if len(shares) != len(found) or not sum(shares.values()) > 0:
        reason = "names one twice" if len(shares) != len(found) else "needs a weight above 0"
        given = ",".join(f"{name}:{weight}" if weight else name for name, weight in found)
        raise UserError(f"`{what}` {reason}. Received: {given or 'none'}")
    return {name: weight / sum(shares.values()) for name, weight in shares.items()}


def check_style(name: str, known: tuple[str, ...]) -> None:
    """Refuse the name of a style that is not there.

    Args:
        name: Name of a style.
        known: Names that there are.

    Raises:
        UserError: It lists the known ones.

    Example:
        >>> check_style("wave", ("wave", "night"))
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise UserError(f"There is no style {name!r}; {hint} are {', '.join(known)}.")
