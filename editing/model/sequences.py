"""From a request to the sequences that an editor works on, and what a model says about one of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.language.views import View, answers_in_a_sentence, views_of
from editing.model.encoders import SequenceEncoder
from editing.model.passes import FullPasses, positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row


def edit_sequences(encoder: SequenceEncoder, request: EditRequest, max_tokens: int) -> list[TargetSequence]:
    """The views of a request as prompts with targets, its own wording first.

    Raises:
        InvalidEdit: input, output or a rephrase is blank, the output is none of a classifier's labels, or one of the
            texts is longer than the model's context.
    """
    for name in ("input", "output"):
        if not getattr(request, name).strip():
            raise InvalidEdit(f"{name} is empty")
        if len(getattr(request, name)) > max_tokens * 32:  # too long for any tokenizer: say so before tokenising
            raise InvalidEdit(f"{name} is longer than the model's context of {max_tokens} tokens")
    if not all(text.strip() for text in request.rephrases):
        raise InvalidEdit("a rephrase is empty")
    sentence = not request.raw and answers_in_a_sentence(request.input, request.output)
    views = views_of(request.input, request.raw, request.rephrases, sentence=sentence)
    if not encoder.rewordable:
        views = tuple(View(text, request.raw) for text in (request.input, *request.rephrases))
    sequences = [encoder.sequence(view.text, view.raw, request.output) for view in views]
    longest = max(sequence.longest for sequence in sequences)
    if longest > max_tokens:
        raise InvalidEdit(f"input and output together are {longest} tokens; the model's context holds {max_tokens}")
    return sequences


def target_logits(model: Any, sequence: TargetSequence) -> tuple[Tensor, Tensor]:
    """Logits (t, vocab) at the positions that predict the target's t tokens, and the tokens (t,)."""
    where = positions([Row(0, "view", sequence)], model.device)
    return FullPasses(model).logits([sequence], where), where.target
