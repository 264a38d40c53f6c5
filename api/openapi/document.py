"""What FastAPI cannot see of a route by itself: bodies that are read by hand, and problem documents."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.middleware import idempotency
from api.middleware.access import SECURITY_SCHEMES, describe
from api.openapi.examples import add_examples
from api.schemas.responses import Problem

_PROBLEM_TEXTS = {
    400: "This is not a valid HTTP request.",
    401: "No API key came with this, or one that is unknown or revoked.",
    403: "The key's scope does not cover this, or a page of another site sent it.",
    404: "There is no such collection, picture or tag; `field` says which.",
    408: "The request did not arrive in time.",
    409: "The collection was made with another model, or a request with this Idempotency-Key is being answered.",
    413: "The picture has more bytes or pixels than are allowed.",
    415: "Not an image format that is read here, or not a body of a known kind.",
    422: (
        "A field is wrong, named by `field`, or the picture is damaged. A URL that is not fetched is `url_blocked`, "
        "whatever the reason; one whose server does not give the picture is `url_unreachable`."
    ),
    429: "Too many requests from this key or address; Retry-After has the seconds to wait.",
    431: "Address and headers together are larger than is allowed.",
    503: "Too many requests wait, or the store does not answer; see Retry-After.",
    507: "The disk of the data directory is full.",
}
_EXAMPLES = {
    401: ("key_required", "API key required", "This needs an API key: send it as 'Authorization: Bearer KEY'.", None),
    403: ("scope_missing", "Not allowed", "this needs a key with the scope write; this one has read", None),
    404: ("not_found", "Not found", "there is no collection nosuch", "collection"),
    422: ("invalid_request", "Invalid request", "limit: Input should be greater than or equal to 1", "limit"),
    429: ("rate_limited", "Too many requests", "too many requests from this address; try again in 0.4 seconds", None),
    503: ("busy", "Busy", "Too many requests are waiting; try again shortly.", None),
}
_ANYWHERE = (400, 408, 431)  # said before it is known what a request is for
_REFERENCE = "#/components/schemas/{model}"
_FILE = {"type": "string", "format": "binary", "description": "The picture: any format that is read here."}


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
    """Return the media type of a form with pictures and the fields of `model`."""
    schema = model.model_json_schema()
    files = {"type": "array", "items": _FILE} if several else _FILE
    schema["properties"] = {"file": files, **schema["properties"]}
    return {"multipart/form-data": {"schema": schema}}


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the media type of a JSON body."""
    return {"application/json": {"schema": model.model_json_schema(ref_template=_REFERENCE), "example": example}}


def picture_body() -> dict[str, Any]:
    """Return the media types of a body that is a picture and nothing else."""
    schema = {"type": "string", "format": "binary"}
    return {kind: {"schema": schema} for kind in ("application/octet-stream", "image/*")}


def body(*kinds: dict[str, Any], fields: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return the `openapi_extra` of a route whose body is one of these.

    `fields` may also come as query parameters, each in one of the two places: beside a picture there is no other.
    """
    content = {name: media for kind in kinds for name, media in kind.items()}
    extra: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    if fields:
        names = ", ".join(f"`{name}`" for name in fields.model_fields)
        extra["requestBody"]["description"] = f"Beside a picture as the whole body, {names} go into the query."
        extra["parameters"] = [_parameter(name, of) for name, of in fields.model_json_schema()["properties"].items()]
    return extra


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a body's field as the query parameter that it may be instead; objects are JSON text there."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    flat = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "description", "title")}
    flat |= choices[0] if choices else {}
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": False}
    said = schema.get("description") or flat.get("description", "")
    parameter["description"] = f"{said} In the body or here, not in both.".strip()
    is_json = flat.get("type") == "object"
    return parameter | ({"content": {"application/json": {"schema": flat}}} if is_json else {"schema": flat})


def _hoist(document: dict[str, Any]) -> None:
    """Move what the schemas of bodies define for themselves to where their references look for it."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for media in (m for o in operations for m in o.get("requestBody", {}).get("content", {}).values()):
        document["components"]["schemas"] |= media["schema"].pop("$defs", {})


def complete(app: FastAPI) -> None:
    """Add to the app's OpenAPI document what holds for all routes: keys, and the schema of problem documents."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        document = without()
        schema = Problem.model_json_schema(ref_template=_REFERENCE)
        document["components"]["schemas"] |= {**schema.pop("$defs"), Problem.__name__: schema}
        if "securitySchemes" not in document["components"]:  # FastAPI keeps the document it was asked for first
            document["components"]["securitySchemes"] = SECURITY_SCHEMES
            _hoist(document)
            for path in idempotency.PATHS & document["paths"].keys():
                operation = document["paths"][path]["post"]
                operation.setdefault("parameters", []).append(idempotency.PARAMETER)
                operation["responses"].update(problems(409))
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    describe(path, method, operation, problems)
                    for status, response in problems(*_ANYWHERE).items():
                        operation["responses"].setdefault(str(status), response)
            add_examples(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
