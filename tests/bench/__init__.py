"""Figures of this machine: ``just bench``. None of it is needed to build or to judge."""
