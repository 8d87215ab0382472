"""The machine and the process: device, threads, random numbers, signals, files, paths, the terminal."""
