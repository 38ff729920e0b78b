"""What a bundle holds and says of itself."""
