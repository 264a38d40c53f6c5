"""Models by name: packaged weights, checkpoints of all kinds, and wrong names and files."""

import csv
import json
import pickle
import sys
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from click.testing import CliRunner
from support.toy import picture
from timm.data import ImageNetInfo, resolve_model_data_config

from cli.models import models
from embeddings.embedder import Embedder, tags_of
from embeddings.errors import ModelError
from embeddings.imaging.geometry import InputSpec
from embeddings.models.model import PACKAGED, Model, packaged_file
from embeddings.models.network import from_checkpoint
from embeddings.settings import Settings
from embeddings.tagging.open_set import OpenSetGate, keep_gate

SMALL = "mobilenetv3_small_050"  # 1.6 M parameters


def weights(classes: int = 1000) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return timm.create_model(SMALL, num_classes=classes).state_dict()


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(weights(), path)
    return path


def test_the_packaged_model_needs_no_network_and_keeps_its_card(tmp_path):
    card = Model("tf_efficientnet_lite0", tmp_path).card
    assert card.identity.dimension == 1280
    assert (card.spec.height, card.spec.crop_pct, card.spec.interpolation) == (224, 0.875, "bicubic")
    assert len(card.classes) == 1000
    again = Model("tf_efficientnet_lite0", tmp_path)
    assert again.card == card
    assert "network" not in vars(again)


def test_a_damaged_card_is_made_again(tmp_path):
    model = Model("tf_efficientnet_lite0", tmp_path)
    card = model.card
    (model.directory / "card.json").write_text('{"identity": ')
    assert Model("tf_efficientnet_lite0", tmp_path).card == card


def test_packaged_weights_are_the_published_ones():
    assert packaged_file("tf_efficientnet_lite0").name in PACKAGED["tf_efficientnet_lite0"].file


def test_the_network_equals_timm(tmp_path):
    """Vectors are timm's pooled features, made length 1, of pixels normalised by the model's config."""
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(weights(), path)
    network = from_checkpoint(SMALL, path)
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(network.config[k]) for k in ("mean", "std"))
    images = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    trunk = timm.create_model(SMALL).eval()
    trunk.load_state_dict(weights())
    with torch.inference_mode():
        features = trunk.forward_head(trunk.forward_features(images), pre_logits=True)
        vectors, logits = network(pixels)
        assert torch.allclose(vectors, features / features.norm(dim=1, keepdim=True), atol=1e-5)
        assert torch.allclose(logits, trunk(images), atol=1e-3)


def test_the_fingerprint_follows_the_weights_not_the_file(tmp_path, checkpoint):
    torch.save({"state_dict": weights()}, tmp_path / "same.pth")
    changed = weights()
    changed["conv_stem.weight"] += 0.01
    safetensors.torch.save_file(changed, tmp_path / "changed.safetensors")
    one, same, other = (
        Model(f"{SMALL}@{tmp_path / name}", tmp_path).card.identity.fingerprint
        for name in ("weights.safetensors", "same.pth", "changed.safetensors")
    )
    assert one == same != other


def test_a_checkpoint_brings_its_own_classes_and_names(tmp_path):
    path = tmp_path / "fruit.safetensors"
    safetensors.torch.save_file(weights(classes=3), path)
    assert [c.name for c in Model(f"{SMALL}@{path}", tmp_path).card.classes] == ["class 0", "class 1", "class 2"]
    (tmp_path / "fruit.labels.txt").write_text("apple\npear\nplum\n")
    assert [c.name for c in Model(f"{SMALL}@{path}", tmp_path).card.classes] == ["apple", "pear", "plum"]
    (tmp_path / "fruit.labels.txt").write_text("apple\n")
    with pytest.raises(ModelError, match="1 names, but the model has 3 classes"):
        _ = Model(f"{SMALL}@{path}", tmp_path).card


