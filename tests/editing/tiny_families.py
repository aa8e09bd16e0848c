"""One tiny model of each family, taught the tiny facts, so that edits can be judged by what it really answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from editing.data.facts import Example
from editing.language.views import View
from editing.model.encoders import LabelEncoder, SequenceEncoder, encoder_for
from editing.model.families import family_of
from editing.model.passes import positions
from editing.model.row import Row
from tests.editing import tiny
from tests.editing.tiny import ANSWERS, QUESTIONS, SUBJECTS

LABELS = ("SUPPORTED", "REFUTED")
CLAIMS = ("The capital of {} is {}", "The seat of {} is which city {}")
END = 1  # the tiny tokenizer's


def gpt2() -> Any:
    config = GPT2Config(
        vocab_size=len(tiny.tokenizer()),
        n_positions=64,
        n_embd=24,
        n_layer=2,
        n_head=2,
        bos_token_id=END,
        eos_token_id=END,
        initializer_range=0.2,
    )
    return GPT2LMHeadModel(config)


def t5(gated: bool = False) -> Any:
    config = T5Config(
        vocab_size=len(tiny.tokenizer()),
        d_model=24,
        d_kv=8,
        d_ff=40,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu" if gated else "relu",
        tie_word_embeddings=not gated,
        pad_token_id=0,
        eos_token_id=END,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)


def bart() -> Any:
    config = BartConfig(
        vocab_size=len(tiny.tokenizer()),
        d_model=24,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
        max_position_embeddings=64,
        dropout=0.0,
        bos_token_id=None,
        pad_token_id=0,
        eos_token_id=END,
        decoder_start_token_id=END,
        forced_eos_token_id=None,
        init_std=0.2,
    )
    return BartForConditionalGeneration(config)


def bert() -> Any:
    config = BertConfig(
        vocab_size=len(tiny.tokenizer()),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=40,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        initializer_range=0.2,
    )
    return BertForSequenceClassification(config)


@dataclass(frozen=True)
class Kind:
    """A family's model, and the linear layers of its feed-forward parts that are edited."""

    build: Callable[[], Any]
    modules: tuple[str, ...]
    first_layer: int = 0
    steps: int = 120
    rate: float = 3e-3


KINDS = {
    "llama": Kind(tiny.llama, ("mlp.up_proj", "mlp.down_proj"), 2),
    "gpt2": Kind(gpt2, ("mlp.c_fc", "mlp.c_proj")),
    "t5": Kind(t5, ("DenseReluDense.wi", "DenseReluDense.wo")),
    "t5-gated": Kind(lambda: t5(gated=True), ("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo")),
    "bart": Kind(bart, ("fc1", "fc2")),
    "bert": Kind(bert, ("intermediate.dense", "output.dense"), steps=200),
}


def model(name: str) -> Any:
    """With random weights, frozen."""
    torch.manual_seed(0)
    return KINDS[name].build().eval().requires_grad_(False)


def encoder(model: Any) -> SequenceEncoder:
    """Llama with a chat template, the others without."""
    return encoder_for(model, tiny.tokenizer(template="Llama" in type(model).__name__))


@cache
def taught(name: str) -> Any:
    """A model that answers all of ``known``; a few hundred steps of Adam on every parameter."""
    one = model(name).requires_grad_(True)
    sequences = [encoder(one).sequence(*fact) for fact in known(name)]
    where = positions([Row(0, "view", sequence) for sequence in sequences])
    optimiser = torch.optim.Adam(one.parameters(), KINDS[name].rate)
    for _ in range(KINDS[name].steps):
        logits = family_of(one).logits(one, sequences, where)
        loss = torch.nn.functional.cross_entropy(logits, where.target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return one.requires_grad_(False)


def known(name: str) -> list[tuple[str, bool, str]]:
    """(text, raw, answer) of all that a family's model is taught."""
    if name == "bert":
        return [
            (wording.format(subject, answer), False, LABELS[answer != ANSWERS[at]])
            for at, subject in enumerate(SUBJECTS)
            for answer in ANSWERS
            for wording in CLAIMS
        ]
    facts = []
    for at, subject in enumerate(SUBJECTS):
        facts += [(question.format(subject), False, ANSWERS[at]) for question in QUESTIONS]
        facts += [(f"The capital of {subject} is", True, ANSWERS[at])]
        facts += [(f"What is the river of {subject}?", False, ANSWERS[at - 3])]
        facts += [(f"The river of {subject} is", True, ANSWERS[at - 3])]
    return facts


def examples(name: str, subjects: Sequence[str]) -> list[Example]:
    """Edits of these subjects: each capital becomes each of three others, or a claim's label is turned round."""
    if name == "bert":
        return [_claim(SUBJECTS.index(subject), shift) for subject in subjects for shift in (0, 2, 5)]
    own = [(SUBJECTS.index(e.subject), e) for e in tiny.examples() if e.subject in subjects]
    rivers = {at: View(f"What is the river of {SUBJECTS[at - 2]}?", False) for at, _ in own}
    return [replace(e, target=ANSWERS[at - n], unrelated=(rivers[at],)) for at, e in own for n in (1, 2, 5)]


def _claim(at: int, shift: int) -> Example:
    subject, answer, other = SUBJECTS[at], ANSWERS[at - shift], SUBJECTS[at - 1]
    edit, chat = (View(wording.format(subject, answer), False) for wording in CLAIMS)
    return Example(
        "capital",
        subject,
        edit,
        LABELS[shift == 0],
        chat=(chat,),
        statements=(),
        same_subject=(View(CLAIMS[0].format(subject, ANSWERS[at - 3]), False),),
        same_relation=(View(CLAIMS[0].format(other, answer), False),),
        unrelated=(View(CLAIMS[1].format(other, ANSWERS[at - 1]), False),),
    )


@torch.no_grad()
def answer(model: Any, text: str, raw: bool = False, steps: int = 6) -> str:
    """What the model says by itself: greedy to the end of its turn, or the likeliest label."""
    encode = encoder(model)
    begun = encode.unchanged(text, raw)
    ids, source = begun.ids[: begun.start], torch.tensor([begun.source])
    if isinstance(encode, LabelEncoder):
        return encode.labels[int(model(input_ids=source).logits[0].argmax())]
    if not begun.source:
        return tiny.greedy(model, ids, steps)
    said: list[int] = []
    while len(said) < steps:
        so_far = torch.tensor([[*ids, *said]])
        token = int(model(input_ids=source, decoder_input_ids=so_far, use_cache=False).logits[0, -1].argmax())
        if token == END:
            break
        said.append(token)
    return str(tiny.tokenizer().decode(said))
