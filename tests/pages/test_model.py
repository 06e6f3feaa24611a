"""The page of a model in a browser: it writes, reads and looks inside, by mouse and by keyboard."""

import math
import random
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, PageConfig
from charlm.inference.inspection import network_states
from charlm.inference.model import Model
from charlm.pages.model import PageModel
from charlm.parameters import parameters
from charlm.tokenizers import CharacterTokenizer, SymbolTokenizer, WordTokenizer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

EXACT = PageConfig(weights="float32")
FRAGMENTS = [
    *(
        "</script>",
        "<script>ran()</script>",
        "<!--",
        "-->",
        "]]>",
        "<img src=x onerror=ran()>",
        "'",
    ),
    *(
        '"',
        "javascript:ran()",
        "{{data}}",
        "${ran()}",
        "`",
        "\\",
        "</textarea>",
        "<svg onload=ran()>",
    ),
    *(
        "&lt;",
        "&#0;",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\0",
        "\n",
        "__proto__",
        "constructor",
        "toString",
    ),
    *("'+ran()+'", "</title>", "<base href=//x>", "é", "😀", "</style>", "\ud800", "<a href=//x>"),
]


@pytest.fixture
def opened(open_file, tmp_path):
    """Write the page of a model and open it."""

    def open_model(checkpoint, *, title="a model", cost="exact", **options):
        path = tmp_path / "page.html"
        PageModel.of(checkpoint, EXACT).write(path, title=title, cost=cost)
        page = open_file(path, **options)
        if options.get("java_script_enabled", True):
            page.locator("#tabs:not([hidden])").wait_for()
        return page

    return open_model


