"""Commands and recipes, as users call them."""
