"""The engine for GPUs on the processor: the same batches, buffers, precisions and fallbacks, without the graphs."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.engines import cuda_engine
from embeddings.engines.cuda_engine import CudaEngine, Load, Program
from embeddings.engines.torch_engine import TorchEngine
from embeddings.errors import ModelError
from embeddings.models.model import Model

CPU = torch.device("cpu")
MODEL = "test_efficientnet"  # timm's smallest: 160 pixels


def model(data: Path) -> Model:
    torch.manual_seed(1)
    return Model(MODEL, data, random_weights=True)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda_engine, "BATCH", 8)
    monkeypatch.setattr(cuda_engine, "SMALL", 2)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (21, 160, 160, 3), dtype=np.uint8)


def test_padded_batches_give_what_single_images_give(tmp_path: Path, pixels: np.ndarray):
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels)
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    for count in (1, 2, 3, 8, 9, 21):
        found = engine.run(pixels[:count])
        assert np.allclose(found.vectors, wanted.vectors[:count], atol=1e-5)
        assert wanted.logits is not None and found.logits is not None
        assert np.allclose(found.logits, wanted.logits[:count], atol=1e-4)
    assert {size for size in engine._free if engine._free[size]} == {1, 2, 8}


def test_images_come_one_by_one_or_in_one_array(tmp_path: Path, pixels: np.ndarray):
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    assert np.array_equal(engine.run(list(pixels[:5])).vectors, engine.run(pixels[:5]).vectors)


def test_outputs_outlive_the_next_run(tmp_path: Path, pixels: np.ndarray):
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    first = engine.run(pixels[:3])
    kept = first.vectors.copy()
    engine.run(pixels[3:6])
    assert np.array_equal(first.vectors, kept)


def test_threads_do_not_mix_their_images(tmp_path: Path, pixels: np.ndarray):
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    wanted = engine.run(pixels).vectors
    wrong = []

    def work(first: int) -> None:
        for _ in range(5):
            if not np.allclose(engine.run(pixels[first : first + 5]).vectors, wanted[first : first + 5], atol=1e-5):
                wrong.append(first)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5, 10, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(len(programs) <= cuda_engine.PROGRAMS for programs in engine._free.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_same_vectors(tmp_path: Path, pixels: np.ndarray, precision: str):
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels[:3]).vectors
    engine = CudaEngine(model(tmp_path), CPU, precision)
    assert engine.name == f"torch cpu {precision}"
    found = engine.run(pixels[:3]).vectors
    assert found.dtype == np.float32
    assert ((found * wanted).sum(axis=1) > 0.99).all()


def test_a_network_that_overflows_in_half_precision_runs_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cast = cuda_engine.Network.cast

    def overflowing(network: cuda_engine.Network, dtype: torch.dtype) -> cuda_engine.Network:
        if dtype == torch.float16:
            network.mean = network.mean * torch.nan
        return cast(network, dtype)

    monkeypatch.setattr(cuda_engine.Network, "cast", overflowing)
    assert CudaEngine(model(tmp_path), CPU, "auto").name == "torch cpu bf16"


def out_of_memory(above: int) -> Callable[..., Program]:
    def make(network: cuda_engine.Run, shape: tuple[int, int, int, int], device: torch.device) -> Program:
        if shape[0] > above:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Program(network, shape, device)

    return make


def test_a_batch_that_does_not_fit_is_halved_for_good(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(cuda_engine, "SMALL", 1)
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels).vectors
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    monkeypatch.setattr(cuda_engine, "Program", out_of_memory(above=2))
    assert np.allclose(engine.run(pixels).vectors, wanted, atol=1e-5)
    assert engine.batch == 2
    assert [record.getMessage() for record in caplog.records] == [
        "cpu has not enough memory: batches have 4 images now",
        "cpu has not enough memory: batches have 2 images now",
    ]


def test_an_image_that_does_not_fit_is_an_error(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    monkeypatch.setattr(cuda_engine, "Program", out_of_memory(above=0))
    with pytest.raises(ModelError, match="not enough memory for one image"):
        engine.run(pixels[:3])


def compiling(monkeypatch: pytest.MonkeyPatch, made: Callable[[torch.nn.Module], cuda_engine.Run]) -> list[int]:
    """Have `made` stand for torch.compile, and compiling begin after three whole batches; return what counts them."""
    calls: list[int] = []

    def compile_(network: torch.nn.Module, dynamic: bool) -> cuda_engine.Run:
        assert not dynamic
        calls.append(1)
        return made(network)

    monkeypatch.setattr(cuda_engine, "ENOUGH_RUNS", 3)
    monkeypatch.setattr(cuda_engine, "HIGH_LOAD", 0.0)
    monkeypatch.setattr(cuda_engine.torch, "compile", compile_)
    return calls


def test_whole_batches_are_compiled_once_the_network_is_busy(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    runs: list[int] = []

    def made(network: torch.nn.Module) -> cuda_engine.Run:
        def run(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            runs.append(len(batch))
            outputs: tuple[torch.Tensor, ...] = network(batch)
            return outputs

        return run

    calls = compiling(monkeypatch, made)
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    engine.run(pixels[:16])
    engine.run(pixels[:2])
    assert not calls
    engine.run(pixels[:8])
    engine.run(pixels[:2])
    assert calls == [1]
    runs.clear()
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels).vectors
    assert np.allclose(engine.run(pixels).vectors, wanted, atol=1e-5)
    assert set(runs) == {8}
    assert calls == [1]


def test_a_network_that_cannot_be_compiled_runs_as_before(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def made(network: torch.nn.Module) -> cuda_engine.Run:
        def run(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            raise RuntimeError("no compiler of C\nwith many more lines")

        return run

    calls = compiling(monkeypatch, made)
    engine = CudaEngine(model(tmp_path), CPU, "fp32")
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels).vectors
    for _ in range(3):
        assert np.allclose(engine.run(pixels).vectors, wanted, atol=1e-5)
    assert calls == [1]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["the network is not compiled, and slower: no compiler of C"]


def test_the_load_is_high_when_the_network_works_most_of_the_time():
    idle, busy = Load(), Load()
    for i in range(cuda_engine.ENOUGH_RUNS):
        idle.add(i, i + 0.5, True)
        assert not busy.is_high
        busy.add(i, i + 0.9, True)
    assert busy.is_high and not idle.is_high


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_graphs_on_a_gpu_give_what_the_processor_gives(tmp_path: Path, pixels: np.ndarray):
    wanted = TorchEngine(model(tmp_path), "fp32").run(pixels).vectors
    for precision, least in (("fp32", 0.999), ("fp16", 0.99), ("bf16", 0.99)):
        found = CudaEngine(model(tmp_path), torch.device("cuda"), precision).run(pixels).vectors
        assert ((found * wanted).sum(axis=1) > least).all()
