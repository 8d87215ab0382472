"""Training steps on a CUDA GPU: gan-exp's own, a peer's, and ways to compute the same steps that gan-exp can't do yet.

`__main__` has the plan and the table, `measure` the clock, `package` the steps of gan-exp, `r3gan` and `recipes` the
other ways, `layers` and `traced` what those are made of. Nothing here needs Hydra.
"""
