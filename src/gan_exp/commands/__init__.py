"""One module per command, with `run(arguments) -> exit code`.

The other modules: `arguments` is the parser of all commands but train, `train_words` and `train_help` are train's;
`launch` trains through Hydra; `cluster` is --slurm; `sweep` resumes a sweep.
"""

COMMANDS = {
    "train": "train a GAN: gan-exp train model=mlp lr=2e-4",
    "resume": "continue a run that was stopped, or train it for longer: gan-exp resume latest",
    "sample": "make images with a trained generator: gan-exp sample latest --count 64",
    "evaluate": "measure a trained generator against its data: gan-exp evaluate latest",
    "doctor": "diagnose a run and suggest what to try: gan-exp doctor latest",
    "runs": "list runs and sweeps: gan-exp runs state=failed",
    "compare": "compare runs over their seeds: gan-exp compare outputs",
    "report": "write a page about runs, one HTML file to send: gan-exp report latest",
    "search": "search for the best configuration: gan-exp search --trials 30 --dir DIR lr='log(1e-5,1e-2)'",
    "export": "write a trained generator as one safetensors file: gan-exp export latest",
    "play": "open a page to play with a trained generator: gan-exp play latest",
    "dashboard": "show all runs in TensorBoard",
    "completion": "print a script that lets bash, zsh or fish complete commands, groups and keys",
}
