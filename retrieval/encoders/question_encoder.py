"""A question encoder that was trained apart from the document encoder: DPR's and RAG's BERT_q beside a fixed BERT_d.

On disk a sentence-transformers directory with ``question_encoder.json``, which names the document encoder that it
belongs to. An index is of its document encoder, so it opens with every question encoder of that one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errata.files import file_digest
from index.atomic_files import whole_folder
from index.vectors.vector_index import EncoderIdentity
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.encoders.encoder import Vectors

MANIFEST = "question_encoder.json"
FORMAT = 1


class TrainableEncoder:
    """A copy of an encoder's model that gradients flow into.

    Attributes:
        model: the sentence-transformers model.
        dimension: d.
    """

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self.model = copy.deepcopy(model).to(device).requires_grad_(True)
        self.dimension = int(self.model.get_embedding_dimension())

    def features(self, texts: Sequence[str]) -> dict[str, Any]:
        """What the model reads for some texts, on its device."""
        from retrieval.encoders.encoder import readable

        found = self.model.preprocess([readable(text) for text in texts])
        return {name: value.to(self.model.device) if hasattr(value, "to") else value for name, value in found.items()}

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, d), with their graph."""
        from torch.nn.functional import normalize

        return normalize(self.model(self.features(texts))["sentence_embedding"].float(), dim=1)

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> Vectors:
        """Unit vectors (n, d) as they will be once it is saved: without dropout and without a graph."""
        import numpy as np
        import torch

        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                firsts = range(0, len(texts), batch_size)
                blocks = [self.vectors(texts[first : first + batch_size]).cpu().numpy() for first in firsts]
        finally:
            self.model.train(training)
        return np.concatenate(blocks) if blocks else np.empty((0, self.dimension), np.float32)

    def save(self, folder: Path, documents: EncoderIdentity | None) -> None:
        """Write it as a question encoder of ``documents``, or, for None, as an encoder of its own.

        Raises:
            IndexStorageError: the disk does not take it; what was in ``folder`` stays.
        """
        from retrieval.encoders.encoder import quiet

        with whole_folder(folder) as target, quiet():
            self.model.save(str(target), create_model_card=False)
            if documents is not None:
                files = {str(path.relative_to(target)): file_digest(path) for path in _files(target)}
                manifest = {"format": FORMAT, "document_encoder": asdict(documents), "files": files}
                (target / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def check_question_encoder(folder: Path, documents: EncoderIdentity) -> None:
    """Whether ``folder`` holds a whole question encoder that belongs to the document encoder ``documents``.

    Raises:
        EncoderError: it does not; names the file and what to do.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        made_for, files = EncoderIdentity(**manifest["document_encoder"]), dict(manifest["files"])
        if manifest["format"] != FORMAT:
            raise EncoderError(f"{path}: its format is not {FORMAT}; it was written by another release")
    except FileNotFoundError as error:
        why = "the file is missing, so this is no question encoder; 'errata train-rag' writes one"
        raise EncoderError(f"{path}: {why}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"{path}: not the manifest of a question encoder: {error!r}") from error
    if (made_for.digest, made_for.dimension) != (documents.digest, documents.dimension):
        raise EncoderError(
            f"{path}: it belongs to the document encoder {made_for.name} ({made_for.digest[:12]}), "
            f"not to {documents.name} ({documents.digest[:12]}); train one for that, or set the encoder it belongs to"
        )
    for name, digest in files.items():
        if not (folder / name).is_file() or file_digest(folder / name) != digest:
            raise EncoderError(f"{folder / name}: missing, or changed since it was written; train or copy it again")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
