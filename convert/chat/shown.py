"""What of a model's text is shown: everything but what steers the terminal or makes text read other than it is.

Left out are the control characters (C0 but line feed and tab, DEL, C1: escape sequences begin with them, and a carriage
return writes over the line), the two direction overrides U+202D and U+202E (they show characters in another order than
the text has), and lone surrogates (no text). Everything else that is invisible carries meaning somewhere and stays:
joiners, variation selectors, tags, no-break spaces, direction marks, embeddings and isolates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}
_OVERRIDES = {0x202D, 0x202E}
_LEFT_OUT = dict.fromkeys(_CONTROLS | _OVERRIDES | set(range(0xD800, 0xE000)))
_INCOMPLETE = "\ufffd"


def shown(text: str) -> str:
    """The text without what must not be shown."""
    return text.translate(_LEFT_OUT)


class Incomplete:
    """Holds back what may be a character whose last bytes are still to come.

    The engine ends an answer that is cut within a character with one U+FFFD a byte; nobody wrote these.
    """

    def __init__(self) -> None:
        self.held = ""

    def pass_on(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces, with a trailing run of U+FFFD kept in ``held`` until more text follows it."""
        for piece in pieces:
            text = self.held + piece
            whole = text.rstrip(_INCOMPLETE)
            self.held = text[len(whole) :]
            if whole:
                yield whole
