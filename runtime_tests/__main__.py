"""Entry point of ``python -m runtime_tests``."""

from runtime_tests.cli import app

app(prog_name="python -m runtime_tests")
