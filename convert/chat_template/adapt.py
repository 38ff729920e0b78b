"""Makes a checkpoint's template one that the engine renders to the same text, or says what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jinja2

from convert.chat_template import preamble
from convert.chat_template.check import expected, first_difference, stops_following
from convert.chat_template.engine import SEARCHED, Engine
from convert.chat_template.lexing import tokens
from convert.chat_template.look import Affixes, Traits, affixes, image, look, writes_start
from convert.chat_template.published import Published, RenderError
from convert.chat_template.rewrite import rewrite
from convert.chat_template.source import Source
from convert.chat_template.words import names, unknown

_PARTS = {
    preamble.TEXTS: "a list of one text is that text",
    preamble.JOINED: "lists of texts are joined",
    preamble.NULLS: "a content of null is the word None",
    preamble.NATIVE_ANSWERS: "tools' answers are put where the template reads them",
    preamble.SPOKEN_ANSWERS: "tools' answers are messages with a text",
}


class RefusedError(Exception):
    """A template that cannot be adapted; ``found`` and ``action`` as in ``convert.errors.ConvertError``."""

    def __init__(self, found: str, action: str) -> None:
        self.found, self.action = found, action
        super().__init__(f"{found}. {action}")


@dataclass(frozen=True)
class Adapted:
    """A template for the engine.

    Attributes:
        text: what to pack.
        changes: what was changed, in words; empty when the template is packed as it is.
        tools: it prints declared tools and their answers.
        thinking: it can ask the model to think.
        affixes: what it puts around texts, by role.
        conversations: how many were compared.
        image: what it prints for an image.
    """

    text: str
    changes: tuple[str, ...]
    tools: bool
    thinking: bool
    affixes: dict[str, Affixes]
    conversations: int
    image: str


def adapt(source: Source) -> Adapted:
    """Adapts a template, and proves it over the table of conversations.

    Raises:
        RefusedError: it is no template, runs without end, uses words that the engine lacks, or gives another text.
    """
    start = source.tokens.get("bos_token", "<bos>")
    template = published(source)
    traits = look(template)
    try:
        rewritten = rewrite(source.text)
        _known(rewritten.text, source.name)
        outside, tested = names(rewritten.text)
    except jinja2.TemplateSyntaxError as error:
        raise RefusedError(f"{source.name} is no template: {error.message} (line {error.lineno})", _TAKE) from error
    try:
        wanted = expected(template, traits, start)
    except RenderError as error:
        raise RefusedError(f"{source.name}: {error}", _TAKE) from error
    doubled = writes_start(Published(source.text, {**source.tokens, "bos_token": ""}), start)
    given = preamble.names(outside, tested, source.tokens)
    # The least first: that which prints all conversations right is taken, so the last difference is the telling one.
    candidates = [(rewritten, parts) for parts in _candidates(traits)]
    candidates += [(rewrite(source.text, printed=True), (preamble.PRINTED, *parts)) for _, parts in candidates]
    for body, parts in candidates:
        text = preamble.without_start(body.text, start) if doubled else body.text
        text = given + "".join(parts) + text
        try:
            engine = Engine(text)
        except RenderError as error:
            raise RefusedError(f"{source.name} is no template to the engine: {error}", _SAY) from error
        difference = first_difference(engine, wanted)
        if difference is None:
            break
    else:
        raise RefusedError(f"{source.name}, adapted for the engine: {difference}", _SAY)
    if strayed := stops_following(engine, tools=False):
        found = f"{source.name} changes earlier turns when a next one comes, which the engine refuses: it {strayed}"
        raise RefusedError(found, _SAY)
    follows = traits.tools and traits.answers is not None and stops_following(engine, tools=True) is None
    changes = [f"{kind} × {count}" if count > 1 else kind for kind, count in body.changes.items()]
    changes += ["the start token is left to the engine"] if doubled else []
    changes += ["names that the engine leaves out"] if given else []
    changes += [_PARTS[part] for part in parts if part in _PARTS]
    return Adapted(
        text, tuple(changes), follows, traits.thinking, affixes(template, start), len(wanted), image(template)
    )


def as_it_is(source: Source) -> Adapted:
    """A template for a platform whose apps render it themselves; it must be one, and end.

    Raises:
        RefusedError: it is no template, or refuses what every template takes.
    """
    template = published(source)
    start = source.tokens.get("bos_token", "<bos>")
    traits = look(template)
    try:
        wanted = expected(template, traits, start)
    except RenderError as error:
        raise RefusedError(f"{source.name}: {error}", _TAKE) from error
    around = affixes(template, start)
    return Adapted(source.text, (), traits.tools, traits.thinking, around, len(wanted), image(template))


_TAKE = "Take chat_template.jinja from the instruction-tuned model"
_SAY = "Take another chat_template.jinja, or change that place in it"


def published(source: Source) -> Published:
    """The template as transformers takes it.

    Raises:
        RefusedError: it is not one.
    """
    try:
        return Published(source.text, source.tokens)
    except RenderError as error:
        raise RefusedError(f"{source.name} is no template: {error}", _TAKE) from error


def _known(text: str, name: str) -> None:
    """Refuses what the engine's language has no words for."""
    word = unknown(text)
    if word:
        raise RefusedError(f"{name} uses {word[0]} in line {word[1]}, which the engine does not know", _SAY)
    if not SEARCHED.search(text):
        return
    for token in tokens(text):
        hit = SEARCHED.search(token.text)
        if hit and token.kind != "comment":
            found = f"{name} prints {hit[0]!a} in line {token.line}, which the engine would take for code"
            raise RefusedError(found, _SAY)


def _candidates(traits: Traits) -> Iterator[tuple[str, ...]]:
    """What may be put before a template, the least first."""
    nulls = (preamble.NULLS,) if traits.nulls else ()
    texts = preamble.TEXTS if traits.lists else preamble.JOINED
    answers = {"native": (preamble.NATIVE_ANSWERS,), "spoken": (preamble.SPOKEN_ANSWERS,)}.get(traits.answers or "", ())
    yield nulls
    if answers and traits.tools:
        yield (*nulls, *answers)
    yield (*nulls, texts)
    if answers and traits.tools:
        yield (*nulls, *answers, texts)
