"""Random right models, each with one fault: the right ones must be published, the faulty ones must not be.

``python -m tests.soak N``. Everything about a model follows from its seed, so that one can be run again alone.
"""
