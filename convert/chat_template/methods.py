"""What the engine's template language has instead of the methods of Python's dictionaries and texts.

It knows filters and tests, but no methods. The engine itself replaces some calls (``.split(``, ``.strip(``) by search
in the text, which goes wrong when an argument holds a bracket or the result is indexed; so all are replaced here.
"""

from __future__ import annotations

from collections.abc import Callable

Form = Callable[[str, list[str]], str]


def _filter(name: str, least: int, most: int) -> tuple[int, int, Form]:
    def form(receiver: str, given: list[str]) -> str:
        return f"({receiver}|{name}({', '.join(given)}))" if given else f"({receiver}|{name})"

    return least, most, form


def _get(receiver: str, given: list[str]) -> str:
    default = given[1] if len(given) == 2 else "none"
    # Not `default(none)`: the engine takes that for no argument at all and gives an empty text.
    return f"([{receiver}[{given[0]}], {default}]|select('defined')|first)"


def _split(receiver: str, given: list[str]) -> str:
    # The engine's filter gives an iterator, which has neither length nor index.
    return f"({receiver}|split({', '.join(given)})|list)" if given else f"({receiver}|split|list)"


# Method: fewest and most arguments, and the expression for a receiver and its arguments.
METHODS: dict[str, tuple[int, int, Form]] = {
    "get": (1, 2, _get),
    "items": _filter("items", 0, 0),
    "keys": (0, 0, lambda receiver, given: f"({receiver}|list)"),
    "values": (0, 0, lambda receiver, given: f"({receiver}|items|map(attribute=1)|list)"),
    "strip": _filter("trim", 0, 1),
    "lstrip": _filter("lstrip", 0, 1),
    "rstrip": _filter("rstrip", 0, 1),
    "split": (0, 2, _split),
    "join": (1, 1, lambda receiver, given: f"({given[0]}|join({receiver}))"),
    "replace": _filter("replace", 2, 2),
    "upper": _filter("upper", 0, 0),
    "lower": _filter("lower", 0, 0),
    "capitalize": _filter("capitalize", 0, 0),
    "startswith": (1, 1, lambda receiver, given: f"({receiver} is startingwith({given[0]}))"),
    "endswith": (1, 1, lambda receiver, given: f"({receiver} is endingwith({given[0]}))"),
}
# The loop variable is an object that has these in both languages.
OF_LOOPS = frozenset({"cycle", "changed"})
