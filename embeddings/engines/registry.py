"""The table of engines and the choice among them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from embeddings.engines.base import Engine
from embeddings.errors import UsageError
from embeddings.models.model import Model

# A driver creates one of these. Without any, importing torch (which takes seconds) to ask for CUDA is useless.
CUDA_SIGNS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")


@dataclass(frozen=True)
class EngineType:
    """One kind of engine. `load` takes model, device and precision; it alone imports the engine's `library`."""

    library: str
    cuda: bool
    load: Callable[[Model, str, str], Engine]

    def available(self) -> bool:
        """Return whether the library is installed, without importing it."""
        return find_spec(self.library) is not None


def _openvino(model: Model, device: str, precision: str) -> Engine:
    engine: Engine = importlib.import_module("embeddings.engines.openvino_engine").OpenVinoEngine(model, precision)
    return engine


def _torch(model: Model, device: str, precision: str) -> Engine:
    engine: Engine = importlib.import_module("embeddings.engines.torch_engine").load(model, device, precision)
    return engine


# By their names in LOOKALIKE_ENGINE (the choices of embeddings.settings); 'auto' takes the first that fits.
ENGINES = {
    "openvino": EngineType("openvino", cuda=False, load=_openvino),
    "torch": EngineType("torch", cuda=True, load=_torch),
}


def make_engine(model: Model, engine: str = "auto", device: str = "auto", precision: str = "auto") -> Engine:
    """Return the engine of that name; 'auto' takes one for CUDA where CUDA works, else the first for the processor.

    Raises ModelError if the model cannot be loaded, UsageError if the engine does not run on the device or its library
    is not installed.
    """
    name = _choose(device) if engine == "auto" else engine
    if device.startswith("cuda") and not ENGINES[name].cuda:
        raise UsageError(f"LOOKALIKE_ENGINE={name} runs on the processor: set LOOKALIKE_DEVICE to auto or cpu")
    if not ENGINES[name].available():
        raise UsageError(f"LOOKALIKE_ENGINE={name} needs the package {ENGINES[name].library}, which is not installed")
    return ENGINES[name].load(model, device, precision)


def _choose(device: str) -> str:
    """Return the first available engine for the device, else the last one of the table."""
    cuda = device.startswith("cuda") or (device == "auto" and _cuda_works())
    names = [name for name, engine in ENGINES.items() if engine.cuda or not cuda]
    return next((name for name in names if ENGINES[name].available()), names[-1])


def _cuda_works() -> bool:
    if not any(Path(sign).exists() for sign in CUDA_SIGNS):
        return False
    works: bool = importlib.import_module("embeddings.engines.torch_engine").cuda_works()
    return works
