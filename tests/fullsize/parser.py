"""A parser whose refusal is one line, as every refusal here."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {self.prog}: {message}; {self.prog} --help shows what there is\n")
