"""One file per rung of the ladder; each has ``climb(case) -> list[Check]``."""
