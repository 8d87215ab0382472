"""The environment of the article's own code: Keras with TensorFlow and JAX, which the project itself does not need."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".venv-keras"
REQUIREMENTS = HERE / "requirements-keras.txt"
PYTHON = ENVIRONMENT / "bin/python"


def ensure(say: Callable[[str], None] = print) -> Path | None:
    """Its Python, installed if missing or older than the requirements; None, after a message, if that fails."""
    stamp = ENVIRONMENT / "installed"
    if stamp.exists() and stamp.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return PYTHON
    say(f"installing Keras, TensorFlow and JAX into {ENVIRONMENT.name} (about two gigabytes, once)")
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
    for command in ([sys.executable, "-m", "venv", ENVIRONMENT], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            say(f"Keras is left out: its environment can't be installed ({''.join(reason)})")
            return None
    stamp.touch()
    return PYTHON


def variables(backend: str) -> dict[str, str]:
    """Environment of a process that runs Keras on `backend` and the CPU, without the settings in ~/.keras."""
    home = ENVIRONMENT / "keras-home"
    return {
        "KERAS_BACKEND": backend,
        "KERAS_HOME": str(home),
        "MPLCONFIGDIR": str(home),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
    }
