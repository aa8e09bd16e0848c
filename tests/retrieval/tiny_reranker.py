"""A cross-encoder of a few thousand weights, made on the spot, and what it says, worked out by transformers alone."""

from __future__ import annotations

from pathlib import Path

WORDS = ("what", "is", "the", "capital", "of", "australia", "canberra", "oxygen", "who", "wrote", "faust", "city", "a")


def save_tiny(folder: Path, labels: int = 1) -> Path:
    """A BERT of one layer with random weights and 32 positions, as a cross-encoder's directory."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    config = BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=labels,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    return folder


def logits(folder: Path, pairs: list[tuple[str, str]]) -> list[float]:
    """What the model in ``folder`` says of each pair, one by one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [
            float(model(**tokenizer(*pair, truncation=True, max_length=32, return_tensors="pt")).logits[0, 0])
            for pair in pairs
        ]
