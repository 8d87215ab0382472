"""`gan-exp completion SHELL`: TAB for commands, groups, options, keys and runs (no torch, no Hydra).

It is ours because the candidates change with the words before them and with the runs that exist, whereas shtab writes
argparse's options into a script once. Hydra's completion takes half a second a TAB and knows no subcommands.
"""

import re
from pathlib import Path

from gan_exp.commands import COMMANDS
from gan_exp.commands.arguments import Parser
from gan_exp.config.catalog import conf_dir, config_dirs, groups, known_keys, settings, settings_of
from gan_exp.config.overrides import MAY_CHANGE
from gan_exp.runs.run_names import RUN_FILE, list_directories, short_names

PLAIN = re.compile(r"[\w.,=@%+:/-]+")  # names that a shell takes without quotes; others are not offered
OF_RUNS = ("resume", "sample", "interpolate", "evolution", "directions", "nearest", "invert", "export", "play")
OF_SEVERAL = ("evaluate", "doctor", "dashboard", "runs", "compare", "report")  # also of sweeps
# Values of the options of search; Optuna's names are written here, since importing it takes too long for a TAB.
SEARCH_VALUES = {
    "--checkpoint": ("last", "best"),
    "--sampler": ("tpe", "random", "gp", "qmc", "grid", "bruteforce", "cmaes", "nsgaii", "nsgaiii"),
    "--pruner": ("nop", "median", "percentile", "successivehalving", "hyperband", "threshold", "patient", "wilcoxon"),
}

SCRIPTS = {
    "bash": """# eval "$(gan-exp completion bash)"
_gan_exp() {
    local line="${COMP_LINE:0:$COMP_POINT}" word
    word="${line##*[[:space:]]}"
    COMPREPLY=()
    local candidate skip=""
    # bash breaks words at = and :, and wants only what follows the break
    [[ "$word" == *[=:]* ]] && skip="${word%"${word##*[=:]}"}"
    while IFS= read -r candidate; do
        [[ -n "$candidate" ]] && COMPREPLY+=("${candidate#"$skip"}")
    done < <(gan-exp __complete "$line" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
    return 0
}
complete -F _gan_exp gan-exp
""",
    "zsh": """# eval "$(gan-exp completion zsh)"   (after compinit)
_gan_exp() {
    local -a candidates
    candidates=("${(@f)$(gan-exp __complete "${LBUFFER}" 2>/dev/null)}")
    candidates=(${candidates:#})
    compadd -Q -S '' -- ${(M)candidates:#*=}
    compadd -Q -- ${candidates:#*=}
}
compdef _gan_exp gan-exp
""",
    "fish": """# gan-exp completion fish | source
complete -c gan-exp -f -a '(gan-exp __complete (commandline -cp | string collect) 2>/dev/null)'
""",
}


def run(arguments: list[str]) -> int:
    if arguments[:1] == ["__complete"]:
        print("\n".join(candidates(" ".join(arguments[1:]))))
        return 0
    parser = Parser("completion", "Print a completion script; its first line says how to use it.")
    parser.add_argument("shell", choices=SCRIPTS, help="bash, zsh or fish")
    print(SCRIPTS[parser.parse_args(arguments).shell], end="")
    return 0


def candidates(line: str) -> list[str]:
    """The completions of the last word of `line`, a command line up to the cursor."""
    *before, word = line.split(" ")
    before = [part for part in before if part]
    if before[1:2] == ["help"]:
        del before[1]
    command, given = (before[1], before[2:]) if len(before) > 1 else ("", [])
    if not command:
        found = list(COMMANDS)
    elif command == "train":
        found = _settings(given, word) + _of_cluster(given)
    elif command == "search":
        found = _of_search(given, word)
    elif command == "resume" and given:
        found = [f"{key}=" for key in (*MAY_CHANGE, "dataset.root")] + _of_cluster(given)
    elif command in (*OF_RUNS, *OF_SEVERAL):
        found = _runs(word, sweeps=command == "resume" or command in OF_SEVERAL)
    elif command == "completion":
        found = list(SCRIPTS)
    else:
        found = []
    return sorted({candidate for candidate in found if candidate.startswith(word)})


def _settings(before: list[str], word: str) -> list[str]:
    key, separator, value = word.partition("=")
    extra = config_dirs(before)
    available = groups(extra)
    if not separator:
        return [f"{known}=" for known in known_keys(before, extra)]
    start = value[: value.rfind(",") + 1]  # in a sweep several options stand behind one another: model=mlp,dc<TAB>
    return [f"{key}={start}{option}" for option in available.get(key) or _switch(key, before, extra)]


def _of_cluster(before: list[str]) -> list[str]:
    """The keys slurm.*, behind --slurm."""
    chosen = any(word.partition("=")[0] == "--slurm" for word in before)
    return [f"slurm.{setting.key}=" for setting in settings_of(conf_dir() / "slurm.yaml")] if chosen else []


def _of_search(before: list[str], word: str) -> list[str]:
    """What the option before names, or a key to search or to set, whose options can be within choice(...)."""
    option = before[-1] if before else ""
    if option == "--metric":
        from gan_exp.config.metrics import SELECTING

        start = word[: word.rfind(",") + 1]
        return [f"{start}{name}" for name in (*SELECTING, "seconds")]
    if option in SEARCH_VALUES:
        return list(SEARCH_VALUES[option])
    if option in ("--dir", "--config-dir"):
        return _folders(word)
    return _settings(before, word)


def _switch(key: str, before: list[str], extra: list[Path]) -> list[str]:
    """true and false, for a key with one of them as its default."""
    switches = ["true", "false"]
    return switches if any(known == key and one.default in switches for known, one in settings(before, extra)) else []


def _runs(word: str, sweeps: bool) -> list[str]:
    """`latest`, short names, and the folders that `word` begins to name."""
    places = [place for place in list_directories() if sweeps or (place / RUN_FILE).is_file()]
    return ["latest", *(name for name in (*short_names(places), *_folders(word)) if PLAIN.fullmatch(name))]


def _folders(word: str) -> list[str]:
    """The folders that `word` begins to name."""
    folder = Path(word[: word.rfind("/") + 1] or ".")
    inside = [f"{path}/" for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return [name for name in inside if PLAIN.fullmatch(name) and not Path(name).name.startswith(".")]
