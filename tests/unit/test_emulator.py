"""The emulator's functions unpack their layers in memory where there is room, and nothing of it stays."""

import sys
from pathlib import Path

import pytest

from tools.local import emulator
from tools.local.emulator import Emulator

PROGRAM = """
import http.server, os
from pathlib import Path

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

Path(os.environ["TMPDIR"], "layer").mkdir()
http.server.HTTPServer(("127.0.0.1", int(os.environ["GATEWAY_PORT"])), Ready).serve_forever()
"""


class Answering(Emulator):
    """A program in the place of MiniStack that is ready at once and unpacks something."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", PROGRAM]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(emulator, "MEMORY", folder)
    return folder


@pytest.mark.parametrize("room", [0, 2**62], ids=["room", "no room"])
def test_what_functions_unpack_is_gone_when_another_process_stops_it(
    room: int, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "ROOM", room)
    started = Answering(tmp_path / "stack")
    started.start()
    try:
        assert len(list(memory.glob("sluice-*/layer"))) == (1 if room == 0 else 0)
        assert (tmp_path / "stack" / "scratch" / "layer").is_dir()
        monkeypatch.setattr(emulator, "ROOM", 2**62)  # by now others have filled it
    finally:
        started.stop()
    assert list(memory.iterdir()) == []
    assert not Emulator(tmp_path / "stack", pid=started.pid).runs()