def hostile_texts(count):
    """Return different texts of what might end a script, an attribute or an element."""
    generator = random.Random(0)
    texts = {"".join(generator.choices(FRAGMENTS, k=1 + n % 4)) for n in range(20 * count)}
    return sorted(texts)[:: max(1, len(texts) // count)][:count]


def with_random_weights(config, tokenizer):
    generator = np.random.default_rng(0)
    arrays = {
        parameter.name: generator.standard_normal(parameter.shape, np.float32)
        / np.sqrt(np.float32(parameter.shape[-1]))
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    return Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)


def write(page, **settings):
    """Fill in the form, press the button, and return the text when it is complete."""
    for name, value in settings.items():
        page.locator(f"#settings [name={name}]").fill(str(value))
    page.locator("#settings .main").click()
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    return page.locator("#output > div").all_text_contents()


def details(page):
    names = page.locator("#figures dt").all_text_contents()
    return dict(zip(names, page.locator("#figures dd").all_text_contents(), strict=True))


def test_a_page_writes_as_soon_as_it_is_open(opened, verse_checkpoint):
    page = opened(verse_checkpoint)

    expect(page.locator("#written")).to_have_text(re.compile("500 characters in .* s"))
    assert len(page.locator("#output").text_content()) == 500
    assert page.title() == page.locator("h1").text_content() == "a model"


def test_a_text_continues_the_seed_and_depends_on_the_random_seed(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    first = write(page, seed="the cat", characters=80, rngSeed=7)
    again = write(page)
    other = write(page, rngSeed=8)
    greedy = write(page, temperature=0, characters=60)

    assert first == again != other
    assert first[0].startswith("the cat") and len(first[0]) == 80 + len("the cat")
    assert page.locator("#output .seed").text_content() == "the cat"
    model = Model(verse_checkpoint)
    assert greedy == ["the cat" + model.generate("the cat", temperature=0, length=60)]


def test_a_random_seed_can_be_kept(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    first = write(page, temperature=1.2, characters=60)
    page.locator("#again").click()
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))

    assert page.locator("#output > div").all_text_contents() == first
    assert page.locator("[name=rngSeed]").input_value() != ""
    page.locator("[name=temperature]").fill("0")
    write(page)
    assert page.locator("#again").is_hidden()  # no number is drawn


def test_stop_keeps_what_is_written(opened, random_checkpoint):
    page = opened(random_checkpoint(hidden_size=64))
    page.locator("[name=characters]").fill("100000")
    page.locator("#settings .main").click()
    expect(page.locator("#output")).to_have_text(re.compile("[^ ]{200}"))
    page.locator("#stop").click()
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    written = page.locator("#output").text_content()

    assert 200 <= len(written) < 100_000
    assert page.locator("#stop").is_disabled()
    page.wait_for_timeout(200)
    assert page.locator("#output").text_content() == written


def test_copy_copies_the_text(opened, verse_checkpoint):
    page = opened(verse_checkpoint, permissions=["clipboard-read", "clipboard-write"])
    [text] = write(page, seed="the dog")
    page.locator("#copy").click()

    expect(page.locator("#written")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == text


def test_a_model_of_lines_writes_a_list(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.5, "b": 0.3, None: 0.2}, task="lines"))
    lines = write(page, count=400, seed="ab", temperature=1, rngSeed=3)

    assert len(lines) == 400
    assert all(re.fullmatch("ab[ab]*", line) for line in lines)
    assert np.mean(list(map(len, lines))) == pytest.approx(2 + 0.8 / 0.2, abs=0.6)


def test_a_text_is_coloured_and_scored_as_it_is_typed(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    page.locator("#read-tab").click()
    typed = page.locator("#typed")
    typed.fill("")
    typed.press_sequentially("the cat sat on a zebra")
    model = Model(verse_checkpoint)
    for text in ("the cat sat on a zebra", "the dog sat on a zebra, é", ""):
        typed.fill(text)
        score = model.score(text)
        for figure in (
            f"{score.bits_per_character:.3f} bits per character",
            f"{score.bits:.1f} bits for",
        ):
            expect(page.locator("#total")).to_have_text(
                re.compile(re.escape(figure) if text else "^$")
            )
        assert page.locator("#text").text_content() == text
    typed.fill("the zq")
    expect(page.locator("#text span")).to_have_count(6)
    scores = model.score_tokens("the zq")
    for place, nats in enumerate(scores.nats.tolist()):
        level = sum(nats / math.log(2) >= bits for bits in (1, 3, 6, 10))
        assert f"heat-{level}" in page.locator("#text span").nth(place).get_attribute("class")


def test_details_follow_the_pointer_and_the_cursor(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.5, "b": 0.25, "c": 0.25}))
    page.locator("#read-tab").click()
    page.locator("#typed").fill("aac")
    expect(page.locator("#text span")).to_have_count(3)
    box = page.locator("#text span").nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    assert page.locator("#token").text_content() == "“c”"
    assert details(page)["Surprisal"] == "2.00 bits"
    assert details(page)["Entropy"] == "1.50 bits"
    assert page.locator("#top-tokens li").first.text_content() == "“a”50.0 %"
    page.locator("#typed").focus()
    page.keyboard.press("Home")
    assert page.locator("#token").text_content() == "“a”"
    assert details(page)["Rank"].startswith("1 of ")
    assert page.locator("#spoken").text_content() == "“a”, 1.00 bits"


def test_the_most_surprising_place_is_named(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.75, "b": 0.25}))
    page.locator("#read-tab").click()
    page.locator("#typed").fill("aaba")

    expect(page.locator("#total")).to_have_text(
        "0.811 bits per character: as hard as one of 1.8 equally likely characters each time. "
        "3.2 bits for 4 characters."
    )
    expect(page.locator("#most")).to_have_text("Most surprising: “b” after “aa”, 2.00 bits")
    page.locator("#most").click()
    assert page.locator("#typed").evaluate("(box) => box.selectionStart") == 2
    assert page.locator("#token").text_content() == "“b”"


def test_what_is_not_in_the_vocabulary_is_said(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.5, "b": 0.4, 0xC3: 0.05, 0xA9: 0.05}))
    page.locator("#read-tab").click()
    page.locator("#typed").fill("aé")
    expect(page.locator("#text span")).to_have_count(2)
    page.locator("#typed").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")

    assert page.locator("#token").text_content() == "“é”"
    assert details(page)["Vocabulary"] == "not in it"
    assert page.locator("#top-tokens .actual").count() == 1
    assert page.locator("#text .current").text_content() == "é"


