"""What commands print: tables that lose no letter."""

import pytest
from rich import box

from antidrome.cli.text import WIDE, new_console, new_table

NAME = "encoder.layers.encoder_layer_11.mlp.linear_2.of_a_long_name"


@pytest.mark.parametrize("columns", [None, "40"])
def test_no_letter_of_a_name_is_cut_off(capsys, monkeypatch, columns) -> None:
    """In a pipe, first columns ended in "…" after some letters, and every layer was called the same."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    table = new_table("layer", "dimension", "verdict", whole=("dimension",), right=True, box=box.SIMPLE_HEAD)
    table.add_row(NAME, "1234567.8 ± 0.12", "reliable as far as can be told")
    console = new_console()
    assert console.width == (WIDE if columns is None else 40)
    console.print(table)
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "1234567.8 ± 0.12" in printed
    assert (NAME in printed) == (columns is None)
    first = "".join(line[: line.index("  ", 2)] for line in printed.splitlines()[3:] if line.strip())
    assert NAME in first.replace(" ", "")
