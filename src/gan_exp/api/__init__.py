"""What `import gan_exp` offers: the commands as functions that take and return Python's values.

`run` is a trained run and its generator, `training` trains and resumes, `evaluating` and `comparing` measure. They end
no process. Bad input raises UserError with the sentence of the command. What they change in a program while they work
(signals, torch's settings, random states, trusted modules), they restore (`guest`).
"""
