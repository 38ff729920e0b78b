"""What the stock engine does with a file of ours."""
