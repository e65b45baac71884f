"""Chip files: what loads, what they share, where they are found."""

import json
import types
from datetime import date
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from small_chip import SOUND, refused, small_network, write

from neurodeploy.chips import chip, from_raw, target_folders, target_root
from neurodeploy.chips import read as reading
from neurodeploy.chips.evidence import evidence_keys
from neurodeploy.errors import Refusal
from neurodeploy.simulator import simulate

OURS = sorted(p.parent.name for p in target_root().glob("*/chip.toml"))


def test_the_sound_text_loads(tmp_path):
    c = chip(write(tmp_path / "small"))
    assert (c.name, list(c.neurons), list(c.connections)) == ("small", ["channel", "cell"], ["in", "rec"])
    assert c.connections["rec"].sources == ("cell",)
    assert c.limits["cells"].entry.at_most == 32
    assert [n.name for n in (*c.inputs(), *c.outputs(), *c.hidden())] == ["channel", "cell", "cell"]
    assert c.core is None


# --- the chips that come with the program -----------------------------------------------------------------------------


def test_three_xylo_chips_come_with_the_program():
    assert {"xylo_audio2", "xylo_audio3", "xylo_imu"} <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_a_chip_is_named_after_its_folder(name):
    assert chip(name).name == name == chip(target_root() / name).name


@pytest.mark.parametrize("name", OURS)
def test_every_number_has_a_source_a_date_and_a_grade(name):
    c = chip(name)
    keys = evidence_keys(c.file)
    assert len(keys) > 20
    for place, key in keys:
        assert key in c.evidence, place
        assert len(c.evidence[key].source) > 10
        assert isinstance(c.evidence[key].date, date)
        assert c.evidence[key].grade != "unknown"
    places = {place for place, _ in keys}
    for neuron in c.neurons.values():
        assert {f"neuron.{neuron.name}.{t}.{n}" for t, table in (("state", neuron.states), ("param", neuron.parameters))
                for n in table} <= places  # fmt: skip
    assert {f"limit.{limit}" for limit in c.limits} <= places


@pytest.mark.parametrize("name", OURS)
def test_what_the_quantizer_may_emit_lies_inside_what_the_register_holds(name):
    c = chip(name)
    numbers = [p for n in c.neurons.values() for p in n.parameters.values()]
    numbers += [p for k in c.connections.values() for p in k.parameters.values()]
    assert numbers
    assert all(p.allowed.within(p.interval) for p in numbers)


@pytest.mark.parametrize("name", OURS)
def test_a_chip_compiles_again_from_its_own_data(name):
    c = chip(name)
    again = from_raw(json.loads(json.dumps(c.raw)))
    assert again.digest == c.digest
    assert again == c


# --- digest -----------------------------------------------------------------------------------------------------------


def test_equal_content_has_an_equal_digest(tmp_path):
    first = chip(write(tmp_path / "a"))
    reordered = SOUND.replace("[limit.cells]", "# a comment\n\n[limit.cells]").replace('emits = "n"\next', "ext")
    reordered = reordered.replace("state.n = { unsigned = 4 }", 'state.n = { unsigned = 4 }\nemits = "n"')
    assert chip(write(tmp_path / "b", reordered)).digest == first.digest


def test_another_number_has_another_digest(tmp_path):
    assert chip(write(tmp_path / "a", x=("at_most = 32", "at_most = 33"))).digest != chip(write(tmp_path / "b")).digest


def test_a_file_that_changed_is_read_anew(tmp_path):
    assert chip(write(tmp_path / "a")).limits["cells"].entry.at_most == 32
    assert chip(write(tmp_path / "a", x=("at_most = 32", "at_most = 8"))).limits["cells"].entry.at_most == 8


# --- sharing ----------------------------------------------------------------------------------------------------------

CHILD = """
schema_version = 1
name = "child"
extends = "small"
without = ["connection.rec"]
[neuron.cell.param.threshold]
holds = [1, 511]
may = [1, 500]
[limit.cells]
at_most = 8
[schedule]
step = ["channel.step", "in", "cell.step"]
"""


def test_a_child_shares_what_it_does_not_state(tmp_path):
    parent, child = chip(write(tmp_path / "small")), chip(write(tmp_path / "child", CHILD))
    assert child.name == "child"
    assert list(child.connections) == ["in"]
    assert child.neurons["cell"].parameters["threshold"].holds == (1, 511)
    assert child.neurons["cell"].parameters["threshold"].default == 100
    assert child.neurons["cell"].entry.on == parent.neurons["cell"].entry.on
    assert child.limits["cells"].entry.unit == "neurons"
    assert {"extends", "without"}.isdisjoint(child.raw)


def test_a_parent_may_be_a_chip_of_the_program(tmp_path):
    text = 'schema_version = 1\nname = "mine"\nextends = "xylo_imu"\n[limit.hidden]\nat_most = 3\n'
    mine = chip(write(tmp_path / "mine", text))
    assert mine.limits["hidden"].entry.at_most == 3
    assert mine.limits["outputs"] == chip("xylo_imu").limits["outputs"]


