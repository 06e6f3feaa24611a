"""Models of lines, pairs, documents, words and subwords: train, generate and score."""

import json
import random
import subprocess

import pytest

SMALL = ("--hidden-size", 32, "--embedding-size", 16, "--batch-size", 16, "--bptt-length", 32)
ANIMALS = ["cat", "dog", "hen", "fox", "owl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def trained(run_charlm, folder):
    """Train once on lines, and once on pairs; return the models' names."""
    generator = random.Random(0)
    lines = ["".join(generator.choices(["an", "na", "ba"], k=3)) for _ in range(900)]
    (folder / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "pairs.tsv").write_text(
        "".join(f"{name}\tthe {name}\n" for name in generator.choices(ANIMALS, k=900))
    )
    for name, task in (("lines.txt", "--lines"), ("pairs.tsv", "--pairs")):
        budget = ("--max-steps", 150, "--dropout", 0, "-o", task.removeprefix("--"))
        assert run_charlm("train", name, task, *SMALL, *budget, cwd=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def tunes(run_charlm, folder):
    """Train on documents in one file, and on the same as files of a folder."""
    generator = random.Random(1)
    texts = [
        f"X:{generator.randint(1, 99)}\n" + "".join(generator.choices("abc", k=9)) + "\n"
        for _ in range(300)
    ]
    (folder / "tunes.abc").write_text("\n".join(texts))
    (folder / "tunes").mkdir()
    for number, text in enumerate(texts):
        (folder / "tunes" / f"{number}.txt").write_text(text)
    budget = (*SMALL, "--max-steps", 200, "--dropout", 0)
    for arguments in (
        ("tunes.abc", "--document-separator", r"\n\n", "-o", "one file"),
        ("tunes", "-o", "many files"),
    ):
        assert run_charlm("train", *arguments, *budget, cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("model", ["one file", "many files"])
def test_documents_begin_and_end_as_documents_do(charlm, tunes, model):
    how = ("--count", 40, "--rng-seed", 1)
    result = charlm("generate", "-m", model, *how, "--jsonl", cwd=tunes)
    texts = [json.loads(line) for line in result.stdout.splitlines()]
    whole = [t for t in texts if t["finish_reason"] == "end" and t["text"].count("X:") == 1]

    assert sum(text["text"].startswith("X:") for text in texts) >= 36
    assert len(whole) >= 36


def test_documents_are_written_apart_by_their_separator(charlm, tunes):
    result = charlm("generate", "-m", "one file", "--count", 5, "--rng-seed", 2, cwd=tunes)
    texts = result.stdout.decode().removesuffix("\n").split("\n\n")

    assert len(texts) == 5
    assert all(text.startswith("X:") for text in texts)


def test_the_ends_of_documents_are_scored(charlm, tunes):
    """The table of tokens has a row for each, and the rows add up to the text's score."""
    score = json.loads(charlm("eval", "tunes.abc", "-m", "one file", "--json", cwd=tunes).stdout)
    tokens = [
        json.loads(line)
        for line in charlm(
            "eval", "tunes.abc", "-m", "one file", "--per-token", "--json", cwd=tunes
        ).stdout.splitlines()
    ]

    assert sum(token["token"] == "<end>" for token in tokens) == 300
    assert score["tokens"] == len(tokens) == score["characters"] + 300
    bits = sum(token["surprisal"] for token in tokens)
    assert bits * 0.6931471805599453 == pytest.approx(score["nats"], rel=1e-6)


@pytest.mark.parametrize("model", ["one file", "many files", "paragraphs"])
def test_a_text_of_one_line_has_one_score(charlm, tunes, folder, model):
    if model == "paragraphs":
        (folder / "prose.txt").write_text("The cat sat.\nIt slept.\n\n" * 60)
        budget = ("--max-steps", 20, "-o", "paragraphs")
        assert charlm("train", "prose.txt", *SMALL, *budget, cwd=folder).returncode == 0
    (folder / "goat.txt").write_text("The goat ate the slate.\n")
    how = ("eval", "goat.txt", "-m", model)
    score = json.loads(charlm(*how, "--json", cwd=folder).stdout)
    line = float(charlm(*how, "--per-line", "--score", "nats", cwd=folder).stdout.split()[0])
    tables = [
        charlm(*how, view, "--json", cwd=folder).stdout.splitlines()
        for view in ("--per-word", "--per-token")
    ]
    words, tokens = ([json.loads(row)["surprisal"] for row in table] for table in tables)

    assert line == pytest.approx(score["nats"], abs=1e-3)
    for bits in (words, tokens):
        assert sum(bits) * 0.6931471805599453 == pytest.approx(score["nats"], abs=1e-3)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_unseeded_text_begins_as_paragraphs_do(charlm, tmp_path, line_end):
    generator = random.Random(1)
    names = ["Anna", "Bert", "Cleo"]
    paragraphs = [
        line_end.join([f"{generator.choice(names)} said:", "so it was " * 3 + "then."])
        for _ in range(200)
    ]
    (tmp_path / "text.txt").write_bytes((2 * line_end).join(paragraphs).encode())
    budget = ("--max-steps", 200, "--dropout", 0, "-o", "model")
    assert charlm("train", "text.txt", *SMALL, *budget).returncode == 0
    how = ("-n", 20, "--count", 30, "--rng-seed", 1)
    result = charlm("generate", "-m", "model", *how, "--jsonl")
    texts = [json.loads(line)["text"] for line in result.stdout.splitlines()]

    assert sum(text[:4] in names for text in texts) >= 24


def test_examples_are_written_one_per_line(charlm, trained):
    result = charlm("generate", "-m", "lines", "--count", 20, "--rng-seed", 1, cwd=trained)
    lines = result.stdout.decode().splitlines()

    assert result.stderr == b""
    assert len(lines) == 20
    assert all(line and set(line) <= set("abn") for line in lines)
    assert result.stdout.endswith(b"\n")


def test_a_seed_begins_a_line(charlm, trained):
    result = charlm("generate", "-m", "lines", "--seed", "ba", "--count", 3, cwd=trained)

    assert [line[:2] for line in result.stdout.decode().splitlines()] == ["ba"] * 3


def test_answers_come_one_a_line_in_order(charlm, trained):
    sources = ["dog", "fox", "cat", "owl", "hen", "dog"]
    result = charlm(
        "generate", "-m", "pairs", "--seed-file", "-", "--temperature", 0,
        stdin="\n".join(sources).encode(), cwd=trained,
    )  # fmt: skip

    assert result.stdout.decode() == "".join(f"the {name}\n" for name in sources)


def test_an_answer_is_the_likeliest_by_default(charlm, trained):
    how = ("generate", "-m", "pairs", "--seed", "dog")
    result = charlm(*how, "--count", 3, "--jsonl", cwd=trained)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    probabilities = [answer["probability"] for answer in answers]

    assert charlm(*how, cwd=trained).stdout == b"the dog\n"
    assert answers[0]["text"] == "the dog"
    assert len({answer["text"] for answer in answers}) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.5 < probabilities[0] < 1 and sum(probabilities) <= 1


def test_a_blank_source_has_a_blank_answer_and_none_is_an_error(charlm, trained):
    blank = charlm(
        "generate", "-m", "pairs", "--seed-file", "-", stdin=b"dog\n \ncat\n", cwd=trained
    )
    none = charlm("generate", "-m", "pairs", cwd=trained)

    assert blank.stdout == b"the dog\n\nthe cat\n"
    assert none.returncode == 2
    assert b"a model of pairs answers a source, and there is none" in none.stderr


def test_a_source_of_characters_that_no_source_had_is_noted(charlm, trained):
    """They are in the vocabulary, by the targets."""
    result = charlm("generate", "-m", "pairs", "--seed", "d g", cwd=trained)
    known = charlm("generate", "-m", "pairs", "--seed", "dog", cwd=trained)

    note = b"note: in no source of the training text, so that answers are guesses: U+0020\n"
    assert result.stderr == note
    assert known.stderr == b""


def test_each_line_of_a_seed_file_is_continued(charlm, trained, tmp_path):
    seeds = tmp_path / "seeds.txt"
    seeds.write_bytes(b"an\r\nna\r\n")
    result = charlm("generate", "-m", "lines", "--seed-file", seeds, "--count", 2, cwd=trained)

    assert [line[:2] for line in result.stdout.decode().splitlines()] == ["an", "an", "na", "na"]


def test_an_answer_comes_before_the_next_question(charlm_path, trained):
    """As a co-process needs it; the pipe may be endless."""
    command = [charlm_path, "generate", "-m", "pairs", "--seed-file", "-", "--temperature", "0"]
    with subprocess.Popen(
        command, cwd=trained, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        for name in ("dog", "owl"):
            process.stdin.write(f"{name}\n".encode())
            assert process.stdout.readline() == f"the {name}\n".encode()
        process.stdin.close()

    assert process.returncode == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, b"cannot be read: Is a directory"),
        (b"dog\n\xff\n", b"line 2, is not UTF-8: byte 0xff"),
    ],
)
def test_a_seed_file_that_cannot_be_read_is_one_line(charlm, trained, tmp_path, content, message):
    seeds = tmp_path / "seeds"
    if content is None:
        seeds.mkdir()
    else:
        seeds.write_bytes(content)
    result = charlm("generate", "-m", "pairs", "--seed-file", seeds, cwd=trained)

    assert result.returncode == 2
    assert message in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_seed_on_stdin_loses_its_line_end_of_any_system(charlm, trained):
    arguments = ("generate", "-m", "lines", "--temperature", 0, "--seed")
    expected = charlm(*arguments, "ba", cwd=trained).stdout

    for line_end in (b"", b"\n", b"\r\n"):
        assert charlm(*arguments, "-", stdin=b"ba" + line_end, cwd=trained).stdout == expected


def test_control_characters_are_named_and_not_shown(charlm, verse_model_path):
    result = charlm("generate", "-m", verse_model_path, "--seed", "a\rt\x07", "-n", 1)

    assert result.stderr.decode().endswith("encoded as bytes: U+0007 U+000D\n")


def test_empty_lines_cost_nothing(charlm, trained):
    scores = [
        json.loads(charlm("eval", "-m", "lines", "--json", stdin=text, cwd=trained).stdout)
        for text in (b"anna\nbanana\n", b"\nanna\n\n\r\nbanana\n\n")
    ]

    assert scores[0] == scores[1]


def test_a_running_text_is_continued_from_each_seed(charlm, verse_model_path, tmp_path):
    (tmp_path / "seeds").write_text("the cat\nthe dog\n")
    result = charlm("generate", "-m", verse_model_path, "--seed-file", "seeds", "-n", 5)
    first, second = result.stdout.decode().splitlines()

    assert first.startswith("the cat") and len(first) == 12
    assert second.startswith("the dog") and len(second) == 12


def test_lines_are_scored_one_by_one(charlm, trained):
    both = charlm("eval", "-m", "lines", "--json", stdin=b"anna\nbanana\n", cwd=trained)
    alone = [
        json.loads(charlm("eval", "-m", "lines", "--json", stdin=line, cwd=trained).stdout)
        for line in (b"anna", b"banana\r\n")
    ]
    together = json.loads(both.stdout)

    assert together["nats"] == pytest.approx(sum(score["nats"] for score in alone), rel=1e-4)
    assert (together["characters"], together["tokens"]) == (12, 12)  # the ends are predicted, too


def test_pairs_are_scored_by_their_targets(charlm, trained):
    right, wrong = (
        json.loads(charlm("eval", "-m", "pairs", "--json", stdin=line, cwd=trained).stdout)
        for line in (b"dog\tthe dog\n", b"dog\tthe cat\n")
    )

    assert right["characters"] == wrong["characters"] == len("the dog\n")
    assert right["bits_per_character"] < 0.5 < wrong["bits_per_character"]


def test_answers_are_compared_with_all_targets_of_a_source(charlm, trained):
    """The model answers "the cat" and "the dog"; of "hen" both targets are wrong."""
    pairs = b"cat\ta cat\ncat\tthe cat\ndog\tthe dog\nhen\tthe hens\nhen\tno hens here\n"
    how = ("eval", "-m", "pairs")
    figures = json.loads(charlm(*how, "--json", stdin=pairs, cwd=trained).stdout)
    by_words = json.loads(
        charlm(*how, "--json", "--separator", " ", stdin=pairs, cwd=trained).stdout
    )
    errors = charlm(*how, "--errors", stdin=pairs, cwd=trained)

    assert (figures["sources"], figures["exact_match"]) == (3, pytest.approx(2 / 3))
    assert figures["symbol_error_rate"] == pytest.approx(1 / 22)
    assert by_words["symbol_error_rate"] == pytest.approx(1 / 6)
    assert errors.stdout == b"hen\tthe hens\tthe hen\n"


def test_answers_are_of_models_of_pairs(charlm, trained):
    for option in (("--errors",), ("--separator", " ")):
        result = charlm("eval", "-m", "lines", *option, stdin=b"anna\n", cwd=trained)

        assert result.returncode == 2
        assert option[0].encode() + b" is for models of pairs" in result.stderr


def test_a_text_without_pairs_is_named_with_its_line(charlm, trained):
    (trained / "text.txt").write_text("dog\tthe dog\nno pair\n")
    result = charlm("eval", "-m", "pairs", "text.txt", cwd=trained)

    assert result.returncode == 2
    assert b"error: text.txt, line 2, has no tab" in result.stderr


def test_a_seed_that_would_end_an_example_is_refused(charlm, trained):
    for model, seed, held in (
        ("lines", "one\ntwo", b"a line end"),
        ("pairs", "source\ttarget", b"a tab"),
    ):
        result = charlm("generate", "-m", model, "--seed", seed, cwd=trained)

        assert result.returncode == 2
        assert b"contains " + held in result.stderr


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_every_tokenizer_trains_generates_and_scores(charlm, verse_path, tmp_path, kind):
    charlm("train", verse_path, *SMALL, "--tokenizer", kind, "--max-steps", 20, "-q")
    generated = charlm("generate", "--seed", "the 客 sat", "-n", 50)
    unseen = json.loads(charlm("eval", "--json", stdin="the 客 and ﬁve 👨‍👩‍👧".encode()).stdout)
    info = json.loads(charlm("info", "--json").stdout)

    assert len(generated.stdout.decode()) == 9 + 50
    assert generated.stderr.decode() == (
        "" if kind == "byte" else "note: out of the model's vocabulary, encoded as bytes: 客\n"
    )
    assert 0 < unseen["bits_per_character"] < 200
    assert info["tokenizer"]["kind"] == kind
    assert kind != "byte" or info["tokenizer"]["vocab_size"] == 256
    assert charlm("info").returncode == 0


def test_documents_in_a_file_are_scored_one_by_one(charlm, verse_path, tmp_path):
    text = verse_path.read_text(encoding="utf-8").replace("\n", "\n%\n")
    (tmp_path / "poems").write_text(text, encoding="utf-8")
    result = charlm("train", "poems", *SMALL, "--document-separator", r"\n%\n", "--max-steps", 60)
    info = json.loads(charlm("info", "--json").stdout)
    together, *alone = (
        json.loads(charlm("eval", "--json", stdin=part).stdout)
        for part in (b"the cat\n%\nthe dog", b"the cat", b"the dog")
    )

    assert b": 120 documents" in result.stderr
    assert info["document_separator"] == "\n%\n"
    assert together["nats"] == pytest.approx(sum(score["nats"] for score in alone), rel=1e-4)
    assert together["characters"] == 14
    assert b"%" not in charlm("generate", "-n", 300, "--temperature", "0.5").stdout


def log_line(generator, number):
    """Return a line of a log whose clock runs and whose packages change with time."""
    package = f"{'abcdefghij'[number // 60 % 10]}{generator.choice('xyz')}{number // 60}"
    action = generator.choice(["install", "upgrade", "remove"])
    return f"{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02} {action} lib{package}\n"


def test_with_a_mask_later_lines_of_a_log_are_not_odd(charlm, tmp_path):
    """Without one, the numbers and names of later lines are all new to the model."""
    generator = random.Random(5)
    lines = [log_line(generator, number) for number in range(3300)]
    (tmp_path / "early.log").write_text("".join(lines[:3000]))
    (tmp_path / "later.log").write_text("".join(lines[3000:]))
    how = ("--lines", "--validation-from", "end", "--max-steps", 150, "-q")
    for name, mask in (("plain", ()), ("masked", ("--mask", r"lib\S+|[0-9]+"))):
        charlm("train", "early.log", *SMALL, *how, *mask, "-o", name)

    def odd(model, name, **stdin):
        limits = ("--score", "percentile", "--min-score", 99)
        return charlm("eval", "-m", model, *limits, name, **stdin).stdout.decode()

    assert len(odd("plain", "later.log").splitlines()) > 30
    assert odd("masked", "later.log") == ""
    strange = "00:55:01 explode libgx50\n"
    assert odd("masked", "-", stdin=strange.encode()) == strange
    assert b"mask        lib" in charlm("info", "masked").stdout
    table = charlm("eval", "-m", "masked", "--per-token", stdin=strange.encode()).stdout
    assert table.splitlines()[1].split(b"\t")[2] == b"00"
    assert b"\xe2\x96\xa1" in charlm("generate", "-m", "masked").stdout
    mixed = charlm("eval", "-m", "masked", "-m", "plain", "later.log")
    assert b"mask different parts of the lines" in mixed.stderr


@pytest.fixture(scope="module")
def classes(run_charlm, folder):
    """Train once on labels, once on tags in CoNLL-U, and once on forms with features."""
    generator = random.Random(2)
    names = generator.choices(ANIMALS, k=600)
    (folder / "labels.tsv").write_text(
        "".join(f"a {name} here\t{'tame' if name in 'cat dog hen' else 'wild'}\n" for name in names)
    )
    tokens = [f"1\tthe\t_\tDET\n2\t{name}\t_\tNOUN\n\n" for name in names]
    (folder / "tags.conllu").write_text("# a comment\n" + "".join(tokens))
    forms = [
        f"{name}\t{name}{'s' * (number == 'PL')}\tN;{number}\n"
        for name, number in zip(names, generator.choices(["SG", "PL"], k=600), strict=True)
    ]
    (folder / "forms.tsv").write_text("".join(forms))
    small = ("--hidden-size", 32, "--embedding-size", 16, "--learning-rate", 0.02)
    budget = (*small, "--max-steps", 150, "--dropout", 0)
    for arguments in (
        ("labels.tsv", "--labels", "-o", "labels"),
        ("tags.conllu", "--tags", "--columns", "2,4", "-o", "tags"),
        ("forms.tsv", "--pairs", "-o", "forms"),
    ):
        result = run_charlm("train", *arguments, *budget, cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


def test_a_text_gets_its_label_and_its_probability(charlm, classes):
    lines = b"a cat here\na fox here\n"
    plain = charlm("generate", "-m", "labels", "--seed-file", "-", cwd=classes, stdin=lines)
    one = charlm("generate", "-m", "labels", "--seed", "a hen here", "--jsonl", cwd=classes)
    record = json.loads(one.stdout)

    assert [line.split("\t")[0] for line in plain.stdout.decode().splitlines()] == ["tame", "wild"]
    assert all(float(line.split("\t")[1]) > 0.9 for line in plain.stdout.decode().splitlines())
    assert record["label"] == "tame"
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_labels_are_evaluated(charlm, classes):
    figures = json.loads(charlm("eval", "labels.tsv", "-m", "labels", "--json", cwd=classes).stdout)
    table = charlm("eval", "labels.tsv", "-m", "labels", cwd=classes).stdout.decode()
    wrong = charlm(
        "eval", "-m", "labels", "--errors", "-", cwd=classes, stdin=b"a cat here\twild\n"
    ).stdout.decode()

    assert figures["labels"] == 600
    assert figures["accuracy"] == figures["auc"] == 1
    assert figures["f1"] == {"tame": 1, "wild": 1}
    assert "accuracy" in table
    assert wrong.startswith("a cat here\twild\ttame\t")


def test_tokens_get_their_tags(charlm, classes):
    conllu = b"# c\n1\tthe\t_\t_\n2\tdog\t_\t_\n\n1\tthe\t_\t_\n"
    columns = charlm("generate", "-m", "tags", "--seed-file", "-", cwd=classes, stdin=conllu)
    one_a_line = charlm(
        "generate", "-m", "tags", "--seed-file", "-", cwd=classes, stdin=b"the\ndog\n\nthe\n"
    )
    plain = charlm("generate", "-m", "tags", "--seed", "the dog", cwd=classes)
    record = json.loads(charlm(
        "generate", "-m", "tags", "--seed", "the dog", "--jsonl", cwd=classes
    ).stdout)  # fmt: skip

    assert columns.stdout == one_a_line.stdout == b"the\tDET\ndog\tNOUN\n\nthe\tDET\n"
    assert plain.stdout == b"the\tDET\ndog\tNOUN\n"
    assert record["tags"] == ["DET", "NOUN"]


def test_tags_are_evaluated(charlm, classes):
    result = charlm("eval", "tags.conllu", "-m", "tags", "--json", cwd=classes)
    figures = json.loads(result.stdout)
    new = b"1\tthe\t_\tDET\n2\tgnu\t_\tNOUN\n"
    unknown = json.loads(charlm("eval", "-m", "tags", "--json", "-", cwd=classes, stdin=new).stdout)

    assert (figures["tags"], figures["sentences"], figures["unknown_tokens"]) == (1200, 600, 0)
    assert figures["accuracy"] == figures["sentence_accuracy"] == 1
    assert (unknown["unknown_tokens"], unknown["unknown_accuracy"]) == (1, 1)


def test_models_of_classes_are_compared(charlm, classes):
    (classes / "other").write_bytes((classes / "labels").read_bytes())
    result = charlm("eval", "labels.tsv", "-m", "labels", "-m", "other", cwd=classes)
    rows = [line.split() for line in result.stdout.decode().splitlines()]

    assert [row[0] for row in rows] == ["model", "labels", "other"]
    assert rows[1][1:] == rows[2][1:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "-m", "labels", "--count", 3), b"--count is for generated text"),
        (("generate", "-m", "labels"), b"a model of labels reads a text, and there is none"),
        (("eval", "-m", "tags", "--per-line", "tags.conllu"), b"--per-line is for scores of text"),
        (("eval", "-m", "tags", "labels.tsv"), b"labels.tsv, line 1, has 1 tab, but column 4"),
        (("eval", "-m", "tags", "-m", "labels", "labels.tsv"), b"predict different things"),
        (("generate", "-m", "forms", "--lexicon", "none.tsv", "--seed", "cat\tN;SG"), b"none.tsv"),
        (("generate", "-m", "lines", "--show-attention"), b"this model has no attention"),
        (("generate", "-m", "lines", "--beam", 3), b"beam is for the likeliest answers of pairs"),
        (("generate", "-m", "lines", "--lexicon", "x"), b"--lexicon is for models of pairs"),
    ],
)
def test_what_a_model_cannot_do_is_an_error(charlm, trained, classes, arguments, message):
    result = charlm(*arguments, cwd=classes)

    assert result.returncode == 2
    assert message in result.stderr


