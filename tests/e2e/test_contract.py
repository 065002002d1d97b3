"""The contract itself, and the checker that holds answers against it."""

import json
import time

import pytest

from harness.client import Answer, CONTRACT
from harness.contract import strict_json

METHODS = {"get", "put", "post", "delete", "patch", "head"}
HEADERS = {
    "content-type": ["application/json"],
    "x-request-id": ["req_01JD7FAQ8R4T6V8X0Z2B4D6F8H"],
    "x-ratelimit-limit": ["100"],
    "x-ratelimit-remaining": ["99"],
}


def walk(node, path=""):
    yield path, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from walk(value, f"{path}/{name}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from walk(value, f"{path}/{i}")


def operations():
    for path, item in CONTRACT.document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def error_answer(status, code, **changes):


    headers = {**HEADERS, "x-ratelimit-reset": [str(int(time.time()))]}
    body = {"error": {"code": code, "message": "No", "request_id": headers["x-request-id"][0]}}
    headers.update(changes.pop("headers", {}))
    body["error"].update(changes)
    return Answer(status, headers, json.dumps(body).encode())


def test_every_reference_leads_somewhere():
    count = 0
    for path, node in walk(CONTRACT.document):
        if isinstance(node, dict) and "$ref" in node:
            assert CONTRACT.resolve(node) is not None, path
            count += 1
    assert count > 100


def test_every_example_is_valid_by_its_schema():
    count = 0
    for _, node in walk(CONTRACT.document):
        if isinstance(node, dict) and "schema" in node and "examples" in node:
            for example in node["examples"].values():
                CONTRACT.validate(node["schema"], example["value"])
                count += 1
    assert count > 15


def test_every_answer_has_an_example_and_the_common_headers():
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            response = CONTRACT.resolve(response)
            where = f"{method} {path} {status}"
            for name in ("X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining",
                         "X-RateLimit-Reset"):
                assert name in response["headers"], where
            assert ("Retry-After" in response["headers"]) == (status in ("429", "503")), where
            if operation["operationId"] != "getOpenApi" or status != "200":
                assert response["content"]["application/json"]["examples"], where


def test_every_operation_has_the_errors_that_any_request_can_get():
    for path, method, operation in operations():
        public = operation.get("security") == []
        wanted = {"400", "405", "408", "413", "417", "429", "431", "500", "501", "503", "505"}
        wanted |= set() if public else {"401", "403"}
        if "requestBody" in operation:
            wanted |= {"415", "422"}
        assert wanted <= operation["responses"].keys(), f"{method} {path}"


def test_what_the_gateway_answers_has_no_room_for_unknown_fields():
    for name in ("Error", "SendReceipt", "Message", "MessageEvent", "MessageRecipient",
                 "Submission", "AttachmentIn", "Suppression", "Provider", "ApiKey", "Settings"):
        schema = CONTRACT.document["components"]["schemas"][name]
        assert schema["additionalProperties"] is False, name


@pytest.mark.parametrize(
    "what, answer",
    [
        ("a wrong code", error_answer(404, "FORBIDDEN")),
        ("an unknown field", error_answer(404, "NOT_FOUND", hint="no")),
        ("another request id", error_answer(404, "NOT_FOUND",
                                            request_id="req_01JD7FAQ8R4T6V8X0Z2B4D6F8J")),
        ("an empty message", error_answer(404, "NOT_FOUND", message="")),
        ("an undocumented status", error_answer(418, "NOT_FOUND")),
        ("Retry-After on 404", error_answer(404, "NOT_FOUND", headers={"retry-after": ["1"]})),
        ("a missing header", error_answer(404, "NOT_FOUND", headers={"x-ratelimit-limit": []})),
        ("a header that stands twice",
         error_answer(404, "NOT_FOUND", headers={"x-ratelimit-limit": ["100", "100"]})),
        ("another media type",
         error_answer(404, "NOT_FOUND", headers={"content-type": ["text/html"]})),
        ("401 without WWW-Authenticate", error_answer(401, "AUTHENTICATION_ERROR")),
        ("429 without Retry-After", error_answer(429, "RATE_LIMIT_EXCEEDED")),
        ("Retry-After of zero",
         error_answer(429, "RATE_LIMIT_EXCEEDED", headers={"retry-after": ["0"]})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_checker_refuses(what, answer):
    with pytest.raises(AssertionError):
        CONTRACT.check("GET", "/v1/messages/0", answer)


def test_the_checker_takes_a_right_answer():
    assert CONTRACT.check("GET", "/v1/messages/0", error_answer(404, "NOT_FOUND"))


def test_strict_json_refuses_a_name_that_stands_twice():
    with pytest.raises(AssertionError):
        strict_json('{"a": 1, "a": 2}')
