"""The router of all routes: wherever it answers GET, it answers HEAD."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


class Router(APIRouter):
    """An APIRouter that answers HEAD like GET, without a body; the OpenAPI document lists GET alone.

    FastAPI, unlike Starlette, does not add HEAD. It would also list each method of a route as an operation.
    """

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route, and one for HEAD if its method is GET."""
        super().add_api_route(path, endpoint, **options)
        if "GET" in (options.get("methods") or ["GET"]):
            super().add_api_route(path, endpoint, **{**options, "methods": ["HEAD"], "include_in_schema": False})
