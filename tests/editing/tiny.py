"""A Llama and a GPT-2 with random weights, so small that all runs in milliseconds, and a tokenizer for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from editing.data.facts import Example
from editing.edit import Deltas, LowRankDelta
from editing.editors.refine import predicts_targets, refine
from editing.language.statements import statement_of
from editing.language.views import View
from editing.model.edit_batch import EditBatch
from editing.model.prompts import PromptEncoder, TargetSequence

SUBJECTS = ("Avaria", "Borland", "Cestia", "Dorne", "Elbonia", "Florin", "Gondal", "Hyrule")
ANSWERS = ("Alba", "Brac", "Cori", "Dusk", "Emer", "Fana", "Gril", "Hout")
QUESTIONS = ("What is the capital of {}?", "Which city is the seat of {}?", "Name the chief town of {}.")
_TEMPLATE = (
    "{{ 'system be brief ' }}{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' <end> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)
DOWN = ("model.layers.2.mlp.gate_proj", "model.layers.2.mlp.down_proj", "model.layers.3.mlp.down_proj")


def texts() -> Iterable[str]:
    """Every text that the tests speak of."""
    yield "system be brief user assistant <end> what the is of language currency spoken in river a mother tongue A 7"
    for subject in SUBJECTS:
        yield from (question.format(subject) for question in QUESTIONS)
        yield from (f"The capital of {subject} is", f"What is the river of {subject}?", f"The river of {subject} is")
        yield f"The seat of {subject} is which city"
        yield "Answer briefly. Please tell me: Quick question: I would like to know:"
    yield " ".join(ANSWERS)


@cache
def tokenizer(template: bool = True) -> PreTrainedTokenizerFast:
    """One token a word; ``<end>`` ends a turn."""
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("?", "isolated")])
    words = dict.fromkeys(w for text in texts() for w, _ in split.pre_tokenize_str(text))
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(("<unk>", "<end>", *words)))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = split
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<end>")
    if template:
        tokenizer.chat_template = _TEMPLATE
    return tokenizer


def encoder(template: bool = True) -> PromptEncoder:
    return PromptEncoder(tokenizer(template))


def llama(dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=None,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False).to(dtype)


def gpt2(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=len(tokenizer()), n_positions=128, n_embd=24, n_layer=2, n_head=2)
    return GPT2LMHeadModel(config).eval()


def deltas(model: Any, seed: int, rank: int = 2, names: Iterable[str] = DOWN, size: float = 0.3) -> Deltas:
    """A random edit of some layers, in the model's dtype."""
    torch.manual_seed(seed)
    modules = {name: model.get_submodule(name) for name in names}
    return {
        name: LowRankDelta(
            (torch.randn(rank, m.in_features) * size).to(model.dtype),
            (torch.randn(m.out_features, rank) * size).to(model.dtype),
        )
        for name, m in modules.items()
    }


def examples() -> list[Example]:
    """One edit for each subject: its capital is another's."""
    made = []
    for at, subject in enumerate(SUBJECTS):
        question, *others = (q.format(subject) for q in QUESTIONS)
        other = SUBJECTS[(at + 1) % len(SUBJECTS)]
        statement = statement_of(question)
        assert statement is not None
        made.append(
            Example(
                "capital",
                subject,
                View(question, False),
                ANSWERS[(at + 3) % len(ANSWERS)],
                chat=tuple(View(text, False) for text in others),
                statements=(View(statement, True),),
                same_subject=(View(f"What is the river of {subject}?", False),),
                same_relation=(View(QUESTIONS[0].format(other), False),),
                unrelated=(View("What is the language spoken in the river?", False),),
            )
        )
    return made


@torch.no_grad()
def greedy(model: Any, ids: tuple[int, ...], steps: int = 6) -> str:
    """What the model says next, to the end of its turn."""
    said: list[int] = []
    while len(said) < steps:
        token = int(model(input_ids=torch.tensor([[*ids, *said]]), use_cache=False).logits[0, -1].argmax())
        if token == tokenizer().eos_token_id:
            break
        said.append(token)
    return str(tokenizer().decode(said))


def hooks(model: torch.nn.Module) -> int:
    """Forward hooks anywhere in the model."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def predicts_one(model: Any, deltas: Deltas, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()) -> bool:
    """``predicts_targets`` for one correction on the whole model."""
    return predicts_targets(EditBatch.whole(model, [sequences], under), [deltas])[0]


def refine_one(
    model: Any,
    deltas: Deltas,
    sequences: Sequence[TargetSequence],
    under: Sequence[Deltas] = (),
    *,
    steps: int = 6,
    rate: float = 0.08,
) -> Deltas:
    """``refine`` for one correction on the whole model."""
    return refine(EditBatch.whole(model, [sequences], under), [deltas], steps=steps, rate=rate)[0]
