"""A run's progress as plain lines, and the log file that receives them."""

import logging
from collections.abc import Mapping
from pathlib import Path


def plain_line(step: int, total: int, metrics: Mapping[str, float], rate: float) -> str:
    """The mean metrics of the last steps, with the rate in steps per second and the remaining time."""
    return (
        f"step {step}/{total}  D loss {metrics['loss/discriminator']:.4f}, "
        f"accuracy {metrics['accuracy/discriminator']:.1%} "
        f"(real {metrics['accuracy/real']:.1%}, fake {metrics['accuracy/fake']:.1%})  "
        f"G loss {metrics['loss/generator']:.4f}  {rate:,.1f} steps/s, {time_left(total - step, rate)} left"
    )


def time_left(steps: int, rate: float) -> str:
    """h:mm:ss at the run's mean rate, where h may exceed 24."""
    if rate <= 0:
        return "-:--:--"
    minutes, seconds = divmod(round(steps / rate), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def open_log(path: Path) -> logging.Logger:
    """A logger that appends lines with their time to `path`; errors, such as of a full disk, are ignored."""
    log = logging.Logger(f"gan_exp.{path}", logging.INFO)  # not registered: no one else configures it
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk: logging would print a traceback
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    return log
