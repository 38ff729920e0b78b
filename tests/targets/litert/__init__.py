"""What the LiteRT target writes."""
