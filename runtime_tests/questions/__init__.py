"""What is asked: evaluations and which answers are right, prompts, conversations; and what is kept."""
