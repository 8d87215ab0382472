"""A page to play with a trained generator, and the server behind it, which this machine alone can reach."""
