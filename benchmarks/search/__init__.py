"""TPE against random search with the same budget, on digits: `python -m benchmarks.search`."""
