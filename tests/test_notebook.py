"""The notebook of the examples runs, and what it shows says what the results say."""

import ast
import json

import pytest
from command_line import ROOT

import neurodeploy as nd
from neurodeploy.errors import Fault, Refusal
from neurodeploy.notebook import show

NOTEBOOK = ROOT / "examples" / "first_network.ipynb"


def shown(text, scope):
    """Run a cell as a notebook does; HTML of its last expression, None where it has none."""
    *body, last = ast.parse(text).body
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), scope)  # noqa: S102 - our own example
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), str(NOTEBOOK), "exec"), scope)  # noqa: S102
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), scope)._repr_html_()  # noqa: S307


@pytest.mark.slow  # .ci/run has it
def test_the_notebook_runs_from_top_to_bottom_and_shows_every_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook, scope = json.loads(NOTEBOOK.read_text(encoding="utf-8")), {}
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert all(c.get("outputs", []) == [] for c in notebook["cells"]), "outputs are not kept"
    fit, quantized, placed, run, verified = [shown(cell, scope) for cell in cells]
    assert "xylo_audio3: fits" in fit
    assert "xylo_audio3: quantized" in quantized
    assert '<td style="text-align: right">20</td>' in placed
    assert f"{int(scope['run'].output.sum()):,}</td>" in run
    assert "first.nd.zip: exact" in verified
    assert "configuration samna" in verified
    assert nd.verify(tmp_path / "first.nd.zip").exact
    assert scope["run"].output.sum() > 0


def test_a_refusal_is_a_table_of_its_faults_and_nothing_of_the_user_is_markup():
    html = Refusal([Fault("ND1801", "<script>alert(1)</script>", "3 > 2", "at most 2")])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "ND1801" in html
    with pytest.raises(Refusal) as caught:
        nd.chip("no such chip")
    assert "no chip of that name" in caught.value._repr_html_()


def test_numbers_stand_on_the_right_and_a_table_without_rows_is_none():
    assert show("t", ("a", "b"), [(1234, 0.5)]).count("text-align: right") == 2
    assert "1,234" in show("t", ("a",), [(1234,)])
    assert "<td>yes</td>" in show("t", ("a",), [(True,)])
    assert "<table>" not in show("t", ("a",), [], ["one\ntwo"])
    assert "one<br>two" in show("t", ("a",), [], ["one\ntwo"])
