"""Looking without touching: what a checkpoint, a finished file or a bundle holds. Answers in well under a second."""
