import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from editing.edit import Deltas, LowRankDelta
from editing.errors import CorruptFactors, StorageError
from editing.ledger.ledger import Ledger
from editing.store import EditStore
from errata.lora import CONFIG, WEIGHTS

TOKENS = torch.arange(12).reshape(2, 6)


@pytest.fixture
def store(tmp_path: Path) -> EditStore:
    return EditStore(tmp_path / "edits")


def delta(inputs: int = 8, outputs: int = 6, rank: int = 2, dtype: torch.dtype = torch.float32) -> LowRankDelta:
    return LowRankDelta(torch.randn(rank, inputs).to(dtype), torch.randn(outputs, rank).to(dtype))


def some_deltas(seed: int = 0) -> dict[str, LowRankDelta]:
    torch.manual_seed(seed)
    return {f"model.layers.{i}.mlp.down_proj": delta() for i in (1, 2, 10)}


def digests(store: EditStore) -> list[str]:
    """Names of everything that lies in the store."""
    return sorted(path.name for path in store.root.glob("??/" + "?" * 64))


def folder(store: EditStore, digest: str) -> Path:
    return store.root / digest[:2] / digest


def assert_same(one: Deltas, two: Deltas) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert (one[name].A.dtype, one[name].B.dtype) == (two[name].A.dtype, two[name].B.dtype)
        assert torch.equal(one[name].A, two[name].A)
        assert torch.equal(one[name].B, two[name].B)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_saved_is_what_is_loaded(store: EditStore, dtype: torch.dtype) -> None:
    """Bit for bit, dtype included, also for views of a larger tensor and for one tensor used twice."""
    wide = torch.randn(6, 9).to(dtype)
    shared = delta(dtype=dtype)
    deltas = {"a.b": LowRankDelta(wide.T[:2, :4], wide[:, ::5]), "a.c": shared, "d": shared, "e": delta(rank=1)}
    digest = store.save(deltas)
    assert_same(store.load(digest), deltas)
    assert_same(EditStore(store.root).load(digest), deltas)


def test_the_name_is_the_digest_of_the_content(store: EditStore) -> None:
    """Same content, same name, whatever the order of the modules; other content or base model, another name."""
    deltas = some_deltas()
    digest = store.save(deltas, "base")
    content = (folder(store, digest) / CONFIG).read_bytes() + (folder(store, digest) / WEIGHTS).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert store.size(digest) == len(content)
    assert store.save(dict(reversed(deltas.items())), "base") == digest
    assert len({digest, store.save(deltas, "other"), store.save(some_deltas(1), "base")}) == 3


def test_saving_again_writes_nothing(store: EditStore) -> None:
    """The files of the first time stay as they are."""
    digest = store.save(some_deltas())

    def written() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder(store, digest).iterdir()}

    before = written()
    assert store.save(some_deltas()) == digest
    assert written() == before
    assert list((store.root / ".tmp").iterdir()) == []


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_changed_file_is_found_and_saving_again_repairs_it(store: EditStore, name: str, damage: str) -> None:
    """One byte is enough; the edit is never loaded from a file that is not what its name says."""
    digest = store.save(some_deltas())
    store.check(digest)
    path = folder(store, digest) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-1])
    for read in (store.check, store.load):
        with pytest.raises(CorruptFactors) as caught:
            read(digest)
        assert caught.value.digest == digest
    assert store.save(some_deltas()) == digest
    assert_same(store.load(digest), some_deltas())
    assert list((store.root / ".tmp").iterdir()) == []


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "0" * 63 + "/", "A" * 64])
def test_what_is_not_there_is_missing(store: EditStore, digest: str) -> None:
    """A name that is no digest does not lead out of the store."""
    for read in (store.check, store.load, store.size):
        with pytest.raises(CorruptFactors, match=r"missing|not a digest"):
            read(digest)


def test_a_foreign_file_with_the_right_digest_is_no_edit(store: EditStore) -> None:
    """Content that is no adapter is named as such."""
    digest = hashlib.sha256(b"{}junk").hexdigest()
    folder(store, digest).mkdir(parents=True)
    (folder(store, digest) / CONFIG).write_bytes(b"{}")
    (folder(store, digest) / WEIGHTS).write_bytes(b"junk")
    with pytest.raises(CorruptFactors, match="is no edit"):
        store.load(digest)


