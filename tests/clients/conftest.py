"""The packages under clients/, from outside. pyproject.toml has their folders in the path."""

import pytest
from pbts_guest_agent import GuestAgent


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """A guest agent that clients find by themselves."""
    started = GuestAgent(tmp_path / "dstack.sock")
    monkeypatch.setenv("DSTACK_SIMULATOR_ENDPOINT", started.path)
    yield started
    started.close()
