"""`python -m benchmarks.speed`. The loops stand in a module of their own, which their processes can import."""

from benchmarks.speed.loops import main

main()
