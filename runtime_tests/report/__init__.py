"""What is written: parity.json, golden.json, the page and the table."""
