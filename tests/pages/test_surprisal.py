"""The page in a browser: it shows known numbers to mouse, keyboard and screen reader."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from charlm.errors import CheckpointError
from charlm.inference.token_scores import TokenScores
from charlm.pages.surprisal import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

GAP = None  # bits of what is not scored
AWKWARD = [
    *("\n\n", "</script>", "<!--", "&amp;", "😀", "\t", "\r", "\n", "\0", "\ud83d", "\udc00"),
    *("é", "e\u0301", "שלום", "\u202e", "\u2028", "\ufeff", "{{data}}", '"', "\\"),
]


@pytest.fixture
def opened(open_file, tmp_path):
    """Write a page and open it."""
    path = tmp_path / "page.html"

    def open_page(scores, *, title="a text", figures=(), **options):
        write_page(path, scores, title=title, figures=dict(figures))
        page = open_file(path, **options)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("[data-unit]", state="attached")
        return page

    return open_page


def scores_of(*units, pieces=None, rank=3, top_tokens=("e", " "), shares=(0.5, 0.25)):
    """Return scores of texts with their bits; None is the end of an example, of no length."""
    scored = [(piece, bits) for piece, bits in units if bits is not GAP]
    pieces = pieces or [
        *sorted({piece for piece, _ in scored if piece is not None} | set(top_tokens)),
        None,
    ]
    lengths = np.array([len(piece or "") for piece, _ in units])
    stop = lengths.cumsum()
    is_scored = np.array([bits is not GAP for _, bits in units])
    size = len(scored)
    return TokenScores(
        text="".join(piece or "" for piece, _ in units),
        pieces=pieces,
        ids=np.array([pieces.index(piece) if piece in pieces else 0 for piece, _ in scored]),
        start=(stop - lengths)[is_scored],
        stop=stop[is_scored],
        nats=np.array([bits for _, bits in scored], float) * math.log(2),
        entropy=np.full(size, 2 * math.log(2)),
        rank=np.full(size, rank),
        top_tokens=np.tile([pieces.index(token) for token in top_tokens], (size, 1)),
        top_nats=np.tile(-np.log(np.array(shares, np.float32)), (size, 1)),
        tokens=np.ones(size, int),
        bytes=np.zeros(size, int),
    )


def lines_of(*lines):
    """Return scores of lines, given the bits of each of their characters."""
    return scores_of(*((character, bits) for line, bits in lines for character in line))


def unit(page, number):
    return page.locator(f'[data-unit="{number}"]')


def spoken(page):
    return page.locator("#spoken").text_content()


def current(page):
    return int(page.locator(".current").get_attribute("data-unit"))


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def details(page):
    names = page.locator("#figures dt").all_text_contents()
    return dict(zip(names, page.locator("#figures dd").all_text_contents(), strict=True))


def table(page):
    return [
        (int(number), float(mean), float(bits))
        for number, _, mean, bits in (
            row.locator("td").all_text_contents() for row in page.locator("#rows tr").all()
        )
    ]


def luminance(colour):
    """Return the relative luminance of a CSS colour, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_each_character_has_the_colour_of_its_bits(opened):
    bits = [0, 0.9, 1, 2.9, 3, 5.9, 6, 9.9, 10, 300]
    page = opened(scores_of(*(("a", each) for each in bits), ("b", GAP)))

    classes = [each.get_attribute("class") for each in page.locator("#text span").all()]
    assert classes == [f"heat-{level}" for level in [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]] + ["gap"]
    legend = page.locator(".legend li").all_text_contents()
    assert legend == [
        *("Bits per character:", "0–1", "1–3", "3–6", "6–10", "10 and more", "not scored")
    ]


def test_the_steps_are_wider_where_a_token_is_longer_than_a_character(opened):
    page = opened(scores_of(("the", 1.9), (" ferry", 12)))

    assert "heat-0" in unit(page, 0).get_attribute("class")
    assert "heat-3" in unit(page, 1).get_attribute("class")
    assert page.locator(".legend li").first.text_content() == "Bits per token:"
    assert page.locator(".legend .gap").count() == 0