def test_what_was_written_is_read_unless_somebody_has_typed(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    [text] = write(page, characters=50)
    page.locator("#read-tab").click()
    assert page.locator("#typed").input_value() == text.rstrip()
    page.locator("#typed").fill("the dog")
    page.locator("#look-tab").click()
    assert page.locator("#studied").input_value() == "the dog"
    page.locator("#write-tab").click()
    write(page)
    page.locator("#read-tab").click()
    assert page.locator("#typed").input_value() == "the dog"


def begin_to_write(page):
    """Begin a text that is long enough to do something else meanwhile."""
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    page.locator("[name=characters]").fill("100000")
    page.locator("#settings .main").click()


def stop(page):
    page.evaluate("isStopped = true")
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    return page.locator("#output").text_content()


def test_a_tab_that_is_open_gets_what_is_written(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.5, "b": 0.5}))
    begin_to_write(page)
    page.locator("#read-tab").click()
    written = stop(page)

    assert page.locator("#typed").input_value() == written[:300]
    expect(page.locator("#text")).to_have_text(written[:300])
    page.locator("#look-tab").click()
    expect(page.locator("#axis span")).to_have_count(200)


def test_a_box_in_which_somebody_is_about_to_type_stays_as_it_is(opened, unigram_checkpoint):
    page = opened(unigram_checkpoint({"a": 0.5, "b": 0.5}))
    begin_to_write(page)
    page.locator("#read-tab").click()
    page.locator("#typed").focus()
    before = page.locator("#typed").input_value()
    stop(page)

    assert page.locator("#typed").input_value() == before


@pytest.mark.parametrize(
    ("task", "text", "excerpt"),
    [
        ("text", "山" * 400, "山" * 300),
        ("text", "one two " * 100, ("one two " * 100)[:299]),
        ("text", "😀" * 400, "😀" * 300),
        ("lines", "Anna\nBob\n" * 100, ("Anna\nBob\n" * 100)[:296]),
        ("text", "short", "short"),
    ],
)
def test_the_beginning_of_what_was_written_is_offered(
    opened, random_checkpoint, task, text, excerpt
):
    page = opened(random_checkpoint(task=task))

    assert page.evaluate("(text) => beginningOf(text)", text).rstrip() == excerpt.rstrip()


def test_a_source_ends_at_its_tab(opened, random_checkpoint):
    checkpoint = random_checkpoint(task="pairs")
    page = opened(checkpoint)
    page.locator("#read-tab").click()
    page.locator("#typed").fill("ab\tcd\nb\ta")
    page.locator("#look-tab").click()
    assert page.locator("#studied").input_value() == "ab"
    page.locator("#write-tab").click()
    assert write(page, seed="ab\tcd") == [Model(checkpoint).generate("ab")]


def test_a_picture_that_is_not_there_yet_asks_for_nothing(opened, random_checkpoint):
    page = opened(random_checkpoint(task="pairs"))
    page.locator("#look-tab").click()
    page.locator("#unit").fill("3")

    assert page.locator("#columns").is_hidden()
    assert page.locator("#failure").is_hidden()
    page.evaluate("dispatchEvent(new ErrorEvent('error', { message: 'of a test' }))")
    assert page.locator("#failure").text_content() == "Something failed on this page: of a test"


def test_a_text_that_cannot_be_copied_is_selected(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    [text] = write(page, seed="the dog", characters=40)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator("#copy").click()

    expect(page.locator("#written")).to_contain_text("the text is selected")
    assert page.evaluate("getSelection().toString()") == text


def test_a_click_below_the_picture_finds_a_unit_for_the_token(opened, random_checkpoint):
    checkpoint = random_checkpoint()
    page = opened(checkpoint)
    page.locator("#look-tab").click()
    page.locator("#studied").fill("abab")
    expect(page.locator("#axis span")).to_have_count(4)
    page.locator("#axis span").first.click()
    hidden = np.array([state.hidden[0] for state in list(network_states(checkpoint, "abab"))[1:]])
    distance = np.abs(hidden[::2].mean(axis=0) - hidden[1::2].mean(axis=0))
    best = int(np.argmax(distance / (hidden.std(axis=0) + 0.01)))

    means = hidden[::2, best].mean(), hidden[1::2, best].mean()
    expect(page.locator("#here")).to_have_text(
        "This unit separates a from the other tokens best: "
        f"its mean is {means[0]:.2f} there, and {means[1]:.2f} elsewhere."
    )
    expect(page.locator("#value")).to_contain_text(f"unit {best + 1} of 7")
    box = page.locator("#heat").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] - 2)
    expect(page.locator("#here")).to_have_text(
        f"At the pointer: unit 7 of 7 is {hidden[0, 6]:.2f} at “a”."
    )
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#value")).to_contain_text("unit 7 of 7")


