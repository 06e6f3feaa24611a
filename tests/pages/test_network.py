"""A model in JavaScript computes what the same model computes in Python."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from sample_texts import HARD

from charlm import tokenizers
from charlm.checkpoint import Checkpoint
from charlm.config import TERMINATORS, ModelConfig, PageConfig
from charlm.corpus.ngrams import count_corpus
from charlm.inference.inspection import network_states
from charlm.inference.model import Model
from charlm.pages.model import PageModel
from charlm.parameters import parameters
from charlm.tokenizers import SymbolTokenizer
from charlm.tokenizers.base import BYTES

STEPS = 200
CLOSE = 1e-4
PROSE = (
    "the cat sat on the mat, and the dog sat on the log.\n\nwhere did the cat go? "
    "the cat's café wasn't open; the dog said: “naïve”.\n\n"
) * 20
LINES = "".join(
    f"{name}\n" for name in ["Anna", "Hannah", "Johanna", "Ana María", "Zoë", "安娜"] * 9
)
PAIRS = "".join(f"{word}\t{word[::-1]}\n" for word in ["ab", "abc", "cab", "cé", "bac", "ccc"] * 9)
TEXTS = {"text": PROSE, "lines": LINES, "pairs": PAIRS}
KINDS = ["byte", "char", "word", "bpe", "unigram"]
EXACT = PageConfig(weights="float32")
CALL = """async (value) => {
    const parts = await Promise.all([data.weights, data.counts].map(unpackArrays));
    const arrays = Object.assign({}, ...parts), model = new Model(data, arrays);
    const usual = { characters: 1000, temperature: 0, topP: 1, rngSeed: 0 };
    const written = ({ seed = "", count = 1, ...settings }) => {
        const texts = model.write({ ...usual, seeds: Array(count).fill(seed), ...settings });
        return [...texts].map(({ text }) => text).join("");
    };
    return (%s)(model, value);
}"""
CELLS = [
    {"cell": "lstm"},
    {"cell": "lstm", "num_layers": 2, "residual": True},
    {"cell": "gru", "num_layers": 2},
    {"cell": "rnn", "num_layers": 2},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "lstm", "tie_weights": True},
    {"cell": "gru", "tie_weights": True, "embedding_size": 24},
]


def random_arrays(config, tokenizer):
    """Return weights with which a state neither vanishes nor becomes chaotic."""
    generator = np.random.default_rng(0)
    return {
        parameter.name: generator.standard_normal(parameter.shape, np.float32)
        / np.sqrt(np.float32(parameter.shape[-1]))
        for parameter in parameters(config, tokenizer.vocab_size)
    }


@pytest.fixture
def compute(open_file, tmp_path):
    """Write a page of a model with exact weights, and call a function of the model there."""

    def call(checkpoint, function, value=None, config=EXACT):
        path = tmp_path / "page.html"
        PageModel.of(checkpoint, config).write(path, title="a model", cost="")
        return open_file(path).evaluate(CALL % function, value)

    return call


@pytest.fixture
def checkpoint_of(corpus_of):
    """Build a random network with a trained tokenizer, and with real counts if requested."""

    def build(task="text", kind="char", *, order=None, text=None, **settings):
        text = TEXTS[task] if text is None else text
        corpus = corpus_of(
            text, tokenizer=kind, task=task, vocab_size=None if kind in KINDS[:2] else 90
        )
        config = ModelConfig(
            **{"embedding_size": 12, "hidden_size": 24, **settings},
            task=task,
            begins_after=corpus.config.begins_after or "",
            predicts_end=bool(corpus.config.predicts_end),
        )
        arrays = random_arrays(config, corpus.tokenizer)
        checkpoint = Checkpoint(config=config, tokenizer=corpus.tokenizer, arrays=arrays)
        if order is None:
            return checkpoint
        weights = np.linspace([1, 0.1], [0.6, 0.4], order + 1).astype(np.float32)
        tables = {
            name: replace(table, weights=weights[: table.order + 1])
            for name, table in count_corpus(corpus, config, order=order, seconds=None).items()
        }
        return replace(checkpoint, ngrams=tables)

    return build


def logits_after(model, ids):
    """Return the log-probabilities after each of some ids, shape (ids, outputs)."""
    network = model.runtime()
    state, rows = network.zero_state(1), []
    for token in ids:
        logits, state = network.predict(np.array([token]), state)
        rows.append(logits[0] - np.logaddexp.reduce(logits[0]))
    return np.array(rows)


LOGITS = """(model, ids) => {
    const { boundary, network } = model;
    let position = { layers: network.layers.map(({ zero }) => zero), memory: null, recent: [] };
    return ids.map((id) => [...logSoftmax((position = model.read(id, position)).logits)]);
}"""


@pytest.mark.parametrize("settings", CELLS, ids=str)
@pytest.mark.parametrize("order", [None, 3])
def test_logits_of_each_cell_are_those_of_numpy(compute, checkpoint_of, settings, order):
    checkpoint = checkpoint_of(order=order, **settings)
    boundary = checkpoint.tokenizer.boundary_id
    ids = [boundary, *checkpoint.tokenizer.encode(PROSE[40:])[:STEPS].tolist(), boundary, 260, 261]

    logs = np.array(compute(checkpoint, LOGITS, ids))

    assert np.abs(logs - logits_after(Model(checkpoint), ids)).max() < CLOSE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["text", "lines"])
def test_greedy_texts_and_scores_are_those_of_python(compute, checkpoint_of, task, kind):
    checkpoint = checkpoint_of(task, kind, order=3, num_layers=2)
    model = Model(checkpoint)
    seeds = ["", "the ca", "the cat's na", "Ann", "caf", " ", "é"]
    text = PROSE[:300] if task == "text" else LINES[:200] + "\n  \nnew line"

    written, units = compute(
        checkpoint,
        """(model, [seeds, text]) => [
            seeds.map((seed) => written({ seed })),
            [...model.score(text)],
        ]""",
        [seeds, text],
    )

    assert written == [model.generate(seed, temperature=0, length=1000) for seed in seeds]
    assert "".join(unit["text"] for unit in units) == text
    score = model.score(text)
    assert sum(unit.get("characters", 0) for unit in units) == score.characters
    nats = sum(unit.get("bits", 0) for unit in units) * math.log(2)
    assert nats == pytest.approx(score.nats, abs=CLOSE * score.tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_any_text_are_those_of_python(compute, checkpoint_of, kind):
    hard = [text[:2000].encode("utf-8", "replace").decode() for text in HARD.values()]
    checkpoint = checkpoint_of(kind=kind, text=PROSE + "".join(hard))
    texts = [
        *hard,
        PROSE[:200],
        " \n\n\n\t\t  x",
        "\x1c\x85\ufeff\u200bé",
        "don't",
        "the ca",
        "caf",
    ]

    parts = [*texts[-7:], *"a b c the 'Ab é 安 ▁ \n \t .".split(" "), " ", "  "]
    texts += ["".join(random.Random(number).choices(parts, k=12)) for number in range(200)]

    ids, unfinished, decoded = compute(
        checkpoint,
        """({ tokenizer }, texts) => [
            texts.map((text) => tokenizer.encode(text)),
            texts.map((text) => {
                const { ids, typed, allowed } = tokenizer.encodeUnfinished(text);
                return [ids, typed, [...(allowed ?? [])].sort((one, other) => one - other)];
            }),
            texts.map((text) => tokenizer.decode(tokenizer.encode(text))),
        ]""",
        texts,
    )

    encode = checkpoint.tokenizer.encode
    assert ids == [encode(text).tolist() for text in texts]
    assert decoded == texts
    expected = map(checkpoint.tokenizer.encode_unfinished, texts)
    assert unfinished == [
        [one.ids.tolist(), one.typed, sorted(one.next_tokens)] for one in expected
    ]


def test_documents_end_and_are_scored_as_in_python(compute, checkpoint_of):
    separator = "\n***\n"
    text = separator.join(f"The {name} sat.\nIt sat long." for name in ["cat", "dog", "mat"] * 9)
    base = checkpoint_of(text=text)
    config = replace(base.config, document_separator=separator, predicts_end=True, begins_after="")
    checkpoint = replace(base, config=config, arrays=random_arrays(config, base.tokenizer))
    checkpoint.arrays["output.bias"][base.tokenizer.boundary_id] = 1.5  # texts end soon
    model = Model(checkpoint)
    texts = [text[:60] + separator, f"one{separator} {separator}\x1c{separator}two", "", "\ufeff"]

    written, units = compute(
        checkpoint,
        """(model, texts) => [
            written({ seed: "The " }),
            texts.map((text) => [...model.score(text)]),
        ]""",
        texts,
    )

    assert written == model.generate("The ", temperature=0, length=1000)
    for one, scored in zip(texts, units, strict=True):
        score = model.score(one)
        assert "".join(unit["text"] for unit in scored) == one
        assert sum(unit.get("characters", 0) for unit in scored) == score.characters
        nats = sum(unit.get("bits", 0) for unit in scored) * math.log(2)
        assert nats == pytest.approx(score.nats, abs=CLOSE * (1 + score.tokens))


def test_a_character_of_several_bytes_has_the_figures_of_its_page_in_python(compute, checkpoint_of):
    checkpoint = checkpoint_of(kind="byte")
    text = "the cafés 安"
    units = compute(checkpoint, "(model, text) => [...model.score(text)]", text)
    scores = Model(checkpoint).score_tokens(text, top_tokens=3).by_character()

    assert [unit["text"] for unit in units] == list(text)
    bits = np.array([unit["bits"] for unit in units])
    assert bits * math.log(2) == pytest.approx(scores.nats, abs=CLOSE)
    entropies = np.array([unit["entropy"] for unit in units])
    assert entropies * math.log(2) == pytest.approx(scores.entropy, abs=CLOSE)
    assert [unit["rank"] for unit in units] == scores.rank.tolist()
    top_tokens = [[top["token"] for top in unit["top"]][:3] for unit in units]
    assert top_tokens == scores.top_tokens.tolist()


@pytest.mark.parametrize("encoder", ["none", "context", "attention"])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_answers_and_scores_of_pairs_are_those_of_python(
    compute, checkpoint_of, encoder, tie_weights
):
    checkpoint = checkpoint_of("pairs", encoder=encoder, tie_weights=tie_weights, num_layers=2)
    model = Model(checkpoint)
    sources = ["ab", "cab", "é", " ", ""]
    text = "ab\tba\n\ncab\tcc\nb\t\n"

    answers, units = compute(
        checkpoint,
        """(model, [sources, text]) => [
            sources.map((seed) => written({ seed, characters: 99 })),
            [...model.score(text)],
        ]""",
        [sources, text],
    )

    assert answers == [model.generate(source, length=99) for source in sources]
    assert "".join(unit["text"] for unit in units) == text
    score = model.score(text)
    assert sum(unit.get("characters", 0) for unit in units) == score.characters
    nats = sum(unit.get("bits", 0) for unit in units) * math.log(2)
    assert nats == pytest.approx(score.nats, abs=CLOSE * score.tokens)


def test_attention_is_that_of_python(compute, checkpoint_of):
    checkpoint = checkpoint_of("pairs", encoder="attention", tie_weights=True)
    checkpoint.arrays["output.bias"][:BYTES] = -100  # single bytes are no text, which is read again
    [shown] = compute(checkpoint, '(model) => [...model.look("cab")]')
    matrix = Model(checkpoint).attention("cab")
    [panel] = [panel for panel in shown["panels"] if panel["name"] == "attention"]

    # The page stops an answer after 200 tokens, a command after 500 characters.
    steps = min(len(panel["vectors"]), len(matrix.weights))
    rows = np.array(panel["vectors"])
    assert panel["rows"] == list(matrix.source)
    assert np.abs(rows[:steps] - matrix.weights[:steps]).max() < CLOSE


def test_features_and_symbols_are_read_as_in_python(compute, checkpoint_of):
    base = checkpoint_of("pairs").tokenizer
    tokenizer = SymbolTokenizer(
        base, features=["\x1fV", ";PST", ";SG"], symbols=["a", " a", "b", " b", "ts"], separator=" "
    )
    config = ModelConfig(task="pairs", columns=(1, 2, 3), hidden_size=8, embedding_size=4)
    arrays = random_arrays(config, tokenizer)
    checkpoint = Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)
    texts = ["ab\x1fV;PST;X\ta b", "c\x1fV\t b  a ts", "\ta", "x\x1f;SG\t c b"]
    text = "ab\ta b\tV;PST\ncab\tb\tV;SG;X\n"
    model = Model(checkpoint)

    ids, answer, units = compute(
        checkpoint,
        """(model, [texts, text]) => [
            texts.map((text) => model.tokenizer.encode(text)),
            written({ seed: "ab\\tV;PST", characters: 99 }),
            [...model.score(text)],
        ]""",
        [texts, text],
    )

    assert ids == [tokenizer.encode(text).tolist() for text in texts]
    assert answer == model.generate("ab\tV;PST", length=99)
    nats = sum(unit.get("bits", 0) for unit in units) * math.log(2)
    assert nats == pytest.approx(model.score(text).nats, abs=1e-3)
    assert "".join(unit["text"] for unit in units) == text


@pytest.mark.parametrize("task", ["labels", "tags"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_labels_and_tags_are_those_of_python(compute, task, cell):
    base = tokenizers.train("char", ["the cat sat on the mat"], reserved=TERMINATORS[task])
    tokenizer = SymbolTokenizer(base, features=(), symbols=("A", "B", "<b>C</b>"))
    config = ModelConfig(
        task=task, cell=cell, hidden_size=16, embedding_size=6, num_layers=2, num_classes=3
    )
    arrays = random_arrays(config, tokenizer)
    checkpoint = Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)
    text = "the cat sat é"

    rows = compute(checkpoint, "(model, text) => [...model.classify(text)]", text)

    model = Model(checkpoint)
    expected = list(model.labels([text])) if task == "labels" else next(model.tags([text.split()]))
    assert [row["name"] for row in rows] == ([text] if task == "labels" else text.split())
    for row, prediction in zip(rows, expected, strict=True):
        shares = {share["name"]: share["share"] for share in row["shares"]}
        assert list(shares) == list(prediction.probabilities)
        assert shares == pytest.approx(prediction.probabilities, abs=CLOSE)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_states_and_gates_are_those_of_python(compute, checkpoint_of, cell):
    checkpoint = checkpoint_of(cell=cell, num_layers=2, order=2)
    text = "the cat"
    [shown] = compute(checkpoint, "(model, text) => [...model.look(text)]", text)
    states = list(network_states(checkpoint, text))[1:]
    names = {
        "output h": lambda state: state.hidden,
        "cell state c": lambda state: state.cell,
        **{
            name: lambda state, gate=gate: state.gates[gate]
            for name, gate in {
                "input gate": "input", "forget gate": "forget", "output gate": "output",
                "candidate": "cell" if cell == "lstm" else "new",
                "reset gate": "reset", "update gate": "update",
            }.items()
        },
    }  # fmt: skip

    assert shown["tokens"] == list(text)
    assert len(shown["panels"]) == 2 * {"lstm": 6, "gru": 4, "rnn": 1}[cell]
    for panel in shown["panels"]:
        layer, name = panel["name"].split(", ")
        for vector, state in zip(panel["vectors"], states, strict=True):
            expected = names[name](state)[int(layer.removeprefix("layer ")) - 1]
            assert np.abs(np.array(vector) - expected).max() < CLOSE


@pytest.mark.parametrize("weights", ["int8", "float16", "float32"])
def test_weights_are_the_restored_ones(compute, checkpoint_of, weights):
    checkpoint = checkpoint_of(order=3)
    table = checkpoint.ngrams["forward"]
    config = PageConfig(weights=weights)
    arrays = compute(
        checkpoint,
        """() => Object.fromEntries(
            Object.entries(arrays).map(([name, values]) => [name, [...values]]),
        )""",
        config=config,
    )

    restored = PageModel.of(checkpoint, config).checkpoint.arrays
    for name, array in restored.items():
        assert np.array(arrays[name], np.float32).tobytes() == array.tobytes()
    for order, known in enumerate(table.contexts, start=1):
        for part in ("keys", "ends", "totals", "tokens", "counts"):
            assert arrays[f"ngram.{order}.{part}"] == getattr(known, part).tolist()


def test_a_text_that_changes_has_the_score_of_the_whole(compute, checkpoint_of):
    """What was read before a change is not read again."""
    checkpoint = checkpoint_of(order=2)
    texts = [PROSE[:400], PROSE[:420], PROSE[:130] + "X" + PROSE[130:200], "", PROSE[:60]]

    alone, together = (
        compute(
            checkpoint,
            f"""(model, texts) => texts.map((text) =>
                [...{model}.score(text)].reduce((sum, unit) => sum + (unit.bits ?? 0), 0))""",
            texts,
        )
        for model in ("new Model(data, model.network.arrays)", "model")
    )

    assert together == pytest.approx(alone, abs=1e-9)
    assert alone[0] / 400 == pytest.approx(Model(checkpoint).score(texts[0]).bits_per_character)


def test_drawn_tokens_follow_the_probabilities(compute, unigram_checkpoint):
    checkpoint = unigram_checkpoint({"a": 0.5, "b": 0.3, "c": 0.2})
    counts = compute(
        checkpoint,
        """(model) => [[1, 1], [0.5, 1], [1, 0.7], [1, 0.1]].map(([temperature, topP]) => {
            const text = written({ characters: 4000, rngSeed: 7, temperature, topP });
            return ["a", "b", "c"].map((letter) => text.split(letter).length - 1);
        })""",
    )

    for row, shares in zip(
        counts,
        [(0.5, 0.3, 0.2), (25 / 38, 9 / 38, 4 / 38), (0.625, 0.375, 0), (1, 0, 0)],
        strict=True,
    ):
        assert sum(row) == 4000
        assert np.array(row) / 4000 == pytest.approx(np.array(shares), abs=0.03)


def test_equal_random_seeds_write_equal_texts(compute, checkpoint_of):
    first, second, other = compute(
        checkpoint_of(),
        """(model) => [1, 1, 2].map((rngSeed) =>
            written({ count: 3, characters: 50, rngSeed, temperature: 1 }))""",
    )

    assert first == second != other
