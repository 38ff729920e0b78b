"""What runs the shipped bytes: the interpreter, the stock engine, other processes and processors."""
