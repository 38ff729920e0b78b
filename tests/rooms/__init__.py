"""What one target, platform or format is stays in its room."""
