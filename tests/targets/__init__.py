"""What the targets write."""
