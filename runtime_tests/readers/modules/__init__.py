"""The modules of a model: one file each, with ``MODULE``; see ``runtime_tests.readers.module``."""
