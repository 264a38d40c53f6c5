"""Every environment variable, read once at start-up."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from embeddings.errors import UsageError

PREFIX = "LOOKALIKE_"


def _sources(value: Any) -> Any:
    """Take 'name=path,name=path'."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not all(name.strip() and path.strip() for name, _, path in pairs):
        raise ValueError("it must be name=path,name=path")
    return {name.strip(): path.strip() for name, _, path in pairs}


def _listed(value: Any) -> Any:
    """Take 'one,two'."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _network(value: str) -> str:
    """Take an address, or a network like 10.0.0.0/8."""
    ip_network(value)  # raises ValueError, which says what is wrong
    return value


KeyEntry = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}:(read|write|admin):[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """The settings of one process; each field is the variable LOOKALIKE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    data: Annotated[Path, Field(description="everything kept on this machine")] = Path("data")
    milvus_uri: Annotated[
        str,
        Field(description="empty: Milvus Lite under LOOKALIKE_DATA; else http(s)://host:port or a Zilliz Cloud URI"),
    ] = ""
    milvus_token: Annotated[str, Field(description="user:password or API key of the Milvus server", repr=False)] = ""
    milvus_timeout: Annotated[float, Field(gt=0, description="seconds a call to the store may take")] = 30.0
    collection: Annotated[str, Field(description="the collection used when none is named")] = "photos"
    model: Annotated[str, Field(description="a timm name, hf-hub:..., or ARCHITECTURE@FILE.safetensors")] = (
        "tf_efficientnet_lite0"
    )
    engine: Annotated[Literal["auto", "torch", "openvino"], Field(description="what runs the network")] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Field(description="auto: bf16 where the processor or GPU has it")
    ] = "auto"
    max_bytes: Annotated[int, Field(gt=0, description="bytes one image file may have")] = 100_000_000
    max_pixels: Annotated[int, Field(gt=0, description="pixels one image may have")] = 180_000_000
    decode_timeout: Annotated[float, Field(gt=0, description="seconds one image may take to decode")] = 20.0
    decode_memory: Annotated[int, Field(gt=0, description="bytes one decode process may take")] = 1_000_000_000
    decode_processes: Annotated[int, Field(ge=0, description="decode processes; 0: one a processor")] = 0
    min_confidence: Annotated[
        float, Field(ge=0, le=1, description="confidence from which a label is stored as a tag")
    ] = 0.2
    libraries: Annotated[
        dict[str, str],
        NoDecode,
        BeforeValidator(_sources),
        Field(description="folders, lists and buckets that jobs may read: name=path,..."),
    ] = {}
    redis_url: Annotated[
        str, Field(description="empty: jobs run in the process that serves; else Celery workers take them", repr=False)
    ] = ""
    visibility_timeout: Annotated[
        int, Field(ge=4, description="seconds after which the work of a worker that vanished is given to another")
    ] = 300
    chunk: Annotated[int, Field(ge=32, le=256, description="images a worker takes at a time")] = 256
    api_keys: Annotated[
        tuple[KeyEntry, ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="API keys by their hashes: name:scope:sha256,...", repr=False),
    ] = ()
    hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="host names the service answers to beside loopback's: name,..."),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="proxies whose X-Forwarded-For and -Proto are believed: address or network,..."),
    ] = ("127.0.0.1", "::1")
    rate_limit: Annotated[
        int, Field(ge=0, le=1_000_000, description="requests a minute of one key, or one address without; 0: any")
    ] = 3000
    cors_origins: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.\[\]:-]+$")], ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="sites whose pages may use the service: https://shop.example.org,..."),
    ] = ()
    metrics_port: Annotated[
        int,
        Field(
            ge=0,
            le=65535,
            description="where figures are shown to Prometheus; 0: at /metrics of the service, nowhere of a worker",
        ),
    ] = 0
    metrics_host: Annotated[str, Field(description="address of that port")] = "127.0.0.1"
    queue: Annotated[int, Field(gt=0, description="queries that may wait in the service before it answers busy")] = 256


def read_settings() -> Settings:
    """Return the settings of the environment.

    Raises UsageError naming every variable with a wrong value.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise UsageError("wrong setting: " + "; ".join(map(_fault, error.errors()))) from None


def _fault(error: ErrorDetails) -> str:
    """Say what is wrong with a variable, and what it is unless that is nobody's business."""
    name = str(error["loc"][0])
    secret = name in Settings.model_fields and not Settings.model_fields[name].repr
    return f"{PREFIX}{name.upper()}: {error['msg']}" + ("" if secret else f" (it is {error['input']!r})")
