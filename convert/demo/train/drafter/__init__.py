"""Trains the demo's drafter: ``python -m convert.demo.train.drafter``."""
