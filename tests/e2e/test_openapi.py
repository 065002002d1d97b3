"""GET /v1/openapi.json."""

from harness.client import CONTRACT


def test_the_served_document_is_the_contract(served):
    answer = served.client(key=None).get("/v1/openapi.json")
    assert answer.status == 200
    assert answer.json == CONTRACT.document


def test_the_document_is_served_whatever_the_key(served):
    assert served.client(key="ms_live_nonsense").get("/v1/openapi.json").status == 200
    assert served.client().get("/v1/openapi.json").status == 200


def test_every_documented_operation_is_routed(served):
    client = served.client(key=None)
    for path, item in CONTRACT.document["paths"].items():
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            concrete = path.replace("{id}", "019362f4-6b1c-7c3a-9d57-2f1f0c5a8e11")
            answer = client.request(method.upper(), concrete)
            expected = 200 if item[method].get("security") == [] else 401
            assert answer.status == expected, f"{method} {path}"


def test_a_method_that_is_not_documented_is_405_with_allow(served):
    client = served.client(key=None)
    for path, item in CONTRACT.document["paths"].items():
        documented = {m.upper() for m in item if m in ("get", "post", "put", "patch", "delete")}
        if "GET" in documented:
            documented.add("HEAD")
        for method in ("PUT", "PATCH", "DELETE"):
            answer = client.request(method, path.replace("{id}", "x"))
            assert answer.status == 405, f"{method} {path}"
            allow = set(answer.header("Allow").split(", "))
            assert allow - {"OPTIONS"} == documented, path
