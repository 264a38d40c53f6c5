"""The promises of docker-compose.yml, Dockerfile and .env.example: nothing open, nothing unbounded, nothing unknown."""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # comes with timm

from deploy.requirements import requirements
from embeddings.settings import PREFIX, Settings, read_settings
from lookalike import COMMANDS, commands

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXACT = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<kind>:[-?])(?P<rest>[^}]*)\}")
TAKEN_FROM_ENV = {name for service in OURS.values() for name, value in service["environment"].items() if value is None}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
our_services = pytest.mark.parametrize("service", OURS.values(), ids=OURS)


def filled_in(text: str, **given: str) -> str:
    """Return a text of the compose file with what `given` and the defaults make of its variables."""
    return VARIABLE.sub(lambda found: given.get(found["name"], found["rest"]), text)


def example() -> dict[str, bool]:
    """Return the variables of .env.example, and whether each must be set."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"(#?)([A-Z_0-9]+)=(.*)", line) for line in lines]
    return {match[2]: not match[1] for match in found if match}


def test_the_services_are_those_that_the_readme_promises() -> None:
    assert set(SERVICES) == {"api", "worker", "worker-gpu", "redis", "milvus"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"worker-gpu"}


@every_service
def test_a_service_is_watched_bounded_and_started_again(service: dict[str, Any]) -> None:
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@every_service
def test_a_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert "network_mode" not in service


@every_service
def test_nothing_is_published_beyond_this_machine(service: dict[str, Any]) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", ["milvus", "redis"])
def test_the_stores_cannot_be_reached_from_outside(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert SERVICES[name]["networks"] == ["store"]
    assert yaml.safe_load(COMPOSE)["networks"]["store"]["internal"] is True


@every_service
def test_an_image_is_an_exact_release(service: dict[str, Any]) -> None:
    assert EXACT.fullmatch(service["image"]), service["image"]


@our_services
def test_our_images_bear_the_version_of_the_project(service: dict[str, Any]) -> None:
    target = service["build"]["target"]
    assert service["image"] == f"lookalike:{PROJECT['project']['version']}-{target}"
    assert re.search(rf"^FROM runtime AS {target}$", DOCKERFILE, re.MULTILINE)


def test_the_image_builds_on_an_exact_release() -> None:
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert EXACT.fullmatch(base)
    names = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert {source for source, _ in names} == {"${PYTHON}", "runtime"}


def test_the_image_runs_as_nobody_special() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["${UID}:${UID}"]
    assert "ARG UID=10001" in DOCKERFILE


def test_the_image_has_every_package_of_the_project() -> None:
    kept = set((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    packages = {f"!{name.rstrip('*')}" for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"!{name}.py" for name in PROJECT["tool"]["setuptools"]["py-modules"]}
    assert packages | modules | {"!pyproject.toml", "!README.md", "!LICENSE", "!deploy/requirements.py"} <= kept


def test_the_image_installs_what_the_project_asks_for() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    project = PROJECT["project"]
    expected = {*project["dependencies"], *project["optional-dependencies"]["s3"]}
    assert set(requirements(ROOT / "pyproject.toml", extras.split(","))) >= expected


@our_services
def test_every_setting_that_is_given_is_one_that_is_read(service: dict[str, Any]) -> None:
    given = {name.removeprefix(PREFIX).lower() for name in service["environment"] if name.startswith(PREFIX)}
    assert given <= set(Settings.model_fields)


@our_services
def test_the_values_of_the_settings_are_taken(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service["environment"].items():
        if value is not None:
            monkeypatch.setenv(name, filled_in(value, MILVUS_PASSWORD="a1", REDIS_PASSWORD="b2"))
    settings = read_settings()
    assert settings.milvus_token == "root:a1"
    assert {name: str(place) for name, place in settings.libraries.items()} == {"photos": "/photos"}


@pytest.mark.parametrize("file", ["Dockerfile", ".env.example"])
def test_every_setting_that_is_named_is_one_that_is_read(file: str) -> None:
    named = re.findall(rf"{PREFIX}(\w+)", (ROOT / file).read_text(encoding="utf-8"))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_example_names_the_variables_of_the_compose_file_and_no_others() -> None:
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE)} | TAKEN_FROM_ENV
    assert set(example()) == used


def test_the_example_says_which_variables_must_be_set() -> None:
    needed = {found["name"] for found in VARIABLE.finditer(COMPOSE) if found["kind"] == ":?"}
    assert {name for name, must in example().items() if must} == needed
    assert {"MILVUS_PASSWORD", "REDIS_PASSWORD"} <= needed


def test_the_passwords_are_not_committed() -> None:
    assert "/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not any(line.startswith("!.env") for line in (ROOT / ".dockerignore").read_text().splitlines())


@our_services
def test_a_command_is_one_that_lookalike_understands(service: dict[str, Any]) -> None:
    name, *arguments = service["command"]
    assert name in COMMANDS
    with click.Context(commands) as context:
        command = commands.get_command(context, name)
        assert command is not None
        command.make_context(name, arguments, parent=context)


@our_services
def test_a_service_of_ours_writes_to_its_volume_only_and_never_to_the_pictures(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    pictures = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    assert [(volume["target"], volume["read_only"]) for volume in pictures] == [("/photos", True)]
    assert [volume for volume in service["volumes"] if isinstance(volume, str)] == ["data:/data"]


@our_services
def test_a_service_of_ours_waits_for_the_stores(service: dict[str, Any]) -> None:
    assert service["depends_on"] == {name: {"condition": "service_healthy"} for name in ("milvus", "redis")}


def test_health_is_asked_where_it_is_told() -> None:
    api = SERVICES["api"]
    port = api["command"][api["command"].index("--port") + 1]
    assert api["ports"][0].endswith(f":{port}")
    assert f"http://127.0.0.1:{port}/health" in api["healthcheck"]["test"][-1]
    for name in ("worker", "worker-gpu"):
        told = SERVICES[name]["environment"]["LOOKALIKE_METRICS_PORT"]
        assert f"http://127.0.0.1:{told}/metrics" in SERVICES[name]["healthcheck"]["test"][-1]


def test_redis_keeps_what_it_was_given() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "redis:/data" in SERVICES["redis"]["volumes"]
    assert "requirepass $$REDIS_PASSWORD" in command


def test_milvus_asks_for_a_password_of_ours() -> None:
    environment = SERVICES["milvus"]["environment"]
    assert environment["COMMON_SECURITY_AUTHORIZATIONENABLED"] == "true"
    assert environment["COMMON_SECURITY_DEFAULTROOTPASSWORD"] == "${MILVUS_PASSWORD:?set it in .env}"
    assert OURS["api"]["environment"]["LOOKALIKE_MILVUS_TOKEN"] == "root:${MILVUS_PASSWORD:?set it in .env}"


def test_the_etcd_in_milvus_listens_to_milvus_only() -> None:
    etcd = yaml.safe_load((ROOT / "deploy" / "etcd.yaml").read_text(encoding="utf-8"))
    assert etcd["listen-client-urls"] == etcd["advertise-client-urls"] == "http://127.0.0.1:2379"
    assert "./deploy/etcd.yaml:/milvus/configs/embedEtcd.yaml:ro" in SERVICES["milvus"]["volumes"]


def test_a_gpu_worker_has_one_gpu() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["${GPU:-0}"], "capabilities": ["gpu"]}
