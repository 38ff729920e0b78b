"""Module patterns of ``quantization_config``: which modules are quantized, and to how many bits.

The regular expressions come from a file that nobody vouches for, and Python's matcher can be made to run for ever by a
repeated group, so a pattern is refused before it is compiled unless its cost is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from convert.checkpoint.fields import Fields, Flag, Model, one_of
from convert.checkpoint.strict_json import shown
from convert.errors import CheckpointError
from convert.lattice import BITS

_MAX_PATTERNS, _MAX_LENGTH, _MAX_REPEATS = 64, 256, 3
_ESCAPE_OR_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEAT = re.compile(r"(?<!\()[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
# Flags and comments could hide a repetition from the expressions above.
_ODD_GROUP = re.compile(r"\(\?(?!:|=|!|<)")
_Name = Annotated[str, Field(min_length=1)]


def compile_bounded(pattern: str, form: str, where: Fields) -> re.Pattern[str]:
    """Compiles ``form`` with ``pattern`` put in place of ``{}``.

    Raises:
        CheckpointError: too long, invalid, a group is repeated, or more than three repetitions.
    """

    def fail(found: str) -> CheckpointError:
        action = f"Patterns have at most {_MAX_LENGTH} characters, {_MAX_REPEATS} repetitions and no repeated group"
        return CheckpointError(where.asked, f"{where.path}: pattern {shown(pattern)} {found}", action)

    if len(pattern) > _MAX_LENGTH:
        raise fail(f"has {len(pattern)} characters")
    bare = _ESCAPE_OR_CLASS.sub("x", pattern)
    if _ODD_GROUP.search(bare):
        raise fail("has a flag, a comment or a named group")
    if _REPEATED_GROUP.search(bare) or len(_REPEAT.findall(bare)) > _MAX_REPEATS:
        raise fail("could take for ever to match")
    try:
        re.compile(pattern)  # on its own first: the form must not lend it a missing parenthesis
        return re.compile(form.replace("{}", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise fail(f"is not a regular expression: {error}") from error


class _Bits(Model, extra="forbid"):
    OTHERS = "left out: only num_bits is known"
    num_bits: Annotated[int, one_of(*BITS), Field(description="2, 4 or 8")] = 4


class _Rules(_Bits):
    OTHERS = "left out: its meaning is not known"
    quant_method: Any = None
    quantize_embeddings: Flag = False
    module_quant_configs: Any = None
    modules_to_not_convert: Annotated[list[_Name] | None, Field(description="a list of module names")] = None


@dataclass(frozen=True)
class BitRules:
    """The settings of a ``quant_method: gemma`` checkpoint.

    Attributes:
        default: bits of a module that no pattern matches.
        embeddings: embeddings are quantized, too.
        by_pattern: bits by pattern; the first that is found in the module's name counts.
        skipped: patterns of modules that stay floating-point.
        skipped_ends: their plain text; a module whose name ends in one stays floating-point, too.
    """

    default: int
    embeddings: bool
    by_pattern: Sequence[tuple[re.Pattern[str], int]]
    skipped: Sequence[re.Pattern[str]]
    skipped_ends: tuple[str, ...]

    def bits(self, module: str, embedding: bool) -> int | None:
        """Bits of a module by its name in transformers; None when it stays floating-point.

        As transformers 5.22.2 does in ``should_convert_module`` and ``replace_with_quant_layers``, with one difference:
        there the patterns are joined into one and the leftmost match wins, here and in earlier releases the first
        pattern wins. Bits that differ would not fit the stored shape, so neither reading can pass wrongly.
        """
        if any(pattern.match(module) for pattern in self.skipped) or module.endswith(self.skipped_ends):
            return None
        if embedding and not self.embeddings:
            return None
        return next((bits for pattern, bits in self.by_pattern if pattern.search(module)), self.default)


def read_rules(settings: Fields, tied: bool) -> BitRules:
    """Reads ``num_bits``, ``quantize_embeddings``, ``module_quant_configs`` and ``modules_to_not_convert``.

    Args:
        settings: the ``quantization_config`` object.
        tied: lm_head shares the embedding's weights: both then stay floating-point unless
            ``modules_to_not_convert`` is given, and an untied lm_head does (``get_keys_to_not_convert``).

    Raises:
        CheckpointError: an unknown key, a wrong type, bits other than 2, 4 and 8, or a pattern that is refused.
    """
    given = settings.read(_Rules)
    by_pattern = []
    if settings.has("module_quant_configs"):
        overrides = settings.object("module_quant_configs")
        _bound(overrides, len(overrides.values))
        for pattern in overrides.values:
            override = overrides.object(pattern)
            bits = override.read(_Bits).num_bits if override.values else given.num_bits
            by_pattern.append((compile_bounded(pattern, "{}", settings), bits))
    skipped = given.modules_to_not_convert
    if skipped is None:
        skipped = ["lm_head", "model.embed_tokens", "model.language_model.embed_tokens"] if tied else ["lm_head"]
    _bound(settings, len(skipped))
    boundary = r"(?:(?<=\.)|(?=\.|$))"
    return BitRules(
        default=given.num_bits,
        embeddings=given.quantize_embeddings,
        by_pattern=tuple(by_pattern),
        skipped=tuple(compile_bounded(each, f"(?:{{}}){boundary}", settings) for each in skipped),
        skipped_ends=tuple(skipped),
    )


def _bound(where: Fields, count: int) -> None:
    if count > _MAX_PATTERNS:
        found = f"{where.path} has {count} patterns; at most {_MAX_PATTERNS} are read"
        raise CheckpointError(where.asked, found, "Use a checkpoint as Google publishes it")