def test_features_are_given_behind_a_tab(charlm, classes):
    seeds = "".join(f"{name}\tN;{number}\n" for name in ANIMALS for number in ("SG", "PL"))
    result = charlm(
        "generate", "-m", "forms", "--seed-file", "-", cwd=classes, stdin=seeds.encode()
    )
    figures = json.loads(charlm("eval", "forms.tsv", "-m", "forms", "--json", cwd=classes).stdout)

    assert result.stdout.decode().split() == [n for name in ANIMALS for n in (name, f"{name}s")]
    assert figures["sources"] == 10
    assert figures["exact_match"] == 1


def test_the_lexicon_answers_first(charlm, classes):
    (classes / "known.tsv").write_text("cat\tcatten\tN;PL\n")
    seeds = b"cat\tN;PL\ndog\tN;PL\n"
    known = charlm(
        "generate", "-m", "forms", "--seed-file", "-", "--lexicon", "known.tsv", "--jsonl",
        cwd=classes, stdin=seeds,
    )  # fmt: skip
    first, second = map(json.loads, known.stdout.splitlines())
    trained_on = charlm(
        "generate",
        "-m",
        "forms",
        "--seed-file",
        "-",
        "--lexicon",
        "train",
        cwd=classes,
        stdin=seeds,
    )

    assert (first["text"], first["finish_reason"], first["probability"]) == ("catten", "lexicon", 1)
    assert (second["text"], second["finish_reason"]) == ("dogs", "end")
    assert trained_on.stdout == b"cats\ndogs\n"


