"""Files that the commands are given, and the folder that they write into."""

import pytest
from command_line import make


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Commands write below the present folder at most."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
