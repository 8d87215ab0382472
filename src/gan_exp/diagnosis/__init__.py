"""What goes wrong in a game: evidence from samples, verdicts over a run's history, and the overrides to try."""