def test_the_likeliest_answers_have_probabilities(charlm, classes):
    result = charlm(
        "generate", "-m", "forms", "--seed", "cat\tN;PL", "--count", 3, "--beam", 5, "--jsonl",
        cwd=classes,
    )  # fmt: skip
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    shares = [answer["probability"] for answer in answers]
    one = charlm("generate", "-m", "forms", "--seed", "cat\tN;PL", "--beam", 4, cwd=classes)

    assert len({answer["text"] for answer in answers}) == 3
    assert shares == sorted(shares, reverse=True)
    assert answers[0]["text"] == "cats"
    assert one.stdout == b"cats\n"


def test_attention_is_drawn(charlm, classes):
    result = charlm(
        "generate", "-m", "forms", "--seed", "cat\tN;PL", "--show-attention",
        "--attention-svg", "a.svg", cwd=classes,
    )  # fmt: skip
    answer, empty, header, *rows = result.stdout.decode().splitlines()

    assert (answer, empty) == ("cats", "")
    assert header.split() == ["c", "a", "t", "N", ";PL"]
    assert [row[0] for row in rows] == [*"cats", "■"]
    assert (classes / "a.svg").read_text().startswith("<svg ")
    assert (classes / "a.svg").read_text().count("<title>") == 25


def test_options_of_generation_count_beside_attention(charlm, classes):
    answer = ("generate", "-m", "forms", "--seed", "cat\tN;PL", "--show-attention")
    lines = charlm(*answer, "--length", 2, cwd=classes).stdout.decode().splitlines()

    assert lines[0] == "ca"
    assert [row[0] for row in lines[3:]][:2] == ["c", "a"]


