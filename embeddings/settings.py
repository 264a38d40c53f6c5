"""The settings: environment variables, read once at start-up."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from embeddings.errors import UsageError

PREFIX = "LOOKALIKE_"


def _sources(value: Any) -> Any:
    """Parse 'name=path,name=path'."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not all(name.strip() and path.strip() for name, _, path in pairs):
        raise ValueError("it must be name=path,name=path")
    return {name.strip(): path.strip() for name, _, path in pairs}


def _listed(value: Any) -> Any:
    """Parse 'one,two'."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _network(value: str) -> str:
    """Check an address, or a network such as 10.0.0.0/8."""
    ip_network(value)  # raises ValueError with the reason
    return value


KeyEntry = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}:(read|write|admin):[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """The settings of one process; each field is the variable LOOKALIKE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    data: Annotated[Path, Field(description="folder of all files that lookalike keeps on this machine")] = Path("data")
    milvus_uri: Annotated[
        str,
        Field(description="empty: Milvus Lite under LOOKALIKE_DATA; else http(s)://host:port or a Zilliz Cloud URI"),
    ] = ""
    milvus_token: Annotated[str, Field(description="user:password or API key of the Milvus server", repr=False)] = ""
    milvus_timeout: Annotated[float, Field(gt=0, description="maximum seconds of a call to the store")] = 30.0
    collection: Annotated[str, Field(description="collection used when none is given")] = "photos"
    model: Annotated[str, Field(description="a timm name, hf-hub:..., or ARCHITECTURE@FILE.safetensors")] = (
        "tf_efficientnet_lite0"
    )
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        Field(description="library that runs the network; auto: torch on a GPU, else openvino"),
    ] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Field(description="auto: fp16 on a GPU, else bf16 where the processor supports it"),
    ] = "auto"
    max_bytes: Annotated[int, Field(gt=0, description="maximum bytes of an image file")] = 100_000_000
    max_pixels: Annotated[int, Field(gt=0, description="maximum pixels of an image")] = 180_000_000
    decode_timeout: Annotated[float, Field(gt=0, description="maximum seconds to decode an image")] = 20.0
    decode_memory: Annotated[int, Field(gt=0, description="maximum bytes of memory of a decode process")] = (
        1_000_000_000
    )
    decode_processes: Annotated[int, Field(ge=0, description="number of decode processes; 0: one per processor")] = 0
    min_confidence: Annotated[
        float, Field(ge=0, le=1, description="lowest confidence of a label that is stored as a tag")
    ] = 0.2
    libraries: Annotated[
        dict[str, str],
        NoDecode,
        BeforeValidator(_sources),
        Field(description="folders, lists and buckets that jobs may read: name=path,..."),
    ] = {}
    redis_url: Annotated[
        str, Field(description="empty: jobs run in the service itself; else Celery workers run them", repr=False)
    ] = ""
    visibility_timeout: Annotated[
        int, Field(ge=4, description="seconds after which the work of a lost worker is given to another")
    ] = 300
    chunk: Annotated[int, Field(ge=32, le=256, description="images that a worker takes at a time")] = 256
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
        Field(description="host names of the service, besides those of loopback: name,..."),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="proxies whose X-Forwarded-For and -Proto headers are trusted: address or network,..."),
    ] = ("127.0.0.1", "::1")
    rate_limit: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="maximum requests per minute of an API key, or of an address without a key; 0: unlimited",
        ),
    ] = 3000
    cors_origins: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.\[\]:-]+$")], ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(description="sites whose pages may call the service: https://shop.example.org,..."),
    ] = ()
    metrics_port: Annotated[
        int,
        Field(
            ge=0,
            le=65535,
            description="port of the Prometheus metrics; 0: /metrics of the service, none for a worker",
        ),
    ] = 0
    metrics_host: Annotated[str, Field(description="address of the metrics port")] = "127.0.0.1"
    queue: Annotated[
        int, Field(gt=0, description="maximum queries that wait in the service before it answers busy")
    ] = 256


def read_settings() -> Settings:
    """Return the settings from the environment.

    Raises UsageError naming every variable with a wrong value.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise UsageError("wrong setting: " + "; ".join(map(_fault, error.errors()))) from None


def _fault(error: ErrorDetails) -> str:
    """Return what is wrong with a variable, with its value unless that is secret."""
    name = str(error["loc"][0])
    secret = name in Settings.model_fields and not Settings.model_fields[name].repr
    return f"{PREFIX}{name.upper()}: {error['msg']}" + ("" if secret else f" (it is {error['input']!r})")
