"""Examples of answers for the OpenAPI document, made from their schemas and from one table of values by field name."""

from collections.abc import Mapping
from typing import Any

# By a field's name, or by 'Schema.field' where the same name means something else.
_VALUES: dict[str, Any] = {
    "best": "cat-1",
    "best_because": "resolution",
    "bytes": 223_403,
    "categories": ["cat", "animal"],
    "checks": {"model": {"ok": True}, "store": {"ok": True}, "jobs": {"ok": True}, "disk": {"ok": True}},
    "class_id": 281,
    "collection": "photos",
    "complete_at": None,
    "confidence": 0.83,
    "content_hash": "9d" * 32,
    "content_hashes": ["9d" * 32],
    "count": 1567,
    "default": "photos",
    "dimension": 1280,
    "decided_at": "2026-06-01T08:30:00Z",
    "decode": 4.2,
    "failed": 1,
    "fetch": 0.0,
    "fingerprint": "a1b2c3d4e5f6",
    "found": 1567,
    "height": 300,
    "id": "cat-1",
    "images_per_second": 214.0,
    "indexed": 1566,
    "indexed_at": "2026-06-01T08:00:00Z",
    "copied": 0,
    "skipped": 0,
    "removed": 0,
    "key": "shop",
    "key_needed": True,
    "kept": False,
    "limit": 20,
    "message": "the image is truncated",
    "meta": {"album": "Rome"},
    "model": "tf_efficientnet_lite0",
    "modified_at": "2026-05-31T12:00:00Z",
    "name": "tabby",
    "network": 5.1,
    "note": None,
    "offset": 0,
    "path": "/photos/cat.png",
    "phash": "e1c3870f1e3c78f0",
    "prune": False,
    "ready": True,
    "reason": None,
    "reference": "cat-2",
    "request_id": "0123456789abcdef0123456789abcdef",
    "score": 0.961,
    "search": 2.4,
    "seconds": 7.3,
    "seconds_left": 0.0,
    "source": "/photos",
    "taken_at": "2026-05-31T14:00:00",
    "thumbnail": "/v1/images/cat-1/thumbnail?collection=photos",
    "total": 1,
    "width": 451,
    "CollectionOut.name": "photos",
    "ItemError.code": "image_undecodable",
    "JobFailure.code": "image_undecodable",
    "JobFailure.path": "cats/torn.jpg",
    "JobOut.id": "20260601-080000-1f2e3d",
    "JobOut.source": "holidays",
    "JobOut.state": "done_with_failures",
    "LibraryOut.name": "holidays",
    "Tagged.path": "cat.png",
    "DecisionOut.id": "near-170810678f77be8d",
    "QueryFound.took_ms": {"fetch": 0.0, "decode": 0.0, "network": 0.0, "search": 2.4, "total": 2.6},
    "ScanOut.total": 7394,
    "ScanOut.scanned": 512,
    "ScanOut.stage": "looking",
    "SearchBatchAnswer.took_ms": 8.3,
    "SearchTimes.total": 12.6,
    "TagTimes.total": 9.9,
    "GroupOut.count": 2,
    "GroupOut.id": "near-170810678f77be8d",
    "GroupOut.kind": "near",
    "EvidenceOut.phash_distance": 4,
    "EvidenceOut.mirrored": False,
    "EvidenceOut.pixels": 0.997,
    "ScanOut.state": "running",
}
_DEPTH = 8
UNNAMED = "text"  # of a field that deserves a line above


def add_examples(document: dict[str, Any]) -> None:
    """Give every JSON answer of success an example, unless it has one."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                media = response.get("content", {}).get("application/json")
                if media and status.startswith("2") and "example" not in media:
                    media["example"] = example(media["schema"], schemas)


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = _DEPTH) -> Any:
    """Return a value that a JSON schema allows: its own example, or one made of those of its parts."""
    if reference := schema.get("$ref"):
        return example(schemas[reference.rsplit("/", 1)[1]], schemas, depth)
    if "examples" in schema:
        return schema["examples"][0]
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if choices := schema.get("anyOf"):
        return example(choices[0], schemas, depth)
    return _of_type(schema, schemas, depth)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        title = schema.get("title", "")
        return {name: _field(title, name, of, schemas, depth) for name, of in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"], schemas, depth - 1)] if depth else []
    return {"string": UNNAMED, "integer": 1, "number": 0.5, "boolean": True}.get(str(kind))


def _field(title: str, name: str, schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    for key in (f"{title}.{name}", name):
        if key in _VALUES:
            return _VALUES[key]
    return example(schema, schemas, depth)
