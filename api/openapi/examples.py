"""Examples of answers, built from the examples of the fields in their schemas."""

from collections.abc import Mapping
from typing import Any

_BY_TYPE = {"string": "text", "integer": 1, "number": 0.5, "boolean": True}


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to every successful JSON answer that has none."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                media = response.get("content", {}).get("application/json")
                if media and status.startswith("2") and "example" not in media:
                    media["example"] = example(media["schema"], schemas)


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return a value that a JSON schema allows: its own example, or one built from its parts."""
    if reference := schema.get("$ref"):
        return example(schemas[reference.rsplit("/", 1)[1]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if choices := schema.get("anyOf"):
        return example(choices[0], schemas)
    if schema.get("type") == "object":
        return {name: example(field, schemas) for name, field in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [example(schema["items"], schemas)]
    return _BY_TYPE.get(str(schema.get("type")))