def test_a_context_vector_is_chosen_by_no_attention(charlm, trained, classes):
    short = ("--max-steps", 2, "--hidden-size", 8, "--embedding-size", 4)
    made = charlm("train", "pairs.tsv", "--pairs", "--no-attention", *short, "-o", "m", cwd=classes)
    drawn = charlm("generate", "-m", "m", "--seed", "cat", "--show-attention", cwd=classes)
    info = charlm("info", "m", cwd=classes).stdout.decode()
    wrong = charlm("train", "pairs.tsv", "--attention", *short, "-o", "n", cwd=classes)

    assert made.returncode == 0
    assert b"this model has no attention" in drawn.stderr
    assert "with a context vector" in info
    assert (wrong.returncode, b"--attention needs --pairs" in wrong.stderr) == (2, True)


def test_of_pairs_every_twentieth_is_held_out(charlm, classes):
    info = json.loads(charlm("info", "forms", "--json", cwd=classes).stdout)
    lines = charlm("info", "forms", cwd=classes).stdout.decode()

    assert "features" in lines
    assert "of predictions wrong" in lines
    assert info["provenance"]["validation"]["from"] == "spread"
    # Of 600 forms 30: each has three letters, maybe an s, and the end.
    assert 30 * 4 <= info["provenance"]["validation"]["tokens"] <= 30 * 5


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("train", "-", "--from", "labels"), "cat\tbird\n" * 40, b"none of the labels that"),
        (("train", "-", "--tags"), "a\tX\nb\tY\n" * 5000, b"end each sentence with an empty line"),
        (("train", "-", "--labels"), "a\tX\n" * 40, b"1 different labels"),
        (("generate", "-m", "forms", "--seed", "cat"), "", b"is not a source, a tab and features"),
        (("generate", "-m", "forms", "--seed-file", "-"), "cat\tcats\tN;PL\n", b"cut -f1,3"),
        (("generate", "-m", "tags", "--seed-file", "-"), "the\tDET\n", b"2 columns, but the model"),
        (("generate", "-m", "labels", "-m", "tags", "--seed", "x"), "", b"are not mixed"),
        (
            ("generate", "-m", "forms", "--seed", "cat\tN;PL", "--attention-svg", "forms.svg"),
            "",
            b"forms.svg is not a picture",
        ),
        (
            ("generate", "-m", "forms", "--seed", "cat\tN;PL", "--attention-svg", "forms.png"),
            "",
            b"forms.png has to end in .svg",
        ),
    ],
)
def test_mistakes_are_named(charlm, classes, arguments, stdin, message):
    (classes / "forms.svg").write_text("not a picture")
    budget = ("--max-steps", 2, "-o", "mistake") if arguments[0] == "train" else ()
    result = charlm(*arguments, *budget, cwd=classes, stdin=stdin.encode())

    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count(b"error: ") == 1


def test_labels_that_the_model_lacks_are_named(charlm, classes):
    pairs = b"a cat here\ttame\na cat here\tbird\n"
    result = charlm("eval", "-m", "labels", "-", cwd=classes, stdin=pairs)
    figures = dict(line.split() for line in result.stdout.decode().split("\n\n")[0].splitlines())
    odd = "".join(f"x{n}\t{'odd' if n % 20 == 19 else ('yes', 'no')[n % 2]}\n" for n in range(80))
    budget = ("--labels", "--max-steps", 2, "-o", "odd")
    trained = charlm("train", "-", *budget, cwd=classes, stdin=odd.encode())

    assert b"labels has no labels bird" in result.stderr
    assert (figures["accuracy"], figures["unknown_labels"]) == ("0.5000", "1")
    assert trained.returncode == 2
    assert b"the held-out part has none of the labels" in trained.stderr


def test_features_that_training_lacked_are_noted(charlm, classes):
    result = charlm("generate", "-m", "forms", "--seed", "cat\tN;DUAL", cwd=classes)

    assert b"note: features that no source of the training text had: DUAL" in result.stderr