def test_pointing_shows_the_figures_of_a_character(opened):
    page = opened(scores_of(("q", 7), ("u", 0), rank=12))

    unit(page, 0).hover()

    assert page.locator("#token").text_content() == "“q”"
    assert details(page) == {
        "Surprisal": "7.00 bits",
        "Probability": "0.78 %",
        "Rank": "12 of 4",  # " ", e, q and u: no end was predicted
        "Entropy": "2.00 bits",
        "Line": "1",
    }
    assert page.locator("#top-tokens li").all_text_contents() == ["“e”50.0 %", "space25.0 %"]
    bars = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
    assert bars[0] == pytest.approx(2 * bars[1], rel=0.01)


def test_after_pointing_the_clicked_token_is_shown_again(opened):
    page = opened(scores_of(("a", 1), ("b", 2), ("c", 3)))

    unit(page, 1).click()
    unit(page, 2).hover()
    assert page.locator("#token").text_content() == "“c”"

    page.locator("h1").hover()
    assert page.locator("#token").text_content() == "“b”"
    assert current(page) == 1


def test_keys_move_by_characters_by_lines_and_to_surprising_tokens(opened):
    page = opened(lines_of(("ab\n", 1), ("cde\n", 2), ("f\n", 8), ("gh", 1)))

    page.locator("#text").focus()
    press(page, "ArrowRight")
    assert current(page) == 0  # the first key goes to what is in view
    visited = []
    for key in ("ArrowRight", "ArrowDown", "End", "ArrowDown", "ArrowDown", "Home", "ArrowLeft"):
        press(page, key)
        visited.append(current(page))
    #  0 1 2    3 4 5 6    7 8    9 10
    #  a b ↵    c d e ↵    f ↵    g h
    assert visited == [1, 4, 6, 8, 10, 9, 8]
    press(page, "Home", "ArrowUp", "ArrowUp", "ArrowUp")
    assert current(page) == 0
    for key, place in [("n", 7), ("n", 8), ("n", 8), ("p", 7), ("Shift+P", 7)]:
        press(page, key)
        assert current(page) == place
    assert page.locator(".current").evaluate("each => getComputedStyle(each).outlineWidth") == "2px"


def test_up_and_down_keep_to_their_column(opened):
    page = opened(lines_of(("abcd\n", 1), ("e\n", 1), ("fghi\n", 1)))

    unit(page, 3).click()
    press(page, "ArrowDown", "ArrowDown")

    assert unit(page, current(page)).text_content() == "i"


def test_a_selected_token_is_announced_in_one_sentence(opened):
    page = opened(scores_of(("q", 7), (" ", 0.5), ("\n", 13), (None, 1), rank=2))

    sentences = []
    page.locator("#text").focus()
    for _ in range(4):
        press(page, "ArrowRight")
        sentences.append(spoken(page))

    rest = "rank 2 of 5; likeliest: “e” 50.0 %, space 25.0 %"
    assert sentences[0] == f"“q”, 7.0 bits, probability 0.78 %, {rest}"
    assert sentences[1] == f"space, 0.5 bits, probability 70.7 %, {rest}"
    assert sentences[2] == f"line end, 13.0 bits, probability 0.012 %, {rest}"
    assert sentences[3] == f"end of line, 1.0 bits, probability 50.0 %, {rest}"
    assert page.locator("#spoken").get_attribute("aria-live") == "polite"


def test_touching_selects(opened):
    page = opened(scores_of(("a", 1), ("b", 2)), has_touch=True)

    unit(page, 1).tap()

    assert spoken(page).startswith("“b”, 2.0 bits, probability 25.0 %")


