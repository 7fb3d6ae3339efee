"""The notebook of the documentation runs from top to bottom."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[3] / "docs" / "python.ipynb"


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="the notebook is not part of the source distribution")
def test_every_cell_runs():
    names = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    values = [pair.value for pair in names["result"].eigenpairs]
    assert values == sorted(values, reverse=True) and all(pair.converged for pair in names["result"].eigenpairs)
    assert "<svg" in names["result"]._repr_html_()
    # The smallest value of the cut's curvature is that of the eigenpair: the centre is a maximum along it.
    line = names["line"]
    assert line.loss.shape == (21,) and (values[-1] > 0 or line.loss[10] > line.loss.min())
