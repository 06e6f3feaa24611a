"""Ids are written once on each machine; the other processes map them."""

import json
import os
from types import SimpleNamespace

import pytest

from charlm.corpus.encoded_text import IdFile, write_once
from charlm.corpus.shards import encode_shards
from charlm.process_group import Process, ProcessGroup
from charlm.tokenizers import CharacterTokenizer


def test_ids_are_mapped_in_the_other_processes_of_a_machine(corpus_of):
    tokenizer = CharacterTokenizer("abc")
    written = IdFile(tokenizer)
    written.append_boundary()
    written.append(tokenizer.encode("abcab"), characters=5)
    written.append_boundary()

    class Second(ProcessGroup):
        def all_gather(self, data):
            assert data == b""
            return [written.to_json(), b""]

    second = Second(Process(rank=1, world_size=2, local_rank=1, local_world_size=2))
    found = write_once(second, tokenizer, None).encoded("lines")
    wanted = written.encoded("lines")
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found.boundaries.tolist() == [0, 6]
    assert (found.characters, found.predictions) == (5, 6)
    assert found.token_counts.tolist() == wanted.token_counts.tolist()


@pytest.mark.parametrize("instead", ["nothing", "another file"])
def test_where_others_cannot_see_a_file_each_process_writes_ids_for_itself(instead, tmp_path):
    instead_of_ids = tmp_path / "another"
    instead_of_ids.write_bytes(bytes(100))
    tokenizer = CharacterTokenizer("abc")
    facts = json.loads(IdFile(tokenizer).to_json())
    if instead == "nothing":
        facts[0][0] = "/nowhere/fd/7"
    else:
        with instead_of_ids.open("rb") as file:
            facts[0][0] = f"/proc/self/fd/{os.dup(file.fileno())}"

    class Second(ProcessGroup):
        def all_gather(self, data):
            return [json.dumps(facts).encode(), data]

    second = Second(Process(rank=1, world_size=2, local_rank=1, local_world_size=2))
    parts = [SimpleNamespace(texts=lambda: [("abc", True)])]
    assert encode_shards(parts, tokenizer, second).ids.tolist() == [
        tokenizer.boundary_id,
        *tokenizer.encode("abc").tolist(),
        tokenizer.boundary_id,
    ]
