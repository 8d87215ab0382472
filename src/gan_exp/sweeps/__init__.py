"""Many runs: words become jobs, and jobs are trained in processes of their own, several at once.

`job` is one job and how it is trained in this process; `process` starts it in a process of its own.
"""
