"""What rung 0 compares besides weights."""
