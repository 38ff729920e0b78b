"""Small vision towers, and images for them."""
