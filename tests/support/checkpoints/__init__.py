"""Writers of checkpoints with random weights: small ones, ones with every trait of Google's files, and of real size."""
