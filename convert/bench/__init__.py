"""Figures of this machine: ``just bench`` and ``just fullsize``. None of it is needed to build or to judge."""