def test_parents_in_a_circle_are_refused(tmp_path):
    write(tmp_path / "a", 'name = "a"\nextends = "b"\n')
    write(tmp_path / "b", 'name = "b"\nextends = "c"\n')
    found = refused(tmp_path / "c", 'name = "c"\nextends = "a"\n')
    assert found == ["b, extends: c -> a -> b -> c; no circle. [ND1103]"]


def test_all_missing_entries_of_without_are_listed(tmp_path):
    write(tmp_path / "small")
    change = ('["connection.rec"]', '["connection.rec", "connection.out", "neuron.cell.state.u", "a.b.c"]')
    assert refused(tmp_path / "child", CHILD, change=change) == [
        f"child, without: '{place}' does not exist; an entry of the parent file. [ND1103]"
        for place in ("connection.out", "neuron.cell.state.u", "a.b.c")
    ]


def test_like_takes_over_and_can_be_overridden(tmp_path):
    c = chip(write(tmp_path / "small", x=('like = "in"', 'like = "in"\nsynapse.w = { signed = 4 }')))
    assert c.connections["rec"].entry.on_input == c.connections["in"].entry.on_input
    assert (c.connections["rec"].fields["w"].bits, c.connections["in"].fields["w"].bits) == (4, 6)


def test_like_of_a_like_is_resolved_whatever_the_order(tmp_path):
    more = '[connection.far]\nlike = "rec"\n'
    front = SOUND.replace("[connection.in]", f"{more}[connection.in]").replace('"rec", ', '"rec", "far", ')
    back = SOUND.replace("[limit.cells]", f"{more}[limit.cells]").replace('"rec", ', '"rec", "far", ')
    for number, text in enumerate((front, back)):
        c = chip(write(tmp_path / str(number), text))
        assert c.connections["far"].entry == c.connections["rec"].entry


# --- finding ----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(Refusal, match=r"chip 'xylo_audio4': no chip of that name; known chips: .*did you mean xylo_au"):
        chip("xylo_audio4")
    with pytest.raises(Refusal, match="give a name, or the path of a chip folder") as caught:
        chip("qqqq")
    assert caught.value.code == "ND1104"


def test_a_chip_is_read_by_folder_by_file_and_by_relative_path(tmp_path, monkeypatch):
    folder = write(tmp_path / "small")
    write(tmp_path / "child", CHILD)
    assert chip(folder) == chip(str(folder)) == chip(folder / "chip.toml") == chip(str(folder / "chip.toml"))
    monkeypatch.chdir(tmp_path / "child")
    assert chip("chip.toml").name == "child"
    monkeypatch.chdir(tmp_path)
    assert chip("child").name == "child"


def test_a_folder_in_the_way_does_not_hide_a_chip_of_the_program(tmp_path, monkeypatch):
    (tmp_path / OURS[0]).mkdir()
    monkeypatch.chdir(tmp_path)
    assert chip(OURS[0]).name == OURS[0]


def test_a_folder_without_a_chip_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"chip.toml: cannot be read; a chip folder holds chip.toml") as caught:
        chip(tmp_path)
    assert caught.value.code == "ND1101"


def installed(monkeypatch, *entries):
    """Pretend that packages offer chips: (name of the entry point, folder or error)."""

    def load(self):
        folder = dict(entries)[self.name]
        if isinstance(folder, Exception):
            raise folder
        return types.SimpleNamespace(__path__=[str(folder)])

    points = [EntryPoint(name, f"{name}.chips", reading.ENTRY_POINT_GROUP) for name, _ in entries]
    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(reading, "entry_points", lambda group: [p for p in points if p.group == group])


def test_an_installed_package_adds_chips(tmp_path, monkeypatch):
    write(tmp_path / "chips" / "small")
    assert "small" not in target_folders()
    installed(monkeypatch, ("vendor", tmp_path / "chips"))
    assert set(target_folders()) == {*OURS, "small"}
    c = chip("small")
    run = simulate(small_network(c), np.array([[[1, 2]], [[15, 0]], [[0, 0]]]), record=("v",), drain=0)
    # 31 + 62 = 93; 70 + 465 = 535, decayed 402 fires; 302 decayed 227 fires; the second: 40, decayed 30
    assert run.states["y"]["v"][:, 0, 0].tolist() == [70, 302, 127]
    assert run.states["y"]["v"][:, 0, 1].tolist() == [30, 23, 18]
    assert run.counts["y"][:, 0, 0].tolist() == [0, 1, 1]


def test_a_package_that_cannot_be_loaded_is_named(monkeypatch):
    installed(monkeypatch, ("broken", ImportError("no such thing")))
    with pytest.raises(
        Refusal, match=r"entry point 'broken' = 'broken.chips': cannot be loaded: ImportError\('no such"
    ):
        target_folders()


def test_two_chips_of_one_name_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "chips" / OURS[0])
    installed(monkeypatch, ("vendor", tmp_path / "chips"))
    with pytest.raises(Refusal, match=f"chip '{OURS[0]}': .* and .*; one chip of a name; uninstall one"):
        chip(OURS[0])


def test_a_chip_of_a_package_may_extend_one_of_the_program(tmp_path, monkeypatch):
    text = 'schema_version = 1\nname = "mine"\nextends = "xylo_audio3"\n'
    write(tmp_path / "chips" / "mine", text)
    installed(monkeypatch, ("vendor", tmp_path / "chips"))
    assert chip("mine").limits == chip("xylo_audio3").limits
