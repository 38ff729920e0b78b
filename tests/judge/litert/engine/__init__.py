"""What the judge asks the stock engine for."""
