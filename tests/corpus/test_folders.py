"""What file names and directories stand for."""

import pytest

from charlm.corpus.folders import Folder, named_files
from charlm.errors import CorpusError


def test_a_directory_is_its_texts_in_order_without_hidden_ones(tmp_path):
    for name in ("b.txt", "A.TXT", "sub/c.Txt", ".hidden/d.txt", "._a.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folder = Folder.of(tmp_path)

    assert named_files(str(tmp_path)) == [tmp_path / n for n in ("A.TXT", "b.txt", "sub/c.Txt")]
    assert [path.name for path in folder.hidden] == ["._a.txt", ".hidden"]
    assert folder.others == [tmp_path / "notes.md"]
    assert folder.left_out() == (
        "1 file of another type, such as notes.md and 2 hidden files, such as ._a.txt"
    )


def test_a_directory_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CorpusError, match="missing cannot be read: No such file"):
        Folder.of(tmp_path / "missing")


def test_a_directory_without_texts_is_an_error(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(CorpusError, match=r"holds no \.txt file"):
        named_files(str(tmp_path))


def test_a_name_that_is_too_long_is_an_error_that_says_so():
    with pytest.raises(CorpusError, match="cannot be read: File name too long"):
        named_files("long" * 100)


def test_a_name_below_a_file_is_missing(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(CorpusError, match=r"notes\.md/a\.txt does not exist"):
        named_files(str(tmp_path / "notes.md" / "a.txt"))
