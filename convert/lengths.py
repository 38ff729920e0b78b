"""How long the context is and in which pieces a prompt is prefilled.

Why an Android bundle always has short prefill lengths: the stock engine (LiteRT-LM 0.18.1, CPU) covers a prompt with
the longest signature as often as it fits, goes on with the next shorter one, and pads the last piece to the shortest.
A piece, padding included, must fit what is left of the context. So without short lengths the last ``shortest - 1``
positions take no message: with 128 alone 127 of them, and a context of 128 answers once.

What they cost, measured with weights of E2B's dimensions, 2 threads: a signature adds 3.6 MB to a file of 2,230 MB and
some 5 MB of memory; weights are packed once for all signatures, so neither the packed weights nor the time to load
grow. One piece of 1, 8, 32, 128 tokens takes 15, 39, 84, 264 ms. So 8 and 32 also answer sooner: a message of 10 to 60
tokens takes 147 ms on average instead of 264, one of 1 to 128 tokens 221, at worst 408. Longer pieces, with masks and
scores as much larger, are for ``--prefill``. A length of 1 would use the last 7 positions too, but the engine would
then end every prompt in up to 7 single tokens, and a turn's control tokens alone take more than 7 positions. Core ML
needs none: an app starts the last piece earlier (``convert/targets/coreml``).
"""

from __future__ import annotations

from convert.errors import PlanError

DEFAULT_CONTEXT = 4096
# The judge lets the engine hold a conversation: up to 32 tokens of template and message, and a reply of 24. At least
# one of its bare prompts then fits as well, whatever the tokenizer.
LEAST_CONTEXT = 64


def context_length(asked: str, context: int | None, most: int) -> int:
    """Tokens of the KV cache: what was asked for, or the default, capped by what the model was trained for.

    Args:
        most: positions that the model was trained for.

    Raises:
        PlanError: it is shorter than can be judged, or longer than the model knows.
    """
    if most < LEAST_CONTEXT:
        found = f"the model was trained for {most} tokens, and no conversation fits fewer than {LEAST_CONTEXT}"
        raise PlanError(asked, found, "Use another checkpoint")
    if context is None:
        return min(DEFAULT_CONTEXT, most)
    if context < LEAST_CONTEXT:
        found = f"a context of {context} tokens was asked for, too short to judge: a turn and its reply do not fit it"
        raise PlanError(asked, found, f"Give --context {LEAST_CONTEXT} or more")
    if context > most:
        raise PlanError(
            asked,
            f"a context of {context} tokens was asked for and the model was trained for {most}",
            f"Give --context {most} or less",
        )
    return context


def prefill_lengths(
    asked: str, prefill: tuple[int, ...] | None, context: int, usual: tuple[int, ...], pads: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prefill lengths, ascending, and those among them that were added to what was asked for.

    Args:
        usual: the target's defaults.
        pads: whether its runtime pads, so that lengths below the shortest that was asked for are added.

    Raises:
        PlanError: a length is not positive or above the context.
    """
    default = tuple(sorted({min(n, context) for n in usual}))
    if prefill is None:
        return default, ()
    if not prefill or min(prefill) < 1 or max(prefill) > context:
        raise PlanError(
            asked,
            f"prefill lengths {', '.join(map(str, prefill)) or 'none'} were asked for with a context of {context}",
            f"Give --prefill lengths from 1 to {context}, separated by commas",
        )
    added = tuple(n for n in default if n < min(prefill)) if pads else ()
    return (*added, *sorted(set(prefill))), added
