"""What a model takes in beside text, as it is asked for."""
