"""Tests, in the folders of the code that they are about; what they share is in ``support``."""
