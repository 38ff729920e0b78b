"""From which share of right drafts on drafting pays, by what a step of drafts and of verifying them takes.

``drafts`` are the tokens that are guessed in a step; ``step`` is the time of the guesses and of verifying them, in that
of a token that is decoded alone.
"""

from __future__ import annotations

CHANCES = (0.5, 0.6, 0.7, 0.8, 0.9)


def tokens(chance: float, drafts: int) -> float:
    """Tokens that a step gives on average.

    Drafts are accepted up to the first wrong one, and verifying gives a token more: where each is right by itself with
    probability a, ``1 + a + ... + a^drafts`` (Leviathan et al. 2023, equation 1).
    """
    return sum(chance**i for i in range(drafts + 1))


def least_share(step: float, drafts: int) -> float | None:
    """Share of the drafts that must be accepted for a step to give as many tokens as decoding does in its time.

    A step gives ``1 + share * drafts`` tokens, whatever the drafts' chances depend on.

    Returns:
        0 where drafting pays in any case, None where it cannot.
    """
    return None if step >= drafts + 1 else max(0.0, (step - 1) / drafts)


def least_chance(step: float, drafts: int) -> float:
    """The chance of a draft, from 0 to 1, with which a step gives ``step`` tokens; 1 where none does."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if tokens(middle, drafts) < step else (low, middle)
    return high


def said(kind: str, step: float, drafts: int) -> str:
    """What follows, in lines.

    Args:
        kind: of time.
    """
    takes = f"{kind}: {drafts} drafts and verify take as long as {step:.2f} decoded tokens"
    share = least_share(step, drafts)
    if share is None:
        return f"{takes}: drafting never pays, for it gives {drafts + 1} at most\n"
    gains = ", ".join(f"{tokens(chance, drafts) / step:.2f} at {chance:.0%}" for chance in CHANCES)
    return (
        f"{takes}: drafting pays where more than {share:.0%} of the drafts are accepted, "
        f"that is where each is right by itself more often than {least_chance(step, drafts):.0%}\n"
        f"speed with the drafter to that without, by how often a draft is right: {gains}\n"
    )
