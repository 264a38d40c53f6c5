"""Completes the OpenAPI document: bodies that routes read by hand, problem documents, API keys, summaries."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.middleware import idempotency
from api.middleware.access import SECURITY_SCHEMES, describe
from api.openapi.examples import add_examples
from api.schemas.responses import Problem

_PROBLEM_TEXTS = {
    400: "The request is not valid HTTP.",
    401: "The API key is missing, unknown or revoked.",
    403: "The scope of the API key is insufficient, or a page of another site sent the request.",
    404: "There is no such collection, image or tag; `field` names it.",
    408: "The request did not arrive in time.",
    409: "The collection was made with another model, or a request with this Idempotency-Key is in progress.",
    413: "The image has more bytes or pixels than allowed.",
    415: "The image format or the type of the body is not supported.",
    422: (
        "A field is invalid, named by `field`, or the image is damaged. `url_blocked`: the URL is not allowed. "
        "`url_unreachable`: the server of the URL did not send the image."
    ),
    429: "Too many requests from this API key or address; Retry-After has the seconds to wait.",
    431: "The URL and the headers together are larger than allowed.",
    503: "The service is busy, or the store does not answer; see Retry-After.",
    507: "The disk of the data directory is full.",
}
_EXAMPLES = {
    401: ("key_required", "API key required", "This needs an API key: send it as 'Authorization: Bearer KEY'.", None),
    403: ("scope_missing", "Insufficient scope", "this needs a key with the scope write; this one has read", None),
    404: ("not_found", "Not found", "there is no collection nosuch", "collection"),
    422: ("invalid_request", "Invalid request", "limit: Input should be greater than or equal to 1", "limit"),
    429: ("rate_limited", "Too many requests", "too many requests from this address; try again in 0.4 seconds", None),
    503: ("busy", "Busy", "Too many requests are waiting; try again shortly.", None),
}
_ANYWHERE = (400, 408, 431)  # sent before the route of a request is known
_REFERENCE = "#/components/schemas/{model}"
_FILE = {"type": "string", "format": "binary", "description": "The image, in any supported format."}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer these statuses with a problem document."""
    return {
        str(status): {"description": _PROBLEM_TEXTS[status], "content": _problem_content(status)} for status in statuses
    }


def _problem_content(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCE.format(model=Problem.__name__)}}
    if status in _EXAMPLES:
        code, title, detail, field = _EXAMPLES[status]
        example = {"type": f"urn:lookalike:problem:{code}", "title": title, "status": status, "detail": detail}
        example |= {"code": code, "request_id": "0123456789abcdef0123456789abcdef"} | (
            {"field": field} if field else {}
        )
        content["example"] = example
    return {"application/problem+json": content}


def multipart(model: type[BaseModel], *, several: bool = False) -> dict[str, Any]:
    """Return the media type of a form with images and the fields of `model`."""
    schema = model.model_json_schema()
    files = {"type": "array", "items": _FILE} if several else _FILE
    schema["properties"] = {"file": files, **schema["properties"]}
    return {"multipart/form-data": {"schema": schema}}


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the media type of a JSON body."""
    return {"application/json": {"schema": model.model_json_schema(ref_template=_REFERENCE), "example": example}}


def image_body() -> dict[str, Any]:
    """Return the media types of a body that is an image and nothing else."""
    schema = {"type": "string", "format": "binary"}
    return {kind: {"schema": schema} for kind in ("application/octet-stream", "image/*")}


def body(*kinds: dict[str, Any], fields: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return the `openapi_extra` of a route whose body is one of these.

    The fields of `fields` may also be query parameters: if the body is an image, there is no other place for them.
    """
    content = {name: media for kind in kinds for name, media in kind.items()}
    extra: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    if fields:
        names = ", ".join(f"`{name}`" for name in fields.model_fields)
        extra["requestBody"]["description"] = f"If the whole body is an image, {names} are query parameters."
        extra["parameters"] = [_parameter(name, of) for name, of in fields.model_json_schema()["properties"].items()]
    return extra


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a field of a body as a query parameter; objects are JSON text."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    flat = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "description", "title")}
    flat |= choices[0] if choices else {}
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": False}
    description = schema.get("description") or flat.get("description", "")
    parameter["description"] = f"{description} Either here or in the body.".strip()
    is_json = flat.get("type") == "object"
    return parameter | ({"content": {"application/json": {"schema": flat}}} if is_json else {"schema": flat})


def _hoist(document: dict[str, Any]) -> None:
    """Move the definitions within the schemas of bodies to the components, where their references point."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for media in (m for o in operations for m in o.get("requestBody", {}).get("content", {}).values()):
        document["components"]["schemas"] |= media["schema"].pop("$defs", {})


def complete(app: FastAPI) -> None:
    """Add to the app's OpenAPI document what all routes share: API keys, problem documents, summaries, examples."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        document = without()
        schema = Problem.model_json_schema(ref_template=_REFERENCE)
        document["components"]["schemas"] |= {**schema.pop("$defs"), Problem.__name__: schema}
        if "securitySchemes" not in document["components"]:  # FastAPI returns the same document every time
            document["components"]["securitySchemes"] = SECURITY_SCHEMES
            _hoist(document)
            for path in idempotency.PATHS & document["paths"].keys():
                operation = document["paths"][path]["post"]
                operation.setdefault("parameters", []).append(idempotency.PARAMETER)
                operation["responses"].update(problems(409))
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    operation["summary"] = _summary(operation)
                    describe(path, method, operation, problems)
                    for status, response in problems(*_ANYWHERE).items():
                        operation["responses"].setdefault(str(status), response)
            add_examples(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _summary(operation: dict[str, Any]) -> str:
    """Return 'List images' for FastAPI's 'List Images'; a summary that a route gives itself stays."""
    words = operation["operationId"].replace("_", " ")
    return str(words.capitalize() if operation["summary"] == words.title() else operation["summary"])
