"""What the Core ML target writes."""
