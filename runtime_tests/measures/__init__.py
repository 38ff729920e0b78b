"""What is measured of two arrays, of counts and of answers, and what is kept of it for the report."""
