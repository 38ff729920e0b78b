"""``just fullsize``: synthetic checkpoints of real size, converted, and on request judged."""
