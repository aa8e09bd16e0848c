"""Builds the service: every object is made here, once, when it starts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from editing.editors.checkpoint import EditorCheckpoint, find_pretrained, load_editor
from editing.editors.fine_tuning import FineTuning
from editing.editors.untrained import untrained_editor
from editing.errors import StorageError
from editing.ledger.ledger import Ledger
from editing.model.prompts import PromptEncoder
from editing.scope.index import ScopeIndex
from editing.scope.model import PRETRAINED, load_scope_model
from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.store import EditStore
from retrieval.encoders.encoder import Encoder, locate_encoder
from retrieval.encoders.reranker import Reranker
from service.acting.edited_engine import EditedEngine
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
    editor = open_editor(settings, base, say)
    prompts = PromptBuilder(PromptEncoder(base.tokenizer), base.context, settings.passage_tokens)
    engine = LocalEngine(base.model, base.tokenizer, compute, settings.batch)
    edited = EditedEngine(engine, prompts, base.tokenizer, settings.edit_mode)
    served = ServedModel(base, editor, engine, edited, prompts, compute)
    scope = open_scope(settings, encoder, say)
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


def open_editor(settings: Settings, base: LoadedModel, say: Say) -> EditorCheckpoint:
    """The chosen editor, the one shipped for this model, or fine-tuning."""
    chosen = settings.editor or find_pretrained(base.digest)
    if chosen is not None and str(chosen) != FineTuning.name:
        editor = load_editor(chosen, base.model, base.digest)
        say(f"editor {editor.name}")
        return editor
    untrained = untrained_editor(base.model)
    say(f"{base.name} is edited by constrained {untrained.name}; 'errata train' makes an editor of its own for it")
    return untrained


def open_scope(settings: Settings, encoder: Encoder, say: Say) -> ScopeIndex:
    """The scope model and index, with the vectors kept under the home: a cache, so the service runs without it as well.

    Raises:
        EditorMismatch, EncoderError: the scope model or the encoder that it stands on cannot be opened.
    """
    folder = locate_encoder()
    own = encoder if settings.encoder is None else Encoder.load(None)
    model = load_scope_model(folder, settings.scope_model or PRETRAINED, settings.scope_margin)
    home = settings.directory
    try:
        file = VectorCache(home / "scope", own.digest, own.dimension)
    except OSError as error:
        say(f"{home / 'scope'} cannot be used ({error}); wordings are embedded again at each start")
        file = None
    return ScopeIndex(model, own.encode, own.dimension, WordingVectors(own.encode, file, say))


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