def test_pointing_is_not_announced(opened):
    page = opened(scores_of(("a", 1), ("b", 2)))

    unit(page, 1).hover()

    assert page.locator("#token").text_content() == "“b”"
    assert spoken(page) == ""


def test_a_character_in_bytes_shows_the_byte_of_its_rank(opened):
    scores = scores_of(("é", 9), pieces=[0xC3, 0xA9, "e", " ", None])
    page = opened(scores)

    unit(page, 0).click()

    assert page.locator("#token").text_content() == "“é”"
    assert details(page)["Rank of"] == "<0xC3>"
    assert "rank 3 of 4 for <0xC3>; likeliest" in spoken(page)


def test_lines_are_sorted_by_number_and_by_score(opened):
    # 2 bits each of 2 characters, 3 of 1, 1 of 8, and an empty line that is not scored
    scores = lines_of(("a\n", 2), ("\n", 3), ("\n", GAP), ("bcdefgh\n", 1))
    page = opened(scores)
    first, second, fourth = (1, 2, 4), (2, 3, 3), (4, 1, 8)

    def sort(name):
        page.get_by_role("button", name=name, exact=True).click()
        heads = page.locator("th[aria-sort]")
        assert heads.count() == 1
        assert heads.get_attribute("scope") == "col"
        return heads.text_content(), heads.get_attribute("aria-sort"), table(page)

    assert table(page) == [second, first, fourth]  # at first by bits per character
    assert sort("Bits per character")[1:] == ("ascending", [fourth, first, second])
    assert sort("Line") == ("Line", "ascending", [first, second, fourth])
    assert sort("Line") == ("Line", "descending", [fourth, second, first])
    assert sort("Bits in total") == ("Bits in total", "descending", [fourth, first, second])


def test_the_end_of_an_example_counts_as_a_character(opened):
    page = opened(scores_of(("a", 2), ("b", 2), (None, 5)))

    assert table(page) == [(1, 3, 9)]
    assert "mean of the text, 3.00" in page.locator("figcaption").text_content()


def test_a_row_goes_to_its_line(opened):
    page = opened(lines_of(*(("some words of a line\n", 1 + line % 7) for line in range(400))))
    assert page.locator("#rows tr").count() == 50
    assert page.locator("#shown").text_content() == "1–50 of 400"

    page.get_by_role("button", name="Line", exact=True).click()
    page.get_by_role("button", name="Next").click()
    assert page.locator("#shown").text_content() == "51–100 of 400"
    page.get_by_role("button", name="Go to line 99", exact=True).click()

    assert current(page) == 98 * len("some words of a line\n")
    assert is_in_view(page)
    assert page.evaluate("document.activeElement.id") == "text"
    press(page, "ArrowRight")
    assert spoken(page).startswith("“o”")


def is_in_view(page):
    return page.evaluate(
        """() => {
          const frame = document.getElementById("text").getBoundingClientRect();
          const chosen = document.querySelector(".current").getBoundingClientRect();
          return frame.top <= chosen.top && chosen.bottom <= Math.min(frame.bottom, innerHeight);
        }"""
    )


def test_the_chart_shows_bits_per_character_and_goes_to_a_position(opened):
    page = opened(lines_of(("a" * 300, 1), ("b" * 300, 3)))

    chart = page.get_by_role("img", name="Bits per character along the text")
    assert "The mean is 2.00. The maximum is 3.00, at character 301 of 600." in (
        page.locator("#chart-description").text_content()
    )
    assert page.locator(".upward").text_content() == "420"
    box = chart.bounding_box()
    chart.hover(position={"x": box["width"] * 0.25, "y": 20})
    assert "averaged over 2 characters" in page.locator("figcaption").text_content()
    assert "here 1.00" in page.locator("figcaption").text_content()
    chart.click(position={"x": box["width"] * 0.75, "y": 20})
    assert current(page) == pytest.approx(450, abs=3)
    assert page.locator("#marker").get_attribute("visibility") == "visible"


