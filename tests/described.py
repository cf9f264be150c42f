"""Holds every answer that a test gets against the server's own OpenAPI document.

The document leaves room for what later versions add. Here there is none: a field or a word that a v1 answer has and the
document does not is a mistake, and so is a status or a problem's code that the operation does not list.
"""

import copy
import urllib.parse

import jsonschema
import requests


_known = []


def document_of(server):
    """All servers of a run are of one binary, so that there is one document."""
    if not _known:
        _known.append(Document(requests.get(server.url + "/openapi.json", timeout=10).json()))
    return _known[0]


class Document:
    def __init__(self, document):
        self.document = document
        self.strict = strict(document)

    def operation(self, method, path):
        """The path's template and the operation there, or None for either."""
        segments = path.split("/")
        for template, operations in self.document["paths"].items():
            if fits(template.split("/"), segments):
                return template, operations.get("get" if method == "HEAD" else method.lower())
        return None, None

    def check(self, method, url, answer):
        path = urllib.parse.urlsplit(url).path
        template, operation = self.operation(method, path)
        said = f"{method} {path} -> {answer.status_code} {answer.text[:300]}"
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        if operation is None:
            expected = (401, 403, 404, 405) if template else (400, 401, 403, 404)
            assert answer.status_code in expected and kind == "application/problem+json", said
            schema = {"$ref": "#/components/schemas/Problem"}
            if method == "HEAD":
                return
        else:
            operation = self.strict["paths"][template]["get" if method == "HEAD" else method.lower()]
            response = self.resolved(operation["responses"].get(str(answer.status_code)))
            assert response, f"{said}: the document does not have this status"
            content = response.get("content", {})
            if not content:
                assert not answer.content, said
                return
            if not answer.content and method == "HEAD":
                return
            assert kind in content, f"{said}: {kind} is none of {list(content)}"
            schema = content[kind]["schema"]
        if kind.endswith("json"):
            self.validate(answer.json(), schema, said)

    def resolved(self, part):
        if not part or "$ref" not in part:
            return part
        found = self.strict
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found

    def validate(self, value, schema, said):
        whole = {**schema, "components": self.strict["components"]}
        validator = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        assert not errors, f"{said}: {errors}"


def fits(template, segments):
    if template[-1] == "{page}":
        return len(segments) >= len(template) and segments[: len(template) - 1] == template[:-1]
    return len(template) == len(segments) and all(t.startswith("{") and s or t == s for t, s in zip(template, segments))


def strict(document):
    """The document, with words and fields that are complete."""

    def closed(part, at_top):
        if isinstance(part, list):
            return [closed(each, False) for each in part]
        if not isinstance(part, dict):
            return part
        part = {name: closed(value, False) for name, value in part.items()}
        if "x-extensible-enum" in part:
            part["enum"] = part.pop("x-extensible-enum") + ([None] if "null" in part["type"] else [])
        if at_top and "properties" in part:
            part.setdefault("additionalProperties", False)
        return part

    made = closed(copy.deepcopy(document), False)
    schemas = made["components"]["schemas"]
    for name in schemas:
        schemas[name] = closed(schemas[name], True)
    return made


