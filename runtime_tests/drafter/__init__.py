"""The drafter that lies beside a model: its checkpoint, and what transformers makes of it."""
