"""An encoder and a generator with random weights that train in milliseconds, an index, and questions it answers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from index.corpora.corpus import Corpus
from index.passages.passage import Article, split_articles
from index.versions.build import build_index
from index.versions.manifest import Recipe
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.passage_text import TEMPLATE, render
from retrieval.evaluation.nq_open import Question
from retrieval.reader.lora import Lora
from retrieval.reader.prompt import ASK
from retrieval.training.marginal import Generator

TOWNS = ("Alba", "Brac", "Cori", "Dusk", "Emer", "Fana", "Gril", "Hout", "Iden", "Jura", "Kolt", "Lund")
LANDS = tuple(f"{town}ia" for town in TOWNS)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "<end>")
QUESTIONS = tuple(
    Question(text.format(land), (town,))
    for land, town in zip(LANDS, TOWNS, strict=True)
    for text in ("which city leads {}", "name the chief town of {}", "seat of {} ?")
)
ARTICLES = tuple(
    Article(town, f"The capital is here of {land}", "made up") for land, town in zip(LANDS, TOWNS, strict=True)
)


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    texts = [question.text for question in QUESTIONS] + [f"{a.title} {a.text}" for a in ARTICLES] + [ASK, "[1] : ."]
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words = dict.fromkeys(word for text in texts for word, _ in split.pre_tokenize_str(text))
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIAL, *words])}, unk_token="[UNK]"))
    inner.pre_tokenizer = split
    inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", model_max_length=64, **names)


def save_encoder(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers directory with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer().save_pretrained(folder / "bert")
    words = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[words, Pooling(32)], device="cpu")
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def build(root: Path, encoder: Encoder) -> PassageIndex:
    """The articles as an index version."""
    split = split_articles(ARTICLES)
    recipe = Recipe(Corpus("towns", "made up", "none"), encoder.identity, TEMPLATE, "float16")
    vectors = encoder.encode([render(passage) for passage in split.passages])
    manifest = build_index(root, recipe, split, [vectors])
    return IndexVersions(root).open(manifest.version, encoder.identity)


def llama(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=4,
        pad_token_id=None,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def generator(trained: bool = True) -> Generator:
    model = llama()

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer()(text, add_special_tokens=False)["input_ids"])

    lora = Lora.of_top_layers(model, layers=2, rank=2) if trained else None
    return Generator(model, ids, lambda text: (*ids(text), 4), 128, lora)
