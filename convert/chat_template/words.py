"""The words that the engine's template language has, and a template's words that it lacks.

minijinja meets an unknown word when it renders it, in a branch that may be reached on the phone for the first time; so
they are looked for in the text. The tables hold what the engine (litert_lm 0.18.1) answers when it is asked for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment, meta, nodes
from jinja2.ext import loopcontrols

from convert.chat_template.methods import OF_LOOPS


def _words_of(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


FILTERS = _words_of(
    "abs attr batch bool capitalize chain count d default dictsort e escape first float format groupby indent int",
    "items join last length lines list lower lstrip map max min pprint reject rejectattr replace reverse round rstrip",
    "safe select selectattr slice sort split string sum title tojson trim unique upper zip",
)
TESTS = _words_of(
    "!= < <= == > >= boolean defined divisibleby endingwith eq equalto escaped even false filter float ge greaterthan",
    "gt in integer iterable le lessthan lower lt mapping ne none number odd safe sameas sequence startingwith string",
    "test true undefined upper",
)
FUNCTIONS = _words_of("range dict namespace debug strftime_now raise_exception")
# Filters whose keyword arguments the engine reads; the others take them for a value and fail.
_KEYWORDS = _words_of("map select reject selectattr rejectattr sort dictsort unique groupby")
_STATEMENTS: dict[type[nodes.Node], str] = {
    nodes.Break: "{% break %}",
    nodes.Continue: "{% continue %}",
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from ... import %}",
    nodes.Extends: "{% extends %}",
}
_ENVIRONMENT = Environment(extensions=[loopcontrols])
# jinja2 asks for the words of its own; here they only have names.
_ENVIRONMENT.filters.update(dict.fromkeys(FILTERS, str))
_ENVIRONMENT.tests.update(dict.fromkeys(TESTS, callable))


def unknown(text: str) -> tuple[str, int] | None:
    """The first word of a rewritten template that the engine lacks, and its line; None where there is none.

    Raises:
        jinja2.TemplateSyntaxError: it is not a template.
    """
    tree = _ENVIRONMENT.parse(text)
    bound = FUNCTIONS | {"caller"} | set(_bound(tree))
    found = [(word, node.lineno) for node in tree.find_all(nodes.Node) for word in _words(node, bound)]
    return min(found, key=lambda pair: pair[1]) if found else None


def names(text: str) -> tuple[set[str], set[str]]:
    """The names that a template takes from outside, and those that it tests or compares rather than asks for truth.

    Raises:
        jinja2.TemplateSyntaxError: it is not a template.
    """
    tree = _ENVIRONMENT.parse(text)
    tested = [test.node for test in tree.find_all(nodes.Test)] + [found.expr for found in tree.find_all(nodes.Compare)]
    return meta.find_undeclared_variables(tree), {node.name for node in tested if isinstance(node, nodes.Name)}


def _bound(tree: nodes.Template) -> Iterator[str]:
    for macro in tree.find_all(nodes.Macro):
        yield macro.name
    for name in tree.find_all(nodes.Name):
        if name.ctx in ("store", "param"):
            yield name.name


def _words(node: nodes.Node, bound: frozenset[str] | set[str]) -> Iterator[str]:
    if type(node) in _STATEMENTS:
        yield _STATEMENTS[type(node)]
    elif isinstance(node, nodes.Filter):
        yield from _filter(node)
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        yield f"the test {node.name!r}"
    elif isinstance(node, nodes.Call):
        target = node.node
        if isinstance(target, nodes.Getattr):
            loop = isinstance(target.node, nodes.Name) and target.node.name == "loop" and target.attr in OF_LOOPS
            if not loop:
                yield f".{target.attr}()"
        elif isinstance(target, nodes.Name) and target.name not in bound:
            yield f"{target.name}()"


def _filter(node: nodes.Filter) -> Iterator[str]:
    if node.name not in FILTERS:
        yield f"the filter {node.name!r}"
    elif node.name == "map" and node.args and isinstance(node.args[0], nodes.Const):
        if node.args[0].value not in FILTERS:
            yield f"the filter {node.args[0].value!r}"
    elif node.name == "tojson" and (node.args or node.kwargs):
        yield "tojson() with arguments"
    elif node.kwargs and node.name not in _KEYWORDS:
        yield f"{node.name}({node.kwargs[0].key}=)"
