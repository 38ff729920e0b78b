"""Faults on purpose: a catalogue of mutants, and a run that tells which rung of the ladder catches each.

``python -m tests.mutants``. One file per kind of fault; each has ``MUTANTS``. It knows the writer and the judge, which
know nothing of it or of each other.
"""
