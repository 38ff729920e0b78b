"""What converting to a ``.litertlm`` and judging it cost; see ``convert.costs`` for the units and what is common."""

from __future__ import annotations

from convert import costs
from convert.costs import Rates, Sizes, Stage, TargetCosts
from convert.targets.litert.options import DRAFTS

PLAIN = 60.0  # a product of kernels without XNNPACK, in float32 products
INTEGER = 2.0  # products of XNNPACK in the time of a float32 one (0.5 to 1.7 TOPS of two threads here)
BANDWIDTH = 4.5  # weights that a decode step of XNNPACK reads, in the time of a byte through numpy
TRACED = 2.5  # rung 2a: how often a layer of the reference runs, about
PLAYED_CACHES = 6  # second opinions: the cache at four positions, copied once more at times
SAMPLED = 5  # layers of a large decoder that they play
MAPPED_FROM = 256 * costs.MB  # runners/litert.py: larger sections are copied to be mapped
REPLIES = 6  # rung 3: chats and what stops, which the artifact answers and no reference reads
LAYER_FILES = 1 * costs.MB
HEAD = {"integers": 1, "rounded lattice": 4}  # bytes of one of the head's weights, at most
# With a drafter. Rung 2a: positions at which verify is held to the reference, and drafts.
VERIFIED, DRAFTED = 50, 32
# Of each of its weights: bytes through numpy, from what is stored to two drafters that run, and bytes held: floats of
# the reference, of the lattice, and in the runtime's own order. E2B's in bfloat16: 6 s of processor time, 0.5 GB.
DRAFTER_PASSES, DRAFTER_HELD = 600.0, 16
# Rung 3: a step of drafts and verify in decoded tokens, where all drafts are wrong and several rows cost as many single
# ones; own questions that are asked with and without.
STEP, BOTH_WAYS = DRAFTS + 2.0, 48


def judged(s: Sizes, rate: Rates) -> list[Stage]:
    """The stages of the judge for a ``.litertlm``."""
    large, length, rows, decoder = s.model >= costs.LARGE, costs.tokens(s), costs.rows_judged(s), s.model - s.tables
    draws, short = costs.draws(s)
    numbers, mapped = costs.read_once(s, draws), int(costs.TOUCHED * (s.stored + s.model))
    step = decoder / (BANDWIDTH * rate.bytes)
    integers = 2.0 * s.linears * length / (INTEGER * rate.flops)
    runs = costs.one_pass(s, rate, length, rows)
    # The runtime's own order of the weights, and the sections that it was made from, mapped from copies.
    running, copied = decoder + 2 * s.cache, s.model if s.model > MAPPED_FROM else 0
    played = 2 * decoder + PLAYED_CACHES * s.cache
    if large:
        played = SAMPLED * (decoder // s.layers + PLAYED_CACHES * s.cache // s.owners)
    heard = PLAIN * 2.0 * s.linears * (4 * SAMPLED / s.layers if large else 24) / rate.flops
    verifying, drafted = _drafting(s, rate, step) if s.drafter else (0.0, 0.0)
    told = drafted + costs.prompts(s, rate, costs.PROMPTS, short) + 2 * (costs.PROMPTS + REPLIES) * costs.ANSWER * step
    seen = costs.seeing(s, rate)
    tables = s.tables if s.tables > MAPPED_FROM else 0
    layer, head = 2 * decoder // s.layers, HEAD[s.kind] * s.head
    piece = max(layer, head if head > MAPPED_FROM else 0)
    made = [
        costs.floor(s, rate, draws),
        costs.zeroth(s, rate, mapped),
        costs.first(s, rate, draws),
        costs.rung(
            "2a",
            TRACED * runs + s.prefills * integers + step + verifying + seen.get("2a", 0.0),
            costs.read_once(s, 0) + layer + 3 * s.cache + DRAFTER_HELD * s.drafter,
            mapped,
            s.model + tables + piece,
        ),
        costs.rung(
            "2b",
            integers + 2 * rows * step + heard + seen.get("2b", 0.0),
            numbers + running,
            mapped,
            s.model + copied + played + LAYER_FILES * s.layers,
        ),
        # The engine keeps the weights in its own order in a file.
        costs.rung("3", told + seen.get("3", 0.0), numbers + running, mapped, s.model + copied + decoder),
    ]
    if s.questions:
        made.append(
            costs.rung("4", costs.questions(s, rate, step), numbers + running, mapped, s.model + copied + decoder)
        )
    # Where there are no questions, rung 3 has read all of the goldens' prompts.
    asked = costs.GOLDENS if s.questions else 0
    golden = costs.prompts(s, rate, asked, short) + asked * costs.ANSWER * step
    return [*made, costs.rung("report", golden, numbers + running, mapped, s.model + copied)]


def _drafting(s: Sizes, rate: Rates, step: float) -> tuple[float, float]:
    """Seconds that a drafter adds to rungs 2a and 3."""
    rows = 2.0 * VERIFIED * (s.linears + 2 * s.head)  # the head's activations are two terms
    products = rows / INTEGER + 2.0 * VERIFIED * s.head + 4.0 * DRAFTED * s.drafter
    read = costs.UNPACK[s.kind] * s.head + DRAFTER_PASSES * s.drafter
    texts, asked = costs.PROMPTS + REPLIES, min(BOTH_WAYS, s.questions)
    spoken = (texts * (costs.ANSWER + DRAFTS + 1) * STEP + asked * costs.ANSWER * (1 + STEP)) * step
    return products / rate.flops + read / rate.bytes, spoken


# E2B mobile: 9 to 14 s for 2.24 GB; q4_0: 84 s for 8.34 GB.
COSTS = TargetCosts({"integers": 14.0, "rounded lattice": 40.0}, judged)
