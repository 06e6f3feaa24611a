"""Texts that tokenizers are trained on, and texts that are hard to encode without loss."""

from hypothesis import strategies as st

# Every code point, lone surrogates included.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))

PROSE = (
    "The quick brown fox, said the dog, didn't jump over the dog.\n\nThe fox did.\t\tIt did!\n" * 9
)
CHINESE = "山脚下有一家客栈，客栈里有一个老人。老人说：客栈是山的。𠀀 𠀀\n" * 9

HARD = {
    "nothing": "",
    "carriage returns": "one\r\ntwo\rthree\n",
    "white space": "  a\t\tb   c \u00a0\u2003 ",
    "runs of spaces": "if x:\n        return    y   \n\n\n" + " " * 50,
    "no final newline": "the end",
    "a NUL": "a\0b",
    "byte order marks": "\ufeffa\ufeff",
    "a no-break space": "10\u00a0000",
    "ligatures and full width": "ﬁne Ａ",
    "SentencePiece's space": "▁a▁ ▁▁ the▁fox",
    "SentencePiece's unknown": "▅a▅ the ▅",
    "SentencePiece's pieces": "<unk><s></s><0x41><0xE5>",
    "replacement characters": "a\ufffdb \ufffd",
    "a family of emoji": "👨‍👩‍👧‍👦!",
    "combining marks": "e\u0301 é हिन्दी",
    "right to left": "שלום עולם",
    "Chinese beyond the first plane": "𠀀客栈",
    "Thai, which has no spaces": "สวัสดีชาวโลก",
    "lone surrogates": "\ud800 \udfff \udc00\ud800",
    "the last code point": "\U0010ffff",
    "one long word": "fox" * 30_000,
    "one long line of one character": "山" * 30_000,
    "apostrophes without end": "'a" * 5_000,
}
