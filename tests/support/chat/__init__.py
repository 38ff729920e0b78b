"""Templates, answers and engines made up for tests."""
