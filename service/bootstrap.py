"""Builds the service: every object is made here, once, when it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from editing.editors.checkpoint import EditorCheckpoint, find_pretrained, load_editor
from editing.editors.fine_tuning import FineTuning
from editing.editors.untrained import untrained_editor
from editing.errors import StorageError
from editing.ledger.ledger import Ledger
from editing.model.prompts import PromptEncoder
from editing.scope.head import Member, ScopeHead, TextVectors
from editing.scope.index import ScopeIndex
from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.store import EditStore
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.reranker import Reranker
from service.answers.answerer import Answerer
from service.answers.index_manager import IndexManager
from service.answers.passage_reader import PassageReader
from service.answers.passage_search import PassageSearch
from service.answers.rag_decoder import RagDecoder
from service.answers.reader import open_reader
from service.edits.computation import EditComputation
from service.edits.registry import EditRegistry
from service.edits.reverify import Reverification
from service.edits.startup_check import tell_missing_files
from service.edits.writer import EditWriter
from service.engines.compute_thread import ComputeThread
from service.engines.local import LocalEngine
from service.engines.model_loader import LoadedModel, load_base_model
from service.engines.protocol import SamplingParams
from service.jobs import Jobs
from service.pipeline import Pipeline
from service.prompt import PromptBuilder
from service.served_model import ServedModel
from service.settings import Settings

Say = Callable[[str], None]


def build_pipeline(settings: Settings, stack: ExitStack, say: Say) -> Pipeline:
    """Load the model, open what lasts, and put the service together; ``stack`` closes it all.

    Raises:
        ModelUnavailable, EditorMismatch, StorageError, EncoderError: says what is missing or does not fit.
    """
    compute = ComputeThread(settings.compute_threads)
    stack.callback(compute.close)
    base = load_base_model(settings.model, settings.directory, settings.dtype, say)
    say(f"model {base.name} ({str(base.model.dtype).removeprefix('torch.')}, {settings.compute_threads} threads)")
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    editor = open_editor(settings, base, encoder, say)
    prompts = PromptBuilder(PromptEncoder(base.tokenizer), base.context, settings.passage_tokens)
    engine = LocalEngine(base.model, base.tokenizer, compute, settings.batch)
    served = ServedModel(base, editor, engine, prompts, compute)
    scope = open_scope(settings.directory, editor, encoder, say)
    registry = open_registry(settings.directory, stack, scope, compute, say)
    writer = EditWriter(registry, EditComputation(served, registry, settings.verify_tokens))
    passages = build_passage_reader(settings, served, frozenset(engine.end_tokens), say)
    search = PassageSearch(open_indexes(settings, encoder, say), compute)
    answerer = Answerer(served, registry, search, passages)
    return Pipeline(served, registry, writer, answerer, search, settings.max_waiting)


def build_jobs(served: Pipeline, settings: Settings) -> Jobs:
    """The jobs of the service, by kind."""
    params = SamplingParams(max_tokens=settings.verify_tokens)

    def verify() -> Reverification:
        return Reverification(served.registry, served.prompts, served.generate_many, served.base.digest, params)

    return Jobs({"verify": verify})


def open_editor(settings: Settings, base: LoadedModel, encoder: Encoder, say: Say) -> EditorCheckpoint | None:
    """The chosen editor, the one shipped for this model, or fine-tuning; None where no scope head fits the encoder."""
    chosen = settings.editor or find_pretrained(base.digest)
    if chosen is not None and str(chosen) != FineTuning.name:
        editor = load_editor(chosen, base.model, base.digest)
        say(f"editor {editor.name}")
        return editor
    untrained = untrained_editor(base.model, encoder.digest)
    if untrained is None:
        say(f"no scope head is shipped for the encoder {encoder.name}: train an editor with 'errata train' to edit")
    else:
        say(f"{base.name} is edited by constrained {untrained.name}; 'errata train' makes an editor of its own for it")
    return untrained


def open_scope(home: Path, editor: EditorCheckpoint | None, encoder: Encoder, say: Say) -> ScopeIndex:
    """The scope index with the vectors kept under ``home``; a cache, so the service runs without it as well."""
    head, vectorise = editor.scope if editor else ScopeHead([Member(encoder.dimension)]), vectoriser(encoder)
    try:
        file = VectorCache(home / "scope", encoder.digest, encoder.dimension)
    except OSError as error:
        say(f"{home / 'scope'} cannot be used ({error}); wordings are embedded again at each start")
        file = None
    return ScopeIndex(head, vectorise, encoder.dimension, WordingVectors(vectorise, file, say))


def vectoriser(encoder: Encoder) -> Callable[[Sequence[str]], list[TextVectors]]:
    """The encoder as scope wants it."""

    def vectorise(texts: Sequence[str]) -> list[TextVectors]:
        return [TextVectors(sentence, tokens) for sentence, tokens in encoder.encode_tokens(texts)] if texts else []

    return vectorise


def open_registry(home: Path, stack: ExitStack, scope: ScopeIndex, compute: ComputeThread, say: Say) -> EditRegistry:
    """Ledger and factor files under ``home``, made where they are not there; says which edits are damaged.

    Raises:
        StorageError, CorruptLedger
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{home} cannot be made: {error}; set ERRATA_HOME to a directory that can be written"
        ) from error
    ledger = stack.enter_context(Ledger(f"sqlite:///{home / 'ledger.db'}"))
    registry = EditRegistry(ledger, EditStore(home / "edits"), scope, compute, say)
    state = registry.refresh()
    say(f"ledger at revision {state.revision}, {len(state.active)} edits in force")
    tell_missing_files(registry.health, say)
    return registry


def build_passage_reader(
    settings: Settings, served: ServedModel, end_tokens: frozenset[int], say: Say
) -> PassageReader:
    """Reads passages with the chosen or shipped reader, or with the model as it is.

    Raises:
        AdapterError: the chosen reader is damaged, or made for another model.
    """
    base, compute = served.base, served.compute
    reader = open_reader(settings.reader, base)
    say(f"reader {reader.card.name}" if reader else "no trained reader: answers from passages are the model's own")
    decoder = RagDecoder(base.model, base.tokenizer, end_tokens, compute, reader)
    return PassageReader(served.engine, served.prompts, compute, decoder, reader)


def open_indexes(settings: Settings, encoder: Encoder, say: Say) -> IndexManager:
    """The versions of the index; the active one is opened, or the default one built, in the background."""
    reranker = Reranker.load(settings.reranker) if settings.reranker else None
    manager = IndexManager(settings.directory / "indexes", encoder, say, reranker, settings.compute_threads)
    manager.start()
    return manager
