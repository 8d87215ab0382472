"""Runs whose truth is known by their construction, and what the doctor says of them: `python -m benchmarks.doctor`."""
