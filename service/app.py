"""The application: every object is built here, once, when it starts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

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
from service.answers.rag_decoder import RagDecoder
from service.answers.reader import open_reader
from service.api.routes.router import install_routes
from service.edits.computation import EditComputation
from service.edits.registry import EditRegistry
from service.edits.reverify import Reverification
from service.edits.startup_check import StartupCheck, glance_at_start
from service.edits.writer import EditWriter
from service.engines.compute_thread import ComputeThread
from service.engines.local import LocalEngine
from service.engines.model_loader import LoadedModel, load_base_model
from service.engines.protocol import SamplingParams
from service.jobs import Jobs
from service.pipeline import Pipeline
from service.prompt import PromptBuilder
from service.settings import Settings

logger = logging.getLogger(__name__)
Say = Callable[[str], None]


def create_app(settings: Settings | None = None, say: Say | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: from the environment when not given.
        say: hears what start-up is doing.
    """
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        import anyio.to_thread

        anyio.to_thread.current_default_thread_limiter().total_tokens = chosen.max_waiting + 16
        tell = say or logger.info
        with ExitStack() as stack:
            try:
                served = build_pipeline(chosen, stack, tell)
                stack.enter_context(StartupCheck(served.book.health, tell))
                app.state.jobs = stack.enter_context(_jobs(served, chosen))
                app.state.usecases = served
            except Exception as error:
                tell(f"cannot start: {error}")
                raise
            yield

    app = FastAPI(title="Errata", version="0.1.0", lifespan=lifespan)
    install_routes(app, chosen.max_body_bytes)
    return app


def build_pipeline(settings: Settings, stack: ExitStack, say: Say) -> Pipeline:
    """Load the model, open what lasts, and put the use-cases together; ``stack`` closes it all.

    Raises:
        ModelUnavailable, EditorMismatch, StorageError, EncoderError: says what is missing or does not fit.
    """
    home = settings.directory
    compute = ComputeThread(settings.compute_threads)
    stack.callback(compute.close)
    base = load_base_model(settings.model, home, settings.dtype, say)
    say(f"model {base.name} ({str(base.model.dtype).removeprefix('torch.')}, {settings.compute_threads} threads)")
    encoder = Encoder.load(settings.encoder, questions=settings.question_encoder)
    editor = open_editor(settings, base, encoder, say)
    scope = open_scope(home, editor, encoder, say)
    ledger = stack.enter_context(Ledger(f"sqlite:///{_made(home) / 'ledger.db'}"))
    book = compute.run(EditRegistry, ledger, EditStore(home / "edits"), scope, say)
    say(f"ledger at revision {book.refresh().revision}, {len(book.refresh().active)} edits in force")
    glance_at_start(book.health, say)
    prompts = PromptBuilder(PromptEncoder(base.tokenizer), base.context, settings.passage_tokens)
    engine = LocalEngine(base.model, base.tokenizer, compute, settings.batch)
    corrector = EditWriter(EditComputation(base, editor, engine, prompts, book, compute, settings.verify_tokens))
    reader = open_reader(settings.reader, base)
    say(f"reader {reader.card.name}" if reader else "no trained reader: answers from passages are the model's own")
    marginaliser = RagDecoder(base.model, base.tokenizer, frozenset(engine.end_tokens), compute, reader)
    answerer = Answerer(PassageReader(engine, prompts, compute, marginaliser, reader), book, compute)
    reranker = Reranker.load(settings.reranker) if settings.reranker else None
    library = IndexManager(home / "indexes", encoder, say, reranker, settings.compute_threads)
    library.start()
    return Pipeline(base, editor, engine, prompts, book, corrector, answerer, library, settings.max_waiting)


def _jobs(served: Pipeline, settings: Settings) -> Jobs:
    return Jobs({"verify": lambda: Reverification(served, SamplingParams(max_tokens=settings.verify_tokens))})


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


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be made: {error}; set ERRATA_HOME to a directory that can be written"
        ) from error
    return directory
