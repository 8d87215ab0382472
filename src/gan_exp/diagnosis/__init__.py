"""The doctor: evidence from samples, verdicts over a run's records, and overrides to try."""
