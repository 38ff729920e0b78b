"""Faults on purpose: a catalogue of mutants, and a run that tells which rung of the ladder catches each.

``python -m tests.mutants``. In ``catalogue/`` there is one file for each kind of fault; those beside the targets'
folders are for every target. ``beds/`` has a file for each target: how a faulty model of it is made and opened. All
this knows the writer and the judge, which know nothing of it or of each other.
"""
