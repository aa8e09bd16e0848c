"""What a training run of the retriever is made from, loaded: questions, encoder, index and generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.opened import Index
from index.storage import file_digest
from index.versions import IndexVersions
from retrieval.encoder import Encoder
from retrieval.errors import TrainingError
from retrieval.lora import WEIGHTS, Lora
from retrieval.marginal import Generator
from retrieval.nq_open import Question, QuestionSet, questions_digest, read_question_set
from retrieval.question_encoder import MANIFEST
from retrieval.retriever import Retriever
from retrieval.train import TrainingConfig
from service.base_model import load_base_model
from service.errors import IndexNotReady
from service.settings import Settings

_LONGEST = 2_000  # characters of a question
Figures = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """What a run is made from.

    Attributes:
        questions: a file in the form of NQ-open.
        index: the version; None: the active one.
        adapter: of the generator, to go on from, or to leave as it is; None: a new one.
    """

    questions: Path
    index: str | None = None
    adapter: Path | None = None


@dataclass(frozen=True, eq=False)
class Parts:
    """All that is loaded for a run."""

    given: QuestionSet
    encoder: Encoder
    index: Index
    base: Figures | None
    generator: Generator | None

    def usable(self) -> list[Question]:
        """Questions that encoder and generator can read whole."""
        short = [one for one in self.given.questions if len(one.text) <= _LONGEST]
        return [one for one in short if self.generator is None or self.generator.fits(one)]

    def search(self, questions: Sequence[Question], depth: int) -> list[list[int]]:
        """Rows of the best passages for each question, by meaning and by words together, before anything is trained."""
        found = Retriever(self.index, self.encoder).search_many([one.text for one in questions], depth, "hybrid")
        return [self.index.rows_of([hit.passage.id for hit in hits]).tolist() for hits in found]

    def made_from(self, inputs: Inputs, settings: Settings) -> Figures:
        """Which data and models, by digest."""
        begun, adapter = settings.question_encoder, inputs.adapter
        return {
            "questions": questions_digest(self.given.questions),
            "index": self.index.manifest.version,
            "document_encoder": self.encoder.digest,
            "question_encoder": file_digest(begun / MANIFEST) if begun else None,
            "generator": self.base and self.base["digest"],
            "adapter": file_digest(adapter / WEIGHTS) if adapter else None,
        }


def load_parts(inputs: Inputs, config: TrainingConfig, settings: Settings) -> Parts:
    """Read and load everything, the small things first.

    Raises:
        CorpusError: the questions cannot be read, or none has an answer.
        UnknownIndex, IndexMismatch: there is no such version, or it is of another encoder.
        EncoderError, AdapterError, ModelUnavailable: a model cannot be loaded.
        TrainingError: an adapter is given where no generator takes part.
    """
    import torch

    if inputs.adapter and config.objective == "contrastive":
        raise TrainingError("an adapter is of the generator, which takes no part in contrastive training")
    torch.set_num_threads(settings.compute_threads)
    given = read_question_set([inputs.questions])
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    index = open_active(settings, inputs.index, encoder)
    base, generator = _generator(inputs, config, settings) if config.objective == "marginal" else (None, None)
    return Parts(given, encoder, index, base, generator)


def device() -> str:
    """Where training runs."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_active(settings: Settings, chosen: str | None, encoder: Encoder) -> Index:
    """The chosen version, or the active one."""
    versions = IndexVersions(settings.directory / "indexes")
    name = chosen or versions.active()
    if name is None:
        raise IndexNotReady(f"there is no index in {versions.root} yet; 'errata index build' makes one")
    return versions.open(name, encoder.identity)


def _generator(inputs: Inputs, config: TrainingConfig, settings: Settings) -> tuple[Figures, Generator]:
    from editing.prompts import PromptEncoder

    base = load_base_model(settings.model, settings.directory, settings.dtype)
    base.model.to(device())
    prompts = PromptEncoder(base.tokenizer)
    trained = config.freeze != "generator"
    new = Lora.of_top_layers(base.model, config.layers, config.rank, config.seed) if trained else None
    lora = Lora.load(inputs.adapter) if inputs.adapter else new
    generator = Generator(
        model=base.model,
        prompt=lambda text: prompts.prompt(text, raw=False),
        answer=lambda text: prompts.target(text, spaced=not prompts.has_template),
        context=base.context,
        lora=lora and lora.to(device()).requires_grad_(trained),
    )
    return {"name": base.name, "digest": base.digest}, generator
