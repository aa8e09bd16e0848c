"""From one correction to its factors: gradients of its views, through the editor network, to a low-rank edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from editing.edit import Deltas, EditRequest, LowRankDelta
from editing.errors import InvalidEdit
from editing.mend import Gradients, MendEditor
from editing.model import edited, stack
from editing.prompts import PromptEncoder, TargetSequence
from editing.trace import trace
from editing.views import statement_of, views_of


def edit_sequences(encoder: PromptEncoder, request: EditRequest, max_tokens: int) -> list[TargetSequence]:
    """The views of a request as prompts with targets, its own wording first.

    Raises:
        InvalidEdit: input, output or a rephrase is blank, or one of the texts is longer than the model's context.
    """
    for name in ("input", "output"):
        if not getattr(request, name).strip():
            raise InvalidEdit(f"{name} is empty")
        if len(getattr(request, name)) > max_tokens * 32:  # too long for any tokenizer: say so before tokenising
            raise InvalidEdit(f"{name} is longer than the model's context of {max_tokens} tokens")
    if not all(text.strip() for text in request.rephrases):
        raise InvalidEdit("a rephrase is empty")
    views = views_of(request.input, request.raw, request.rephrases)
    if _is_sentence(request):  # no statement continues to a whole sentence
        views = tuple(view for view in views if view.raw == request.raw)
    sequences = [encoder.sequence(view.text, view.raw, request.output) for view in views]
    longest = max(len(sequence.ids) for sequence in sequences)
    if longest > max_tokens:
        raise InvalidEdit(f"input and output together are {longest} tokens; the model's context holds {max_tokens}")
    return sequences


def compute_edit(
    model: Any, editor: MendEditor, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
) -> dict[str, LowRankDelta]:
    """MEND's edit for one correction, computed under the edits that are in force; the model is left as it was found.

    Args:
        sequences: one for each view; the transformed gradients are averaged.
        under: edits in force for this prompt.

    Returns:
        ΔW by module name, rank = number of predicted tokens over all views, in the model's dtype.
    """
    with edited(model, stack([list(under)], model.dtype, model.device)):
        rows = [_view_rows(model, editor, sequence) for sequence in sequences]
    share = torch.cat([torch.full((len(next(iter(r.values()))[0]),), 1 / len(rows)) for r in rows])[None]
    gradients = {
        name: Gradients(
            keys=torch.cat([r[name][0] for r in rows])[None],
            values_grad=torch.cat([r[name][1] for r in rows])[None],
            weight=share.to(model.device),
        )
        for name in editor.names
    }
    return editor.deltas(gradients, model.dtype)


def _view_rows(model: Any, editor: MendEditor, sequence: TargetSequence) -> dict[str, tuple[Tensor, Tensor]]:
    """Keys (t, in) and output gradients (t, out) at the t positions that predict the target."""
    with trace(model, editor.names) as record:
        logits, targets = target_logits(model, sequence)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
        grads = record.values_grad(loss)
    t = len(targets)
    return {name: (record.keys[name][0, -t:], grads[name][0, -t:]) for name in editor.names}


def target_logits(model: Any, sequence: TargetSequence) -> tuple[Tensor, Tensor]:
    """Logits (t, vocab) at the positions that predict the target's t tokens, and the tokens (t,)."""
    ids = torch.tensor(sequence.ids, device=model.device)
    t = len(ids) - sequence.start
    logits = model(input_ids=ids[None, :-1], use_cache=False, logits_to_keep=t).logits[0]
    return logits, ids[sequence.start :]


def _is_sentence(request: EditRequest) -> bool:
    statement = None if request.raw else statement_of(request.input)
    output = request.output.strip()
    if statement is None:
        return False
    words = statement.split()
    return output.lower().startswith(" ".join(words[:2]).lower()) or (output.endswith(".") and len(output.split()) > 6)
