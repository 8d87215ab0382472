"""Many runs: words become jobs, and jobs are trained in processes of their own, several at once.

`job` is one job and how it is trained in this process, `process` starts it in a process of its own, forked from the
`fork_server`, and `scheduler` keeps several going. `sweep` brings these together: `words` and `compose` make the jobs,
`record` keeps the words, `begun` finds the runs that go on, `plan` and `trial` say how many at once, `progress` and
`closing` show what happens. `slurm` trains jobs on a cluster.
"""
