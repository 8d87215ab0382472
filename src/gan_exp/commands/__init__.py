"""One module per command, with `run(arguments) -> exit code`.

The other modules: `arguments` is the parser of all commands but train, `train_words` and `train_help` are train's;
`launch` trains through Hydra; `cluster` is --slurm; `sweep` resumes a sweep; `outputs` is --output of the commands that
make files, and `exploring` what those have in common that explore a generator.
"""

COMMANDS = {
    "train": "train a GAN: gan-exp train model=mlp lr=2e-4",
    "resume": "continue a run that was stopped, or train it for longer: gan-exp resume latest",
    "data": "look at a folder of images before training on it: gan-exp data DIR",
    "sample": "make images with a trained generator: gan-exp sample latest --count 64",
    "interpolate": "animate the way from sample to sample: gan-exp interpolate latest --loop",
    "evolution": "show the same latents in the course of training: gan-exp evolution latest --grids",
    "directions": "find the latents' directions of largest effect: gan-exp directions latest",
    "nearest": "show samples beside their nearest training images: gan-exp nearest latest",
    "invert": "find the latent that best reproduces an image: gan-exp invert latest image.png",
    "evaluate": "measure a trained generator against its data: gan-exp evaluate latest",
    "doctor": "diagnose a run and suggest what to try: gan-exp doctor latest",
    "runs": "list runs and sweeps: gan-exp runs state=failed",
    "compare": "compare runs over their seeds: gan-exp compare outputs",
    "report": "write a page about runs, one HTML file to send: gan-exp report latest",
    "search": "search for the best configuration: gan-exp search --trials 30 --dir DIR lr='log(1e-5,1e-2)'",
    "export": "write a trained generator as one file (ONNX, torch, safetensors): gan-exp export latest",
    "play": "open a page to play with a trained generator: gan-exp play latest",
    "dashboard": "show all runs in TensorBoard",
    "completion": "print a script that lets bash, zsh or fish complete commands, groups and keys",
}