def test_any_text_keeps_its_characters_and_positions(opened):
    scores = scores_of(*((piece, number) for number, piece in enumerate(AWKWARD)), ("\n", GAP))
    page = opened(scores, title="<b>&\0", figures={"<i>": "</dl>"})

    shown = ["␍", "\n", "␀", "\ufffd", "\ufffd"]
    at = AWKWARD.index("\r")
    expected = [*AWKWARD[:at], *shown, *AWKWARD[at + len(shown) :]]
    expected[AWKWARD.index("\u202e")] = "\ufffd"
    assert page.locator("[data-unit]").all_text_contents() == expected
    assert page.title() == page.locator("h1").text_content() == "<b>&␀"
    assert page.locator(".facts").text_content() == "<i></dl>"
    names = []
    for number in range(len(AWKWARD)):
        unit(page, number).dispatch_event("click")
        names.append(page.locator("#token").text_content())
        assert details(page)["Surprisal"] == f"{number}.00 bits"
    assert names == [
        *("“↵↵”", "“</script>”", "“<!--”", "“&amp;”", "“😀”", "tab", "carriage return", "line end"),
        *("U+0000", "U+D83D", "U+DC00", "“é”", "“e\u0301”", "“שלום”", "U+202E", "U+2028"),
        *("U+FEFF", "“{{data}}”", '“"”', "“\\”"),
    ]


def test_no_block_cuts_a_token(opened):
    scores = scores_of(("a " * 500, GAP), ("b" * 5000, 1), ("😀" * 3000, GAP), ("c", 2))
    page = opened(scores)

    assert page.locator("#text").text_content() == scores.text
    assert page.locator(".block").count() == 4
    page.locator("#text").focus()
    for number, token in enumerate(["b" * 5000, "c"]):
        press(page, "ArrowRight")
        assert unit(page, number).text_content() == token


def test_sources_of_pairs_are_not_scored_and_ends_are(opened, unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="pairs")
    page = opened(model.score_tokens("a\tab\r\nbb\tb\n", top_tokens=2).by_character())

    parts = page.locator("#text span").evaluate_all("all => all.map(each => each.textContent)")
    assert parts == ["a\t", "a", "b", "␍", "\nbb\t", "b", "\n"]
    assert table(page) == [(2, 2, 4), (1, 1.67, 5)]
    unit(page, 4).click()
    assert page.locator("#token").text_content() == "end of line"
    assert details(page)["Rank"] == "2 of 259"
    assert page.locator("#top-tokens li").first.text_content() == "“a”50.0 %"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_colours_have_enough_contrast(opened, scheme):
    units = [("a", bits) for bits in (0, 1, 3, 6, 10)]
    page = opened(scores_of(*units, ("b", GAP)), color_scheme=scheme)

    def colours(selector):
        return page.locator(selector).evaluate_all(
            """all => all.map(each => {
              const of = (one) => getComputedStyle(one).backgroundColor;
              let behind = each;
              while (of(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
              return [getComputedStyle(each).color, of(behind)];
            })"""
        )

    legend, text = colours(".legend [class]"), colours("#text span")
    assert legend == text
    others = colours("p:visible, dt, dd, h1, h2, h3, figcaption, .axis, th button, td, td button")
    assert min(contrast(*pair) for pair in [*legend, *others]) >= 4.5
    lightness = [luminance(background) for _, background in legend[:-1]]
    assert lightness == sorted(lightness, reverse=scheme == "light")
    assert min(contrast(one, other) for (_, one), (_, other) in pairwise(legend[:-1])) > 1.1


