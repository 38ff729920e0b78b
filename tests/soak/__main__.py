"""Entry point of ``python -m tests.soak``."""

from tests.soak.run import app

app(prog_name="python -m tests.soak")
