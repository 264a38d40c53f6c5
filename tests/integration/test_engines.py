"""Every engine gives the same vectors for the same pixels."""

from typing import get_args

import numpy as np
import pytest
import skimage.data
from PIL import Image

from embeddings.engines.openvino_engine import OpenVinoEngine
from embeddings.engines.registry import ENGINES, make_engine
from embeddings.engines.torch_engine import TorchEngine, cuda_works
from embeddings.errors import ModelError, UsageError
from embeddings.models.model import Model
from embeddings.settings import Settings

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "retina", "camera")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model("tf_efficientnet_lite0", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pixels():
    pictures = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize((224, 224)) for name in PHOTOS]
    return np.stack([np.asarray(image) for image in pictures])


@pytest.fixture(scope="module")
def reference(model, pixels):
    return TorchEngine(model, "fp32").run(pixels)


def bf16_or_skip(model) -> OpenVinoEngine:
    try:
        return OpenVinoEngine(model, "bf16")
    except ModelError as error:
        pytest.skip(str(error))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def agreement(engine, pixels, reference) -> float:
    output = engine.run(pixels)
    vectors, logits = output.vectors, output.logits
    assert vectors.dtype == np.float32 and logits.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    assert cosines(logits, reference.logits).min() >= 0.99
    return float(cosines(vectors, reference.vectors).min())


def test_openvino_agrees_with_torch_in_fp32(model, pixels, reference):
    assert agreement(OpenVinoEngine(model, "fp32"), pixels, reference) >= 0.999


def test_openvino_agrees_with_torch_in_bf16(model, pixels, reference):
    assert agreement(bf16_or_skip(model), pixels, reference) >= 0.99


def test_torch_agrees_with_itself_in_bf16(model, pixels, reference):
    assert agreement(TorchEngine(model, "bf16"), pixels, reference) >= 0.99


def test_a_vector_does_not_depend_on_the_batch(model, pixels):
    engine = OpenVinoEngine(model, "auto")
    together = engine.run(pixels).vectors
    alone = np.concatenate([engine.run(pixels[i : i + 1]).vectors for i in range(len(pixels))])
    assert (together * alone).sum(axis=1).min() >= 0.9999


def test_auto_takes_openvino_where_there_is_no_gpu(model):
    engine = make_engine(model)
    assert engine.name.startswith("torch cuda" if cuda_works() else "openvino cpu")


def test_the_setting_offers_every_engine():
    choices = get_args(Settings.model_fields["engine"].annotation)
    assert set(choices) == {"auto", *ENGINES}


@pytest.mark.skipif(cuda_works(), reason="this machine has a GPU")
def test_a_missing_gpu_is_one_clear_sentence(model):
    with pytest.raises(ModelError, match="there is no device cuda:3 here: set LOOKALIKE_DEVICE"):
        make_engine(model, "torch", "cuda:3")


def test_openvino_on_a_gpu_is_refused(model):
    with pytest.raises(UsageError, match="LOOKALIKE_ENGINE=openvino runs on the processor"):
        make_engine(model, "openvino", "cuda")


@pytest.mark.skipif(not cuda_works(), reason="needs a GPU")
def test_cuda_agrees_with_the_processor(model, pixels, reference):
    assert agreement(TorchEngine(model, "cuda", "fp32"), pixels, reference) >= 0.999
    assert agreement(TorchEngine(model, "cuda", "auto"), pixels, reference) >= 0.99
