"""A client of the lookalike service: one typed method per route; errors are exceptions with the service's code."""

from lookalike_client.client import Client, ImageFile
from lookalike_client.errors import (
    ApiError,
    BadRequest,
    Conflict,
    ImageRefused,
    KeyRefused,
    NoAnswer,
    NotFound,
    TryLater,
    UrlRefused,
)
from lookalike_client.models import (
    Collection,
    Failure,
    Found,
    Image,
    Job,
    Label,
    Labelled,
    Page,
    Result,
    Session,
    Tag,
    TagCount,
)

__all__ = [
    "ApiError",
    "BadRequest",
    "Client",
    "Collection",
    "Conflict",
    "Failure",
    "Found",
    "Image",
    "ImageFile",
    "ImageRefused",
    "Job",
    "KeyRefused",
    "Label",
    "Labelled",
    "NoAnswer",
    "NotFound",
    "Page",
    "Result",
    "Session",
    "Tag",
    "TagCount",
    "TryLater",
    "UrlRefused",
]
