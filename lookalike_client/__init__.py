"""A client of the lookalike service: one typed method a route, every refusal an exception with the service's code."""

from lookalike_client.client import Client, Picture
from lookalike_client.errors import (
    ApiError,
    BadRequest,
    Conflict,
    KeyRefused,
    NoAnswer,
    NotFound,
    PictureRefused,
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
    "Job",
    "KeyRefused",
    "Label",
    "Labelled",
    "NoAnswer",
    "NotFound",
    "Page",
    "Picture",
    "PictureRefused",
    "Result",
    "Session",
    "Tag",
    "TagCount",
    "TryLater",
    "UrlRefused",
]