def test_lines_and_pairs_are_scored_as_in_eval(opened, random_checkpoint):
    for task, text in [("lines", "abc\n\nad"), ("pairs", "ab\tba\nc\td\n")]:
        checkpoint = random_checkpoint(task=task)
        page = opened(checkpoint)
        page.locator("#read-tab").click()
        page.locator("#typed").fill(text)
        score = Model(checkpoint).score(text)

        expect(page.locator("#total")).to_contain_text(f"{score.bits_per_character:.3f} bits per")
        assert page.locator("#text").text_content() == text
        assert page.locator("#text .gap").all_text_contents() == (
            ["\n"] if task == "lines" else ["ab\t", "c\t"]
        )


def test_a_unit_is_followed_over_a_text(opened, random_checkpoint):
    checkpoint = random_checkpoint(num_layers=2)
    page = opened(checkpoint)
    page.locator("#look-tab").click()
    page.locator("#studied").fill("abac")
    expect(page.locator("#axis span")).to_have_count(4)
    page.locator("#panel").select_option("layer 2, forget gate")
    page.locator("#unit").fill("3")
    values = [state.gates["forget"][1][2] for state in list(network_states(checkpoint, "abac"))[1:]]

    assert page.locator("#panel option").count() == 12
    assert page.locator("#axis span").all_text_contents() == list("abac")
    low, high = int(np.argmin(values)), int(np.argmax(values))
    expect(page.locator("#value")).to_have_text(
        f"unit 3 of 7: lowest {values[low]:.2f} at “{'abac'[low]}” (place {low + 1}), "
        f"highest {values[high]:.2f} at “{'abac'[high]}” (place {high + 1})"
    )
    assert page.locator("#heat").evaluate("({ width, height }) => [width, height]") == [4, 7]
    titles = [float(label.get_attribute("title")) for label in page.locator("#axis span").all()]
    assert titles == pytest.approx(values, abs=0.001)


def test_the_picture_shows_the_sign_and_the_size_of_each_value(opened, random_checkpoint):
    checkpoint = random_checkpoint()
    page = opened(checkpoint)
    page.locator("#look-tab").click()
    page.locator("#studied").fill("ab")
    expect(page.locator("#axis span")).to_have_count(2)
    pixels = page.locator("#heat").evaluate(
        "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 2, 7).data]"
    )
    hidden = np.array([state.hidden[0] for state in list(network_states(checkpoint, "ab"))[1:]]).T

    alpha = np.array(pixels).reshape(7, 2, 4)
    assert alpha[..., 3] == pytest.approx(np.abs(hidden) * 255, abs=1)
    is_visible = alpha[..., 3] > 20
    assert ((alpha[..., 0] > alpha[..., 2]) == (hidden > 0))[is_visible].all()


@pytest.mark.parametrize("task", ["labels", "tags"])
def test_labels_and_tags_are_shown_with_their_probabilities(opened, task):
    tokenizer = SymbolTokenizer(
        CharacterTokenizer("abc"), features=(), symbols=("<b>A</b>", "B", "C")
    )
    config = ModelConfig(task=task, hidden_size=16, embedding_size=4, num_classes=3)
    checkpoint = with_random_weights(config, tokenizer)
    page = opened(checkpoint)
    page.locator("[name=seed]").fill("ab cab")
    model = Model(checkpoint)
    expected = (
        list(model.labels(["ab cab"]))
        if task == "labels"
        else next(model.tags([["ab", "cab"]]))
    )  # fmt: skip

    expect(page.locator("#output section")).to_have_count(len(expected))
    assert page.locator("#read-tab").is_hidden()
    for section, prediction in zip(page.locator("#output section").all(), expected, strict=True):
        names = section.locator("li > :first-child").all_text_contents()
        shares = section.locator("li > :last-child").all_text_contents()
        assert names == list(prediction.probabilities)
        assert float(shares[0].removesuffix(" %")) == pytest.approx(
            100 * prediction.probability, abs=0.06
        )
    page.locator("#look-tab").click()
    page.locator("#studied").fill("ab cab")
    expect(page.locator("#axis span")).to_have_count(6 if task == "labels" else 2)


