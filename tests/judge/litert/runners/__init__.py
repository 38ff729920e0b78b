"""Runtimes that the judge runs."""
