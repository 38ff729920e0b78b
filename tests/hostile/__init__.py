"""Bad input, bad places, kills and tampering."""