def test_several_lines_are_several_texts(opened, random_checkpoint):
    """Of labels and pairs; of tags a sentence each."""
    tokenizer = SymbolTokenizer(CharacterTokenizer(".abc"), features=(), symbols=("A", "B"))
    for task in ("labels", "tags"):
        config = ModelConfig(task=task, hidden_size=16, embedding_size=4, num_classes=2)
        page = opened(with_random_weights(config, tokenizer))
        page.locator("[name=seed]").fill("ab cab.\n\nc")
        names = page.locator("#output h3")

        expect(names).to_have_text(
            ["ab cab.", "c"] if task == "labels" else ["ab", "cab", ".", "c"]
        )
    checkpoint = random_checkpoint(task="pairs")
    page = opened(checkpoint)
    answers = [Model(checkpoint).generate(source) for source in ("ab", "c")]
    assert write(page, seed="ab\nc\n") == [f"ab\t{answers[0]}", f"c\t{answers[1]}"]
    assert write(page, seed="c") == answers[1:]


def test_the_tab_key_types_a_tab_in_pairs_and_leaves_the_box_after_escape(
    opened, random_checkpoint
):
    page = opened(random_checkpoint(task="pairs"))
    page.locator("#read-tab").click()
    page.locator("#typed").focus()
    for key in ("a", "b", "Tab", "c"):
        page.keyboard.press(key)
    expect(page.locator("#text")).to_have_text("ab\tc", use_inner_text=False)
    expect(page.locator("#total")).to_contain_text("for 2 characters, line ends included")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.id") != "typed"
    assert page.locator("#typed").input_value() == "ab\tc"


def test_attention_is_a_panel_whose_rows_are_the_source(opened, random_checkpoint):
    checkpoint = random_checkpoint(task="pairs", encoder="attention", hidden_size=8)
    page = opened(checkpoint)
    page.locator("[name=seed]").fill("abc")
    page.locator("#settings .main").click()
    expect(page.locator("#output")).not_to_be_empty()
    page.locator("#look-tab").click()
    page.locator("#studied").fill("abc")
    page.locator("#panel").select_option("attention")
    page.locator("#unit").fill("2")

    expect(page.locator("#value")).to_have_text(re.compile("^“b”: lowest 0"))
    assert page.locator("#axis span").first.text_content() == "■"


