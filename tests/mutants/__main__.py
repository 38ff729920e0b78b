"""Entry point of ``python -m tests.mutants``."""

from tests.mutants.command import app

app(prog_name="python -m tests.mutants")
