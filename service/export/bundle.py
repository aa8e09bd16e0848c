"""A compiled change on disk: a LoRA adapter or a merged checkpoint, with what it is and how it was judged beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from editing.edit import Deltas, Edit, EditRequest
from editing.errors import StorageError
from editing.ledger.state import State
from editing.store import adapter_files
from editing.training.consolidate import ConsolidationResult
from errata.files import whole_folder
from service.engines.local import LocalEngine
from service.engines.model_loader import load_base_model
from service.engines.protocol import SamplingParams
from service.export.report import ExportReport, percent
from service.pipeline import Pipeline
from service.settings import Settings

ASKED_AGAIN = 24  # prompts that a merged checkpoint answers before it is given out
Say = Callable[[str], None]


@dataclass(frozen=True)
class Bundle:
    """Everything that is written."""

    pipeline: Pipeline
    settings: Settings
    state: State
    trained: ConsolidationResult
    report: ExportReport

    def write(self, out: Path, merged: bool, say: Say) -> dict[str, Any]:
        """Into a directory beside ``out`` that then takes its name, so that nothing half-written has it.

        Returns:
            What stands in ``compile.json``.

        Raises:
            StorageError: the disk does not take it.
        """
        try:
            with whole_folder(out) as temporary:
                more = self._merge(temporary, say) if merged else self._adapt(temporary)
                document = {**self.document(), **more}
                _write_json(temporary / "compile.json", document)
                (temporary / "README.md").write_text(card(document), encoding="utf-8")
                if out.exists():
                    out.rmdir()  # only if it is empty
        except (OSError, SafetensorError) as error:
            raise StorageError(f"{out} cannot be written: {error}") from error
        return document

    def document(self) -> dict[str, Any]:
        """Figures and digests."""
        registry, base, training = self.pipeline.registry, self.pipeline.base, self.trained
        head = registry.ledger.events(after=self.state.revision - 1, limit=1)[0]
        return {
            "base_model": {"name": base.name, "digest": base.digest},
            "revision": self.state.revision,
            "head_hash": head.hash,
            "edits": [{"id": i, "factors": registry.event(i).factors} for i in self.state.active],
            "rank": max(delta.rank for delta in training.deltas.values()),
            "modules": list(training.deltas),
            "training": {
                "steps": training.steps,
                "taken_from_step": training.best.step,
                "checks": [vars(check) for check in training.checks],
            },
            "report": self.report.document(),
            "not_as_wanted": [case.document() for case in self.report.cases if not case.alike],
        }

    def _adapt(self, directory: Path) -> dict[str, Any]:
        for name, content in adapter_files(self.trained.deltas, self.pipeline.base.name).items():
            (directory / name).write_bytes(content)
        return {"form": "adapter", "dtype": "float32"}

    def _merge(self, directory: Path, say: Say) -> dict[str, Any]:
        """W + B A in float32: in bfloat16 most of a small change is rounded away."""
        from transformers import AutoModelForCausalLM

        base = load_base_model(self.settings.model, self.settings.directory, "float32", say)
        prompts = [
            self.pipeline.prompts.question(c.prompt.view.text, "prompt", 32, c.prompt.view.raw).ids
            for c in self.report.cases[:: max(1, len(self.report.cases) // ASKED_AGAIN)]
        ]
        wanted = self._answers(base.model, prompts, self.trained.deltas)
        merge(base.model, self.trained.deltas)
        base.model.save_pretrained(directory)
        base.tokenizer.save_pretrained(directory)
        loaded = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        same = [a == b for a, b in zip(wanted, self._answers(loaded, prompts, {}), strict=True)]
        say(f"the merged checkpoint answers {sum(same)} of {len(same)} prompts word for word as the adapter")
        return {"form": "merged", "dtype": "float32", "same_as_adapter": {"same": sum(same), "of": len(same)}}

    def _answers(self, model: Any, prompts: list[tuple[int, ...]], deltas: Deltas) -> list[str]:
        engine = LocalEngine(model, self.pipeline.base.tokenizer, self.pipeline.compute)
        change = [Edit("compiled", EditRequest("", ""), deltas)] if deltas else []
        return [made.text for made in engine.generate(prompts, [change] * len(prompts), SamplingParams(max_tokens=32))]


@torch.no_grad()
def merge(model: nn.Module, deltas: Deltas) -> None:
    """W ← W + B A for every changed layer; GPT-2's ``Conv1D`` stores Wᵀ."""
    for name, delta in deltas.items():
        module = model.get_submodule(name)
        change = delta.dense() if isinstance(module, nn.Linear) else delta.dense().T
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        weight += change.to(weight.dtype)


def check_target(out: Path) -> None:
    """Raises StorageError: it is there already and not an empty directory."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} exists and is not an empty directory; choose another --out")


def card(document: dict[str, Any]) -> str:
    """A model card with the figures."""
    report, base, adapter = document["report"], document["base_model"], document["form"] == "adapter"
    load = (
        "`PeftModel.from_pretrained(base, directory)` puts it on the base model."
        if adapter
        else "It is a transformers checkpoint in float32; rounding it to bfloat16 loses part of the change."
    )
    passed = "It met what was asked of it." if report["passed"] else "**It fell below what was asked of it.**"
    return f"""---
library_name: {"peft" if adapter else "transformers"}
base_model: {base["name"]}
tags: [errata]
---

# {len(document["edits"])} corrections in one {"adapter" if adapter else "checkpoint"}

Compiled by `errata compile` from revision {document["revision"]} of a ledger whose event there has the \
hash `{document["head_hash"]}`, for the base model `{base["name"]}` with digest `{base["digest"]}`. {load}

There is no scope decision in it: every correction acts on every prompt. {passed}

{_card_table(report)}

Rank {document["rank"]}, {document["training"]["steps"]} steps; greedy decoding. `compile.json` has more.
"""


def _card_table(report: dict[str, Any]) -> str:
    columns = ("served", "right", "begins_alike")
    rows = [(kind, *(percent(figures.get(name)) for name in columns)) for kind, figures in report["kinds"].items()]
    head = ("| prompts | service, as wanted | compiled, as wanted | begins as wanted |", "|---|---|---|---|")
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