def test_without_scripts_there_are_the_text_and_the_figures(opened):
    text = "first <line>\n\tsecond & 😀\n" * 200
    page = opened(
        lines_of((text, 2)), figures={"model": "m.safetensors"}, java_script_enabled=False
    )

    assert page.locator("#text").text_content() == text
    assert page.locator(".block").count() > 2
    assert all(each.endswith("\n") for each in page.locator(".block").all_text_contents())
    assert page.locator(".facts").text_content() == "modelm.safetensors"
    assert page.locator("#missing").is_visible()
    assert page.locator("#chart").is_visible()
    assert not page.locator("#lines").is_visible()


def test_a_screen_reader_finds_every_part_of_the_page(opened):
    page = opened(lines_of(("a\n", 2), ("b", 3)), title="a.txt")

    playwright.expect(page.locator("body")).to_match_aria_snapshot(
        """
        - banner:
          - heading "a.txt" [level=1]
        - main:
          - region "Surprisal along the text":
            - heading "Surprisal along the text" [level=2]
            - figure /Bits per character, averaged over 1 character/:
              - img "Bits per character along the text"
          - heading "Text" [level=2]
          - list "Colours"
          - region "Text"
          - region "Details":
            - heading "Details" [level=3]
          - region "Lines":
            - heading "Lines" [level=2]
            - table "Lines":
              - rowgroup:
                - row:
                  - columnheader "Line":
                    - button "Line"
                  - columnheader "Text"
                  - columnheader "Bits per character":
                    - button "Bits per character"
                  - columnheader "Bits in total":
                    - button "Bits in total"
              - rowgroup:
                - row:
                  - cell "Go to line 2":
                    - button "Go to line 2"
                  - cell "b"
                  - cell "3.00"
                  - cell "3.0"
            - paragraph:
              - button "Previous" [disabled]
              - button "Next" [disabled]
        """
    )


def test_the_printed_page_holds_the_whole_text_in_colour(opened):
    page = opened(lines_of(*(("some words of a line\n", 1),) * 400), color_scheme="dark")
    assert page.locator("[data-unit]").count() < 8400

    page.emulate_media(media="print")
    page.pdf()

    assert page.locator("[data-unit]").count() == 8400
    assert page.locator("#text").evaluate("each => each.scrollHeight - each.clientHeight") <= 2
    assert not page.locator("#details").is_visible()
    assert page.locator(":root").evaluate("each => getComputedStyle(each).colorScheme") == "light"


@pytest.mark.parametrize("end", ["\n", " "])
def test_a_million_characters_are_as_light_as_what_is_in_view(opened, end):
    line = "It is a long way to the end of this text" + end
    characters = np.arange(1_000_000) % len(line)
    one = lines_of((line, 1))
    scores = TokenScores(
        text=(line * 25_000)[:1_000_000],
        pieces=one.pieces,
        ids=one.ids[characters],
        start=np.arange(1_000_000),
        stop=np.arange(1, 1_000_001),
        nats=np.linspace(0, 8 * math.log(2), 1_000_000),
        entropy=one.entropy[characters],
        rank=np.arange(1, 1_000_001),
        top_tokens=one.top_tokens[characters],
        top_nats=one.top_nats[characters],
        tokens=one.tokens[characters],
        bytes=one.bytes[characters],
    )
    page = opened(scores)

    for share in (0.5, 1):
        page.locator("#text").evaluate(
            "(each, share) => each.scrollTo(0, share * each.scrollHeight)", share
        )
        page.wait_for_timeout(200)
        assert page.locator("#text span").count() < 8000
    page.get_by_role("img").click(position={"x": 5, "y": 5})
    page.locator("#text").evaluate("each => each.scrollTo(0, each.scrollHeight)")
    unit(page, 999_999).hover()

    assert page.locator("#token").text_content() == f"“{scores.text[-1]}”"
    assert details(page)["Surprisal"] == "8.00 bits"
    assert details(page)["Rank"].startswith("1,000,000 of ")
    assert page.locator("#text span").count() < 8000


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_page(tmp_path / "none" / "page.html", scores_of(("a", 1)), title="", figures={})
