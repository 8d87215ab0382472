"""Stand-ins for Slurm's commands, which run the tasks of a job array on this machine at once, and requeue them."""

import sys
from pathlib import Path

SBATCH = """#!{python}
import os, re, shutil, subprocess, sys

found = re.search(r"--array=0-(\\d+)", open(sys.argv[1]).read())
script = shutil.copy(sys.argv[1], "{spool}/script")
print("Submitted batch job 4711", flush=True)
for task in range(int(found[1]) + 1) if found else [None]:
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        name, own = "4711", {{"SLURM_JOB_ID": str(4711 + (task or 0)), "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}}
        if found:
            name, own = f"4711_{{task}}", own | {{"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": str(task)}}
        open(f"{spool}/{{name}}.queued", "w").close()
        while True:
            subprocess.run(["bash", script], env={{**os.environ, **own}})
            if not os.path.exists(f"{spool}/{{name}}.again"):
                break
            os.unlink(f"{spool}/{{name}}.again")
        os.unlink(f"{spool}/{{name}}.queued")
        os._exit(0)
"""
SRUN = """#!{python}
import os, sys

words, output = sys.argv[1:], ""
while words[0].startswith("--"):
    option = words.pop(0)
    if option == "--output":
        output = words.pop(0)
for pattern, name in (("%A", "ARRAY_JOB_ID"), ("%a", "ARRAY_TASK_ID"), ("%j", "JOB_ID"), ("%t", "PROCID")):
    output = output.replace(pattern, os.environ.get(f"SLURM_{{name}}", ""))
file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(file, 1)
os.dup2(file, 2)
os.execvp(words[0], words)
"""
SCONTROL = """#!/bin/sh
touch "{spool}/$2.again"
"""
SQUEUE = """#!/bin/sh
for name in "{spool}"/*.queued; do basename "$name" .queued; done
"""


def install(folder: Path) -> None:
    """Write the commands into `folder`, which the caller puts on the path."""
    spool = folder / "spool"
    spool.mkdir(parents=True)
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL), ("squeue", SQUEUE)):
        (folder / name).write_text(text.format(python=sys.executable, spool=spool))
        (folder / name).chmod(0o755)
