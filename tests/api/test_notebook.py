"""The notebook of the examples, executed in a kernel with fewer steps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from waiting import LONGEST_WAIT_S

NOTEBOOK = Path(__file__).parents[2] / "examples/first-run.ipynb"

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, nbclient and ipykernel, of the extra dev")
nbclient = pytest.importorskip("nbclient", reason="needs nbformat, nbclient and ipykernel, of the extra dev")
pytest.importorskip("ipykernel", reason="needs nbformat, nbclient and ipykernel, of the extra dev")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    place = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(r"\b(steps|count)=\d+", r"\1=20", cell.source)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(place / name.lower()))  # nothing of the user's own settings
        client = nbclient.NotebookClient(
            notebook, timeout=LONGEST_WAIT_S, kernel_name="python3", resources={"metadata": {"path": str(place)}}
        )
        client.execute()
    yield notebook


def outputs(notebook: Any, source: str) -> list[Any]:
    """Those of the first cell of code that begins with `source`."""
    return next(
        list(one.outputs) for one in notebook.cells if one.cell_type == "code" and one.source.startswith(source)
    )


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_a_run_is_shown_in_one_place(executed: Any) -> None:
    (shown,) = outputs(executed, "import gan_exp")  # drawn anew some times
    page = shown.data["text/html"]
    assert "20/20" in page and "100%" in page and '<img alt="samples"' in page and "run directory: outputs/" in page
    (run,) = outputs(executed, "run")
    assert "finished at step 20 of 20" in run.data["text/html"]


def test_samples_scores_and_comparisons(executed: Any) -> None:
    (grid,) = outputs(executed, "run.grid")
    assert "image/png" in grid.data
    (shape,) = outputs(executed, "samples = ")
    assert shape.data["text/plain"].startswith("(torch.Size([4, 1, 8, 8]), -")
    assert outputs(executed, "measured = ")[-1].data["text/plain"].startswith("Value(mean=")
    (table,) = outputs(executed, "gan_exp.evaluate(")
    assert "| Softer | 2 |" in table.data["text/markdown"]
    (told,) = outputs(executed, "try:")
    assert told.text == "stpes: unknown key; did you mean steps?\n"
