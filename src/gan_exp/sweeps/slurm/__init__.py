"""Jobs on a cluster: submitit hands them to Slurm, and each is requeued and continued until its run is finished.

`settings` are the keys `slurm.*`, `submit` hands jobs over, `submitted_job` is what runs on the cluster, `code_state`
tells whether the code has changed meanwhile.
"""
