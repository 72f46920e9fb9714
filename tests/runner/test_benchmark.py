"""The benchmark runs and says what it measured."""

import re
import sys

from scripts import benchmark


def test_a_case_is_chosen_and_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--only", "registration .* 1$", "--seconds", "0.02"])
    benchmark.main()
    header, *rows = capsys.readouterr().out.splitlines()
    assert "median" in header
    assert len(rows) == 2
    for row in rows:
        median, least, late = map(float, re.findall(r"\d+\.\d\d", row))
        assert 0 < least <= median <= late
