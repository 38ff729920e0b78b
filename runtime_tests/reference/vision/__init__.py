"""transformers' own vision tower, and the patches that it and an artifact are both given."""
