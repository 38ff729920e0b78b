"""Weights as a checkpoint means them, whatever the target: before their rounding, and rounded anew."""
