"""What rung 3 compares beside the text: metadata, template, turns, stop tokens, spelling."""
