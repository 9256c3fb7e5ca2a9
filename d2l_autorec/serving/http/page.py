"""The page ``/docs``: the OpenAPI description for people, without scripts from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any
from urllib.parse import urlencode

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f4f4f4; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere }
td, th { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0 }
"""


def page(openapi: dict[str, Any]) -> str:
    """Return the page for a description in which each request is a GET or a POST of JSON."""
    info, models = openapi["info"], openapi["components"]["schemas"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<style>{STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        "<p>For programs: <a href=openapi.json>openapi.json</a>.</p>"
    ]
    for path, methods in openapi["paths"].items():
        for method, said in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2>")
            parts.append(f"<p>{escape(said['description'])}</p>")
            fields, example = _asked(said, models)
            if fields:
                parts.append(_table(fields))
            parts.append(f"<pre>{escape(_curl(method, path, example))}</pre>")
            answer = said["responses"]["200"].get("content", {}).get("application/json", {})
            if "$ref" in answer.get("schema", {}):
                model = models[_name(answer["schema"])]
                parts.append(f"<p>The answer: {', '.join(map(escape, model['properties']))}.</p>")
    for title, name in (("rows", "Row"), ("diversity", "Diversity")):
        said, rows = models[name]["description"], _table(_fields(models[name]))
        parts.append(f"<h2>{title}</h2><p>{escape(said)}</p>{rows}")
    return "".join(parts)


def _asked(said: dict[str, Any], models: dict[str, Any]) -> tuple[list[list[str]], Any]:
    """Return name, limits and description of what a request takes, and an example."""
    if "requestBody" in said:
        model = models[_name(said["requestBody"]["content"]["application/json"]["schema"])]
        return _fields(model), model["examples"][0]
    given = sorted(said.get("parameters", []), key=lambda one: not one["required"])
    schemas = {one["name"]: {**one["schema"], **one} for one in given}
    required = [one["name"] for one in given if one["required"]]
    examples = {name: one["examples"][0] for name, one in schemas.items() if "examples" in one}
    return _fields({"properties": schemas, "required": required}), examples


def _fields(model: dict[str, Any]) -> list[list[str]]:
    required = model.get("required", [])
    names = sorted(model["properties"], key=lambda name: name not in required)
    return [
        [name, _limits(one, name in required), _one(one).get("description", "")]
        for name, one in ((name, model["properties"][name]) for name in names)
    ]


def _one(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what it says of a value that is given, where it may be left out."""
    return {**schema, **schema.get("anyOf", [{}])[0]}


def _limits(schema: dict[str, Any], required: bool) -> str:
    """Say type and limits in a few words."""
    schema = _one(schema)
    words = [schema.get("type", "")]
    for low, high in (
        ("minimum", "maximum"),
        ("minItems", "maxItems"),
        ("minLength", "maxLength"),
    ):
        if high in schema:
            unit = " characters" if high == "maxLength" else ""
            words.append(f"{schema.get(low, 0):,.0f} to {schema[high]:,.0f}{unit}")
    if required:
        words.append("required")
    elif schema.get("default") is not None:
        words.append(f"{schema['default']} if left out")
    return ", ".join(words)


def _table(rows: list[list[str]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _curl(method: str, path: str, example: Any) -> str:
    if method == "get":
        query = f"?{urlencode(example)}" if example else ""
        return f"curl 'http://127.0.0.1:8000{path}{query}'"
    return (
        f"curl 'http://127.0.0.1:8000{path}' -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(example)}'"
    )


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"].rpartition("/")[2])