def test_tabs_and_controls_answer_to_the_keyboard(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    page.locator("#write-tab").focus()
    shown = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        shown += [
            panel for panel in ("write", "read", "look") if page.locator(f"#{panel}").is_visible()
        ]
        assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    assert shown == ["read", "look", "write", "look"]
    page.locator("#columns").focus()
    before = int(page.locator("#unit").input_value())
    page.keyboard.press("ArrowUp")
    expect(page.locator("#value")).to_contain_text(f"unit {before - 1} of 48")
    page.keyboard.press("c")
    expect(page.locator("#here")).to_contain_text(
        "This unit separates c from the other tokens best"
    )
    page.keyboard.press("ArrowDown")
    expect(page.locator("#here")).to_be_empty()
    page.keyboard.press("x")
    expect(page.locator("#here")).to_have_text("x is not in this text.")


def test_a_screen_reader_finds_names_for_all_controls(opened, verse_checkpoint):
    page = opened(verse_checkpoint)
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))

    expect(page.locator("main")).to_match_aria_snapshot("""
    - main:
      - tablist "What the model does":
        - tab "Write" [selected]
        - tab "Read"
        - tab "Look inside"
      - tabpanel "Write":
        - heading "Write" [level=2]
        - textbox "Continue this text"
        - slider "Temperature (tame to wild) 0.8"
        - slider "Top-p (few tokens to all) 1"
        - spinbutton "Length in characters"
        - spinbutton "Random seed"
        - paragraph:
          - button "Write"
          - button "Stop" [disabled]
          - button "Copy"
          - status
          - button /again with random seed/
        - region "Result"
    """)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_does_not_scroll_sideways(opened, verse_checkpoint, scheme):
    page = opened(verse_checkpoint, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    expect(page.locator("#written")).to_have_text(re.compile("characters in"))
    for tab in ("write", "read", "look"):
        page.locator(f"#{tab}-tab").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    light = page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
    assert (int(re.search(r"\d+", light)[0]) > 128) == (scheme == "light")


def test_the_text_box_lies_exactly_on_the_coloured_text(opened, verse_checkpoint):
    page = opened(verse_checkpoint, viewport={"width": 360, "height": 740})
    page.locator("#read-tab").click()
    page.locator("#typed").fill("the cat sat on the mat,\n\n" * 30 + "end\n")
    expect(page.locator("#text span").last).to_be_attached()
    sizes = [
        page.locator(name).evaluate(
            "({ clientWidth, scrollHeight }) => [clientWidth, scrollHeight]"
        )
        for name in ("#text", "#typed")
    ]

    assert sizes[0] == sizes[1]


def test_a_page_needs_no_network(opened, verse_checkpoint, tmp_path):
    page = opened(verse_checkpoint, offline=True)
    expect(page.locator("#written")).to_have_text(re.compile("500 characters in"))
    [policy] = re.findall('Policy" content="([^"]*)"', (tmp_path / "page.html").read_text())

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    assert set(re.findall("[a-z]+-src", policy)) == {
        "default-src", "style-src", "script-src", "img-src", "worker-src",
    }  # fmt: skip


def test_without_scripts_a_page_says_what_it_needs(opened, verse_checkpoint):
    page = opened(verse_checkpoint, java_script_enabled=False)

    assert page.locator("#missing").is_visible()
    assert not page.locator("#tabs").is_visible()


class Structure(HTMLParser):
    """The elements of a page with their attributes, and its title."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.path, self.texts = [], [], {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, [name for name, _ in attributes]))
        self.path.append(tag)

    def handle_endtag(self, tag):
        self.path = self.path[:-1]

    def handle_data(self, data):
        self.texts.setdefault(self.path[-1] if self.path else "", []).append(data)


def test_a_thousand_hostile_names_stay_text(verse_checkpoint):
    model = PageModel.of(verse_checkpoint, EXACT)
    elements = Structure(model.to_html(title="x", cost="x")).elements
    for name in hostile_texts(1000):
        model.checkpoint.provenance["corpus"][0]["name"] = name
        structure = Structure(model.to_html(title=name, cost=name))

        assert structure.elements == elements
        assert len(structure.texts["script"]) == 2


def test_a_thousand_hostile_texts_and_tokens_stay_text(opened):
    texts = [
        re.sub("[\ud800-\udfff]", "", text).replace("\0", "\x01") for text in hostile_texts(1000)
    ]
    words = sorted(set(texts) - {""})
    tokenizer = WordTokenizer(words)
    config = ModelConfig(hidden_size=8, embedding_size=4)
    checkpoint = with_random_weights(config, tokenizer)
    checkpoint.arrays["output.bias"][:256] = -100  # hostile words alone are written
    page = opened(checkpoint, title=words[7], cost=words[8])
    [written] = write(page, characters=5000, temperature=2)
    elements = page.evaluate("document.querySelectorAll('*').length")
    page.locator("#read-tab").click()
    page.locator("#typed").fill("".join(words)[:9000])
    expect(page.locator("#total")).to_contain_text("bits per character")
    for place in range(0, 200, 20):
        page.evaluate("(place) => showUnit(place)", place)
    page.locator("#look-tab").click()
    page.locator("#studied").fill("".join(words)[:1000])
    expect(page.locator("#axis span").nth(9)).to_be_attached()

    assert len(written) == 5000
    assert elements < 150
    shown = {"SPAN", "DIV", "DT", "DD", "DL", "LI", "OL", "UL", "OPTION", "SELECT", "P", "SECTION"}
    fixed = {"H2", "H3", "FORM", "LABEL", "INPUT", "TEXTAREA", "BUTTON", "KBD", "CANVAS"}
    drawn = {"svg", "line", "path"}
    names = page.evaluate(
        "[...new Set([...document.querySelectorAll('main *')].map((one) => one.tagName))]"
    )
    assert set(names) <= shown | fixed | drawn
    assert page.evaluate("typeof ran") == "undefined"
    assert page.locator("#text").text_content() == "".join(words)[:9000]