@pytest.mark.parametrize("classes, first", [(11821, "genus"), (21841, "organism")])
def test_other_imagenet_label_sets_have_their_own_names(tmp_path, classes, first):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(weights(classes), path)
    card = Model(f"{SMALL}@{path}", tmp_path).card
    assert len(card.classes) == classes
    assert all(c.key.startswith("n") and c.name for c in card.classes)
    assert "tabby" in {c.name for c in card.classes}


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_a_headless_model_gives_vectors_and_no_tags(tmp_path, engine):
    path = tmp_path / "trunk.safetensors"
    safetensors.torch.save_file(weights(classes=0), path)
    settings = Settings(data=tmp_path, model=f"{SMALL}@{path}", engine=engine)
    with Embedder(settings) as embedder:
        assert embedder.headless
        (embedding,) = embedder.embed([picture("red")])
        assert embedding.vector.shape == (embedder.identity.dimension,)
        assert np.linalg.norm(embedding.vector) == pytest.approx(1.0, abs=1e-3)
        assert embedding.logits is None and embedder.tagger.labels(embedding.vector, embedding.logits) == ()
        assert tags_of([embedding], embedder.tagger) == [()]


def write_rubbish(path):
    path.write_bytes(b"not weights at all")


def write_unfit(path):
    safetensors.torch.save_file({"conv.weight": torch.zeros(3)}, path)


def write_other_shape(path):
    tensors = weights()
    tensors["conv_stem.weight"] = torch.zeros(7, 3, 3, 3)
    safetensors.torch.save_file(tensors, path)


class Attack:
    """A pickle that would run a command when it is loaded."""

    def __reduce__(self):
        return print, ("owned",)


def write_attack(path):
    path.write_bytes(pickle.dumps(Attack()))


