"""The iOS sample, without iOS."""
