"""Trained generators: loaded from a run, and called the same way by all that uses them."""
