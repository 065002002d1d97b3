"""Holds every answer of the API listener against gateway/api/openapi.yaml."""

import json
import pathlib
import re
import time

import jsonschema
import yaml

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "gateway" / "api" / "openapi.yaml"

# What an answer may be where no operation was reached.
ANYWHERE = {
    400: "BadRequest",
    404: "NotFound",
    408: "RequestTimeout",
    413: "PayloadTooLarge",
    417: "ExpectationFailed",
    429: "RateLimited",
    431: "HeadersTooLarge",
    500: "InternalError",
    501: "NotImplemented",
    503: "Unavailable",
    505: "VersionNotSupported",
}


def strict_json(text):
    """RFC 8259, with no name twice and no NaN."""

    def pairs(items):
        names = [name for name, _ in items]
        assert len(names) == len(set(names)), f"a name stands twice: {names}"
        return dict(items)

    def constant(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


class Contract:
    def __init__(self, document=DOCUMENT):
        self.document = yaml.safe_load(pathlib.Path(document).read_text(encoding="utf-8"))
        self._validators = {}
        self._paths = []
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
            self._paths.append((re.compile(pattern), item))

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def validate(self, schema, value):
        """Raises AssertionError with every violation. References resolve in the document."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {"components": self.document["components"], "allOf": [schema]}
            self._validators[key] = jsonschema.Draft202012Validator(whole)
        problems = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in self._validators[key].iter_errors(value)
        ]
        assert not problems, "not by the contract: " + "; ".join(problems)

    def response(self, method, path, status):
        """The response object that the document has for this answer."""
        item = next((item for pattern, item in self._paths if pattern.fullmatch(path)), None)
        if item is not None:
            operation = item.get("get" if method == "HEAD" else method.lower())
            if operation is not None:
                found = operation["responses"].get(str(status))
                assert found is not None, f"{method} {path} does not document {status}"
                return self.resolve(found)
            name = "MethodNotAllowed" if status == 405 else None
        else:
            name = ANYWHERE.get(status)
        assert name is not None, f"{method} {path} is no operation, and yet answers {status}"
        return self.document["components"]["responses"][name]

    def check(self, method, path, answer):
        """answer: status, headers (names in lower case -> list of values), body."""
        response = self.response(method, path.split("?")[0], answer.status)
        for name, header in response.get("headers", {}).items():
            header = self.resolve(header)
            values = answer.headers.get(name.lower(), [])
            if header.get("required"):
                assert len(values) == 1, f"{name} must be there once, is {values}"
            for value in values:
                self.validate(header["schema"], value)
        if answer.status not in (429, 503):
            assert "retry-after" not in answer.headers, "Retry-After is for 429 and 503"
        limit = int(answer.header("X-RateLimit-Limit"))
        assert int(answer.header("X-RateLimit-Remaining")) <= limit
        # A bucket is never full again later than a day from now.
        assert abs(int(answer.header("X-RateLimit-Reset")) - time.time()) < 86_400

        media = answer.header("Content-Type").split(";")[0].strip().lower()
        assert media == "application/json", f"Content-Type is {media}"
        if method == "HEAD":
            assert answer.body == b"", "HEAD has no body"
            return None
        value = strict_json(answer.body.decode("utf-8"))
        self.validate(response["content"]["application/json"]["schema"], value)
        if "error" in value:
            assert value["error"]["request_id"] == answer.header("X-Request-Id")
        return value
