"""What Google's checkpoints have besides a text decoder: towers, more settings, a tokenizer of real size."""