@pytest.mark.parametrize(
    "name, write, says",
    [
        ("missing.safetensors", None, "there is no weights file"),
        ("weights.onnx", write_rubbish, "its name must end in"),
        ("weights.safetensors", write_rubbish, "damaged or holds more than plain weights"),
        ("weights.pth", write_rubbish, "damaged or holds more than plain weights"),
        ("weights.pth", write_attack, "damaged or holds more than plain weights"),
        ("weights.safetensors", write_unfit, "tensors are missing .first: conv_stem.weight.*1 are unknown"),
        ("weights.safetensors", write_other_shape, r"conv_stem.weight is \[7, 3, 3, 3\], not \[16, 3, 3, 3\]"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(tmp_path, capfd, name, write, says):
    path = tmp_path / name
    if write:
        write(path)
    with pytest.raises(ModelError, match=says) as caught:
        _ = Model(f"{SMALL}@{path}", tmp_path).card
    assert str(path) in caught.value.message and "\n" not in caught.value.message
    assert "owned" not in capfd.readouterr().out


@pytest.mark.parametrize("name, near", [("resnet5O", "resnet50"), ("eficientnet_b0", "efficientnet_b0")])
def test_an_unknown_model_is_answered_with_the_nearest_names(tmp_path, name, near):
    with pytest.raises(ModelError, match=f"timm has no model '{name}'.*{near}"):
        _ = Model(name, tmp_path).card


def test_an_unknown_tag_of_a_known_model_is_answered_with_its_tags(tmp_path):
    with pytest.raises(ModelError, match=r"resnet50\.a1_in1k"):
        _ = Model("resnet50.a1_in", tmp_path).card


@pytest.mark.parametrize("name", ["resnet18", "hf-hub:timm/resnet18.a1_in1k"])
def test_a_hub_that_cannot_be_reached_is_one_clear_sentence(tmp_path, monkeypatch, name):
    """Nothing listens at the hub's address, and the cache is empty."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="the model hub does not give them") as caught:
        _ = Model(name, tmp_path).card
    assert "tf_efficientnet_lite0" in caught.value.message


def test_a_temperature_fitted_on_this_machine_is_used(tmp_path):
    settings = Settings(data=tmp_path)
    with Embedder(settings) as embedder:
        (before,) = embedder.embed([picture("red", "blue")])
        (best_before, *_) = embedder.tagger.labels(before.vector, before.logits)
        (tmp_path / "calibration.json").write_text(json.dumps({embedder.identity.fingerprint: 5.0}))
    with Embedder(settings) as embedder:
        (after,) = embedder.embed([picture("red", "blue")])
        (best_after, *_) = embedder.tagger.labels(after.vector, after.logits)
    assert best_after.confidence < best_before.confidence
    assert np.array_equal(before.vector, after.vector)


def test_the_table_of_categories_has_every_class_in_the_order_of_timm():
    text = (files("embeddings") / "data" / "imagenet_categories.csv").read_text(encoding="utf-8")
    info = ImageNetInfo("imagenet-1k")
    wordnet_ids = [row["wordnet_id"] for row in csv.DictReader(text.splitlines())]
    assert wordnet_ids == [info.index_to_label_name(i) for i in range(1000)]


def test_the_table_of_models_agrees_with_timm():
    """`lookalike models` reads a table instead of creating eleven networks."""
    text = (files("embeddings") / "data" / "models.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        with torch.device("meta"):
            network = timm.create_model(row["name"])
        said = tuple(int(row[column]) for column in ("parameters", "dimension", "input_size"))
        parameters = sum(p.numel() for p in network.parameters())
        size = resolve_model_data_config(network)["input_size"][1]
        assert said == (parameters, network.head_hidden_size, size), row["name"]
        assert row["hub"] == network.pretrained_cfg["hf_hub_id"]


def test_the_table_of_models_knows_the_fingerprints_of_packaged_models_and_of_shipped_gates(tmp_path):
    text = (files("embeddings") / "data" / "models.csv").read_text(encoding="utf-8")
    listed = {row["name"]: row["fingerprint"] for row in csv.DictReader(text.splitlines()) if row["fingerprint"]}
    assert listed == {name: Model(name, tmp_path).card.identity.fingerprint for name in PACKAGED}
    assert json.loads((files("embeddings") / "data" / "open_set.json").read_text()).keys() <= set(listed.values())


def test_models_tells_which_have_a_gate_for_images_without_a_class(tmp_path):
    def gated() -> list[str]:
        listed = CliRunner().invoke(models, ["--json"], env={"LOOKALIKE_DATA": str(tmp_path)})
        return [model["name"] for model in json.loads(listed.output)["models"] if model["open_set_gate"]]

    assert gated() == ["tf_efficientnet_lite0"]
    used = Model("resnet50.a3_in1k", tmp_path)
    card = {
        "identity": {"name": used.name, "fingerprint": "0123456789ab", "dimension": 2},
        "spec": asdict(InputSpec(160, 160, 0.95, "center", "bicubic", (0, 0, 0))),
        "classes": [],
        "parameters": 1,
    }
    used.directory.mkdir(parents=True)
    (used.directory / "card.json").write_text(json.dumps(card))
    assert gated() == ["tf_efficientnet_lite0"]
    keep_gate("0123456789ab", OpenSetGate(np.zeros(2, np.float32), 0.0, 1.0, 1.0, 0.0), tmp_path)
    assert gated() == ["tf_efficientnet_lite0", "resnet50.a3_in1k"]
    table = CliRunner().invoke(models, [], env={"LOOKALIKE_DATA": str(tmp_path)}).output.splitlines()
    assert [line.split()[0] for line in table if line.endswith(" yes")] == gated()


def test_other_models_are_found_by_a_pattern():
    found = CliRunner().invoke(models, ["--find", "resnet18*", "--json"])
    assert found.exit_code == 0 and {"name": "resnet18.a1_in1k"} in json.loads(found.output)["models"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes where Linux has them")
def test_a_warm_embedder_has_all_its_processes(tmp_path):
    def children() -> set[str]:
        return {child for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()}

    with Embedder(Settings(data=tmp_path, decode_processes=3)) as embedder:
        before = children()
        embedder.warm_up()
        assert len(children() - before) == 3
