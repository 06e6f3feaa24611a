"""Compressed sizes are those of gzip, bzip2, xz and PPMd."""

import bz2
import gzip
import json
import lzma

import pyppmd
import pytest

from charlm.cli.eval.compressors import compressed_sizes

DATA = "the cat sat on the mat, café.\n".encode() * 40


def test_sizes_are_those_of_the_strongest_settings():
    sizes = compressed_sizes(lambda: [DATA[:7], DATA[7:]], None)

    assert sizes == {
        "gzip": pytest.approx(len(gzip.compress(DATA, 9)), abs=12),  # the header may have a name
        "bzip2": len(bz2.compress(DATA, 9)),
        "xz": len(lzma.compress(DATA, preset=9 | lzma.PRESET_EXTREME)),
        "ppmd": pytest.approx(len(pyppmd.compress(DATA, max_order=6)), abs=12),  # a header
    }


def test_ppmd_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert list(compressed_sizes(lambda: [DATA], None)) == ["gzip", "bzip2", "xz"]


def test_a_text_after_itself_adds_little():
    sizes = compressed_sizes(lambda: [DATA], lambda: [DATA])

    for name in ("gzip", "xz", "ppmd"):  # which find repeated text far back
        assert sizes[f"{name}_after_training"] < 0.5 * sizes[name]


def test_the_command_shows_bits_per_character(charlm, verse_model_path, tmp_path):
    (tmp_path / "text").write_bytes(DATA)
    how = ("eval", "-m", verse_model_path, "text", "--baselines", "--training-text", "text")
    figures = json.loads(charlm(*how, "--json").stdout)

    sizes = compressed_sizes(lambda: [DATA], lambda: [DATA])
    for name, size in sizes.items():
        assert figures[f"{name}_bits_per_character"] == pytest.approx(8 * size / len(DATA.decode()))
