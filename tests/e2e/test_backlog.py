"""What `make soak ARGS='--backlog 100000'` does, with fewer messages, on a stack of its own."""

import pytest

from tools.testing import backlog, soak

MESSAGES, SEED = 2000, 7


def test_two_streams_drain_a_backlog_in_spite_of_an_outage(capsys: pytest.CaptureFixture[str]) -> None:
    assert backlog.main(MESSAGES, SEED) == []
    lines = [line.strip("│ ") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    ledger = {name.strip(): counts for name, *counts in (line.split("│") for line in lines)}
    assert [int(count) for count in ledger["written"]] == [950, 900]  # the valid ones of a thousand each


def test_a_backlog_without_a_middle_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "--backlog", "10"])
    with pytest.raises(SystemExit, match="2"):
        soak.main()
    assert "--backlog takes 1,000 messages or more" in capsys.readouterr().err