@pytest.mark.parametrize("seam", ["fsync", "rename", "write_bytes", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_leaves_nothing(
    store: EditStore, monkeypatch: pytest.MonkeyPatch, seam: str, code: int
) -> None:
    """Full or read-only, at whichever step: it is said, older edits still load, and no half edit has a name."""
    older = store.save(some_deltas(1))

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        target = {"fsync": (os, "fsync"), "write_bytes": (Path, "open")}.get(seam, (Path, seam))
        patch.setattr(*target, fail)
        with pytest.raises(StorageError, match=os.strerror(code)):
            store.save(some_deltas(2))
    assert_same(store.load(older), some_deltas(1))
    assert digests(store) == [older]
    assert_same(store.load(store.save(some_deltas(2))), some_deltas(2))


def test_a_file_that_cannot_be_read_is_no_damage(store: EditStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error is a matter of the disk, not of the content."""
    digest = store.save(some_deltas())

    def fail(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(StorageError, match="cannot be read"):
        store.check(digest)


def test_what_a_crashed_writer_left_is_harmless_and_goes_away(store: EditStore) -> None:
    """An old temporary directory is removed by the next save, a young one may belong to a living writer."""
    old, young = store.root / ".tmp" / "old", store.root / ".tmp" / "young"
    for path in (old, young):
        path.mkdir(parents=True)
        (path / WEIGHTS).write_bytes(b"half")
    os.utime(old, (1, 1))
    digest = store.save(some_deltas())
    assert_same(store.load(digest), some_deltas())
    assert digests(store) == [digest]
    assert (old.exists(), young.exists()) == (False, True)


def test_a_crash_between_file_and_row_leaves_an_unused_file_only(tmp_path: Path) -> None:
    """kill -9 after the factors and before the event: the ledger knows nothing, the store holds a whole edit."""
    script = (
        "import os, sys, signal, pathlib, torch\n"
        "from editing.edit import LowRankDelta\n"
        "from editing.ledger.ledger import Ledger; from editing.store import EditStore\n"
        "home = pathlib.Path(sys.argv[1]); ledger = Ledger(f'sqlite:///{home}/ledger.db')\n"
        "EditStore(home / 'edits').save({'m': LowRankDelta(torch.ones(1, 3), torch.ones(2, 1))})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    store = EditStore(tmp_path / "edits")
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        assert (ledger.head(), ledger.verify().ok) == (0, True)
    (leftover,) = digests(store)
    store.check(leftover)


def test_writers_of_the_same_content_do_not_disturb_each_other(store: EditStore) -> None:
    """Many threads save one edit: all get its name, and every reader finds it whole."""
    deltas, digests = some_deltas(), list[str]()

    def write() -> None:
        digest = store.save(deltas)
        store.check(digest)
        digests.append(digest)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [digests[0]] * 8
    assert list((store.root / ".tmp").iterdir()) == []


def test_an_edit_without_deltas_is_no_edit(store: EditStore) -> None:
    """There is nothing that PEFT could load."""
    with pytest.raises(ValueError, match="at least one module"):
        store.save({})


def llama() -> PreTrainedModel:
    size = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "vocab_size": 32}
    return LlamaForCausalLM(LlamaConfig(num_hidden_layers=12, **size)).eval()


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_inner=24, n_head=2, n_layer=2, vocab_size=32, n_positions=16)).eval()


def with_side_paths(model: PreTrainedModel, deltas: Deltas) -> Tensor:
    """Logits with y + (x Aᵀ) Bᵀ at the edited layers."""

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, change: LowRankDelta) -> Tensor:
        return output + inputs[0] @ change.A.T @ change.B.T

    def hook(change: LowRankDelta):  # type: ignore[no-untyped-def]
        return lambda module, inputs, output: add(module, inputs, output, change)

    handles = [model.get_submodule(name).register_forward_hook(hook(change)) for name, change in deltas.items()]
    logits: Tensor = model(TOKENS).logits
    for handle in handles:
        handle.remove()
    return logits


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (llama, {"model.layers.1.mlp.down_proj": (24, 16, 3), "model.layers.11.mlp.up_proj": (16, 24, 3)}),
        (llama, {"model.layers.1.mlp.down_proj": (24, 16, 3), "model.layers.11.mlp.down_proj": (24, 16, 1)}),
        (gpt2, {"transformer.h.1.mlp.c_fc": (16, 24, 2), "transformer.h.1.mlp.c_proj": (24, 16, 2)}),
    ],
)
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_peft_loads_an_edit_and_answers_the_same(store: EditStore, build, shapes) -> None:  # type: ignore[no-untyped-def]
    """The directory is a LoRA adapter as it stands, for ``Linear`` and ``Conv1D``, also with a rank per module."""
    torch.manual_seed(0)
    model = build()
    deltas = {name: delta(*shape) for name, shape in shapes.items()}
    digest = store.save(deltas, base_model="tiny")
    with torch.no_grad():
        base, wanted = model(TOKENS).logits, with_side_paths(model, deltas)
        adapted = PeftModel.from_pretrained(model, str(folder(store, digest))).eval()
        got = adapted(TOKENS).logits
        with adapted.disable_adapter():
            assert torch.equal(adapted(TOKENS).logits, base)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert (got - base).abs().max() > 0.01
    edited = [name for name, module in adapted.base_model.model.named_modules() if hasattr(module, "lora_A")]
    assert sorted(edited) == sorted(deltas)
    assert json.loads((folder(store, digest) / CONFIG).read_text())["base_model_name_or_path"] == "tiny"


def test_the_digest_of_known_factors_is_known(tmp_path: Path) -> None:
    """Ledgers name factor files by it, so no release may write the same factors otherwise."""
    random = torch.Generator().manual_seed(3)
    one = LowRankDelta(torch.randn(3, 5, generator=random), torch.randn(4, 3, generator=random))
    A, B = torch.randn(2, 5, generator=random), torch.randn(4, 2, generator=random)
    other = LowRankDelta(A.bfloat16(), B.bfloat16())
    names = [f"model.layers.{n}.mlp.down_proj" for n in (27, 28)]
    digest = EditStore(tmp_path).save(dict(zip(names, (one, other), strict=True)), "base")
    assert digest == "6de371b30b93f62a260960a0cc015d781c31a121a02b6f460e00b690f9e4e7f8"
