"""Entry point of ``python -m runtime_tests``."""

from runtime_tests.cli import main_program

main_program()
