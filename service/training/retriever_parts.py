"""What a training run of the retriever is made from, loaded: questions, encoder, index and generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from errata.files import file_digest
from errata.lora import WEIGHTS
from index.passages.passage import Hit, Passage
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder, TextEncoder
from retrieval.encoders.question_encoder import MANIFEST
from retrieval.errors import AdapterError, RetrieverTrainingError
from retrieval.evaluation.nq_open import Question, QuestionSet, questions_digest, read_question_set
from retrieval.reader.card import CARD, ReaderCard, Thresholds, read_card
from retrieval.reader.excerpts import rank_sentences
from retrieval.reader.lora import Lora
from retrieval.search.retriever import Retriever
from retrieval.training.config import TrainingConfig
from retrieval.training.marginal import Excerpt, Generator
from service.engines.model_loader import LoadedModel, load_base_model
from service.errors import IndexNotReady
from service.settings import Settings

_LONGEST = 2_000  # characters of a question
_OPEN = Thresholds(not_told=1.0, sure=1e-9)
Figures = dict[str, Any]


@dataclass(frozen=True)
class RetrieverTrainingOptions:
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
class RetrieverTrainingParts:
    """All that is loaded for a run."""

    given: QuestionSet
    encoder: Encoder
    index: PassageIndex
    base: Figures | None
    generator: Generator | None
    card: ReaderCard | None = None  # of the reader that the generator becomes

    def usable(self) -> list[Question]:
        """Questions that encoder and generator can read whole."""
        short = [one for one in self.given.questions if len(one.text) <= _LONGEST]
        return [one for one in short if self.generator is None or self.generator.fits(one)]

    def search(self, questions: Sequence[Question], depth: int) -> list[list[int]]:
        """Rows of the best passages for each question, by meaning and by words together, before anything is trained."""
        found = Retriever(self.index, self.encoder).search_many([one.text for one in questions], depth, "hybrid")
        return [self.index.rows_of([hit.passage.id for hit in hits]).tolist() for hits in found]

    def made_from(self, inputs: RetrieverTrainingOptions, settings: Settings) -> Figures:
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


def load_parts(inputs: RetrieverTrainingOptions, config: TrainingConfig, settings: Settings) -> RetrieverTrainingParts:
    """Read and load everything, the small things first.

    Raises:
        CorpusError: the questions cannot be read, or none has an answer.
        UnknownIndex, IndexMismatch: there is no such version, or it is of another encoder.
        EncoderError, AdapterError, ModelUnavailable: a model cannot be loaded.
        TrainingError: an adapter is given where no generator takes part.
    """
    import torch

    if inputs.adapter and config.objective == "contrastive":
        raise RetrieverTrainingError("an adapter is of the generator, which takes no part in contrastive training")
    torch.set_num_threads(settings.compute_threads)
    given = read_question_set([inputs.questions])
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    index = open_active(settings, inputs.index, encoder)
    if config.objective != "marginal":
        return RetrieverTrainingParts(given, encoder, index, None, None)
    base = load_base_model(settings.model, settings.directory, settings.dtype)
    card = _card(inputs.adapter, base, config)
    generator = _generator(inputs.adapter, base, config, excerpting(encoder, card.sentences_each))
    return RetrieverTrainingParts(given, encoder, index, {"name": base.name, "digest": base.digest}, generator, card)


def device() -> str:
    """Where training runs."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_active(settings: Settings, chosen: str | None, encoder: Encoder) -> PassageIndex:
    """The chosen version, or the active one."""
    versions = IndexVersions(settings.directory / "indexes")
    name = chosen or versions.active()
    if name is None:
        raise IndexNotReady(f"there is no index in {versions.root} yet; 'errata index build' makes one")
    return versions.open(name, encoder.identity)


def _card(adapter: Path | None, base: LoadedModel, config: TrainingConfig) -> ReaderCard:
    """Of the reader that is gone on from; else of one that answers however unsure it is."""
    if adapter is None or not (adapter / CARD).is_file():
        return ReaderCard(f"generator of {base.name}", base.digest, _OPEN, _OPEN, config.temperature)
    card = read_card(adapter)
    if card.base_digest != base.digest:
        raise AdapterError(f"{adapter}: made for the model {card.base_digest[:12]}, not for {base.digest[:12]}")
    return replace(card, temperature=config.temperature)


def excerpting(encoder: TextEncoder, sentences: int) -> Excerpt:
    """Of a passage the sentences nearest to a question, as a reader gets them; those of a pair are found once."""
    found: dict[tuple[str, str], Passage] = {}

    def excerpt(question: str, passage: Passage) -> Passage:
        key = (question, passage.id)
        if key not in found:
            cut = rank_sentences(question, [Hit(passage, 0.0, 1)], encoder).excerpts_of_each(sentences)
            found[key] = cut[0].passage if cut else passage
        return found[key]

    return excerpt


def _generator(adapter: Path | None, base: LoadedModel, config: TrainingConfig, excerpt: Excerpt) -> Generator:
    from editing.model.prompts import PromptEncoder

    base.model.to(device())
    prompts = PromptEncoder(base.tokenizer)
    trained = config.freeze != "generator"
    new = Lora.of_top_layers(base.model, config.layers, config.rank, config.seed) if trained else None
    lora = Lora.load(adapter) if adapter else new
    return Generator(
        model=base.model,
        prompt=lambda text: prompts.prompt(text, raw=False),
        answer=lambda text: prompts.target(text, spaced=not prompts.has_template),
        context=base.context,
        lora=lora and lora.to(device()).requires_grad_(trained),
        excerpt=excerpt,
    )
