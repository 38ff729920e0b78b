"""Evaluation questions and the answers that are kept."""
