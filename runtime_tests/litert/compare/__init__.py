"""What rung 0 compares beside the codes."""
