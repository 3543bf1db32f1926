"""Texts in twelve scripts, and small tokenizers that are trained on them, one of each kind that models have."""

import random
from collections.abc import Callable, Sequence
from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SCRIPTS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzéüßñøæçşžABCDEFGHIJKLMNOPQRSTUVWXYZÉÜ",
    "Greek": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΑΒΓΔ",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяЁёЇїБВГ",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשתםןץ",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءآأَُِّ",
    "Devanagari": "अआइईउऊएऐओकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौ्ं",
    "Bengali": "অআইঈউঊএঐওকখগঘচছজঝটঠডঢণতথদধনপফবভমযরলশষসহািীুূেৈোৌ্",
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอะาิีึืุูเแโใไ่้",
    "Georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "Han": "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行",
    "Kana": "あいうえおかきくけこさしすせそたちつてとなにぬねのアイウエオカキクケコガギグゲゴパピプ",
    "Hangul": "가각간갈감갑강개객거건걸검게격견결경계고곡골공과관광교구국군굴궁권귀규그극근글금기",
}

EXTRAS = [
    "",
    " ",
    "...",
    "?!",
    "-",
    "'s",
    "n't",
    "123",
    "3.14",
    "€",
    "😀",
    "👩‍👩‍👧",
    "\u200b",
    "é",
    "ﬁ",
    "\t",
    "\n",
    "[MASK]",
    "ﷺ",
    "½",
]
"""Punctuation, numbers, emoji, and characters that normalisation changes or removes."""


@cache
def corpus(count: int = 3000) -> tuple[str, ...]:
    """Return texts of 1 to 40 words; every twelfth is of the same script, and one in five mixes scripts."""
    chance = random.Random(7)
    alphabets = list(SCRIPTS.values())
    words = [[_word(chance, alphabet) for _ in range(300)] for alphabet in alphabets]
    texts = []
    for index in range(count):
        own = [words[index % len(words)]] if chance.random() < 0.8 else words
        parts = [chance.choice(chance.choice(own)) for _ in range(chance.randint(1, 40))]
        for _ in range(chance.randint(0, 4)):
            parts.insert(chance.randint(0, len(parts)), chance.choice(EXTRAS))
        texts.append(chance.choice([" ", " ", "  ", ""]).join(parts))
    return tuple(texts)


def _word(chance: random.Random, alphabet: str) -> str:
    return "".join(chance.choices(alphabet, k=chance.randint(1, 9)))


def word_piece(trained_on: Sequence[str], size: int) -> Tokenizer:
    """Return a tokenizer as BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        trained_on, trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=specials)
    )
    cls, sep = (("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]")))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    return tokenizer


def byte_level(trained_on: Sequence[str], size: int) -> Tokenizer:
    """Return a tokenizer as RoBERTa has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(trained_on, trainer)
    cls, sep = (("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>")))
    tokenizer.post_processor = processors.RobertaProcessing(sep, cls, add_prefix_space=False)
    return tokenizer


def unigram(trained_on: Sequence[str], size: int) -> Tokenizer:
    """Return a tokenizer as XLM-RoBERTa has it, of SentencePiece's kind."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=size, show_progress=False, special_tokens=specials, unk_token="<unk>")
    tokenizer.train_from_iterator(trained_on, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    return tokenizer


KINDS: dict[str, Callable[[Sequence[str], int], Tokenizer]] = {
    "wordpiece": word_piece,
    "byte-level": byte_level,
    "unigram": unigram,
}


@cache
def tokenizer_json(kind: str, trained_on: tuple[str, ...] = (), size: int = 1000) -> bytes:
    """Return the bytes of the `tokenizer.json` of a kind; by default trained on a third of the corpus."""
    return str(KINDS[kind](trained_on or corpus()[::3], size).to_str()).encode()
