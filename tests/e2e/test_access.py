"""Who may do what, and how often."""

import time

from harness.gateway import a_message, new_key, smtp_account
from harness.waiting import eventually

UUID = "019362f4-6b1c-7c3a-9d57-2f1f0c5a8e11"


def organization(slug, *keys, providers=(), **more):
    return {"id": slug, "keys": list(keys), "providers": list(providers), **more}


def key(value, *permissions, name="k", **more):
    return {"name": name, "key": value, "permissions": list(permissions), **more}


# ---- keys ----

def test_a_missing_or_malformed_or_unknown_key_is_401(make_gateway):
    gateway = make_gateway()
    client = gateway.client(key=None)
    for value in (None, "Bearer", "Bearer ", "Basic dTpw", f"Bearer {new_key()}",
                  "Bearer ms_live_", f"Bearer {gateway.key} x", f"Bearer {gateway.key[:-1]}",
                  gateway.key, f"Bearer {'x' * 5000}"):
        answer = client.post("/v1/send", a_message(), headers={"Authorization": value})
        assert answer.status == 401, value


def test_the_scheme_is_case_insensitive(make_gateway):
    gateway = make_gateway()
    answer = gateway.client(key=None).get(
        f"/v1/messages/{UUID}", headers={"Authorization": f"bearer {gateway.key}"}
    )
    assert answer.status == 404


def test_a_key_without_the_permission_is_403_and_the_permission_is_named(make_gateway):
    reader, sender = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("demo", key(reader, "MESSAGES_READ", name="reader"),
                         key(sender, "SEND", name="sender")),
        ]
    )
    answer = gateway.client(reader).post("/v1/send", body=b"{")
    assert answer.status == 403
    assert "SEND" in answer.json["error"]["message"]
    answer = gateway.client(sender).get(f"/v1/messages/{UUID}")
    assert answer.status == 403
    assert "MESSAGES_READ" in answer.json["error"]["message"]


def test_an_expired_key_is_401(make_gateway):
    value = new_key()
    gateway = make_gateway(
        organizations=[
            organization("demo", key(value, "MESSAGES_READ", expires_at="2020-01-01T00:00:00Z")),
        ]
    )
    assert gateway.client(value).get(f"/v1/messages/{UUID}").status == 401


def test_a_key_that_expires_stops_working_then(make_gateway):
    value = new_key()
    until = time.time() + 4
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    gateway = make_gateway(
        organizations=[organization("demo", key(value, "MESSAGES_READ", expires_at=text))]
    )
    client = gateway.client(value)
    eventually(lambda: client.get(f"/v1/messages/{UUID}").status == 401, "the key expires")
    assert time.time() >= int(until)


def test_a_key_may_be_limited_to_client_addresses(make_gateway):
    value = new_key()
    gateway = make_gateway(
        organizations=[
            organization("demo", key(value, "MESSAGES_READ", allowed_ips=["127.0.0.2/32"])),
        ]
    )
    assert gateway.client(value).get(f"/v1/messages/{UUID}").status == 403
    allowed = gateway.client(value, source="127.0.0.2")
    assert allowed.get(f"/v1/messages/{UUID}").status == 404


def test_a_key_may_be_limited_to_sender_domains(make_gateway, smtp_sink):
    value = new_key()
    gateway = make_gateway(
        organizations=[
            organization("demo", key(value, "SEND", sender_domains=["example.com"]),
                         providers=[smtp_account(smtp_sink.port)]),
        ]
    )
    client = gateway.client(value)
    assert client.post("/v1/send", a_message(**{"from": "a@example.org"})).status == 403
    assert client.post("/v1/send", a_message(**{"from": "a@example.com"})).status == 202


def test_another_organizations_message_looks_like_none(make_gateway, smtp_sink):
    one, two = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("one", key(one, "SEND", "MESSAGES_READ"),
                         providers=[smtp_account(smtp_sink.port)]),
            organization("two", key(two, "SEND", "MESSAGES_READ")),
        ]
    )
    message_id = gateway.client(one).send(a_message())["messageId"]
    assert gateway.client(one).message(message_id)["id"] == message_id
    foreign = gateway.client(two).get(f"/v1/messages/{message_id}")
    nothing = gateway.client(two).get(f"/v1/messages/{UUID}")
    assert foreign.status == nothing.status == 404
    foreign.json["error"].pop("request_id")
    nothing.json["error"].pop("request_id")
    assert foreign.json == nothing.json


def test_a_provider_account_of_another_organization_looks_like_none(make_gateway, smtp_sink):
    one, two = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("one", key(one, "SEND"), providers=[smtp_account(smtp_sink.port)]),
            organization("two", key(two, "SEND"), providers=[smtp_account(smtp_sink.port)]),
        ]
    )
    account = gateway.client(one).send(a_message())["providerId"]
    answer = gateway.client(two).post("/v1/send", a_message(providerId=account))
    assert answer.status == 422
    assert answer.issues == [("providerId", "no_active_provider")]


def test_organizations_may_use_the_same_slugs(make_gateway, smtp_sink):
    one, two = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("one", key(one, "SEND"), providers=[smtp_account(smtp_sink.port)]),
            organization("two", key(two, "SEND"), providers=[smtp_account(smtp_sink.port)]),
        ]
    )
    first = gateway.client(one).send(a_message())["providerId"]
    second = gateway.client(two).send(a_message())["providerId"]
    assert first != second


# ---- limits ----

def test_the_sending_limit_is_of_the_organization_and_answers_429(make_gateway, smtp_sink):
    one, other, two = new_key(), new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("one", key(one, "SEND", "MESSAGES_READ", name="a"),
                         key(other, "SEND", name="b"),
                         providers=[smtp_account(smtp_sink.port)],
                         rate_limits={"send": "3/min"}),
            organization("two", key(two, "SEND"), providers=[smtp_account(smtp_sink.port)]),
        ]
    )
    client = gateway.client(one)
    remaining = []
    for sender in (client, gateway.client(other), client):
        answer = sender.post("/v1/send", a_message())
        assert answer.status == 202
        assert answer.header("X-RateLimit-Limit") == "3"
        remaining.append(answer.header("X-RateLimit-Remaining"))
    assert remaining == ["2", "1", "0"]

    answer = client.post("/v1/send", a_message())
    assert answer.status == 429
    assert 1 <= int(answer.header("Retry-After")) <= 60
    assert answer.header("X-RateLimit-Remaining") == "0"
    reset = int(answer.header("X-RateLimit-Reset")) - time.time()
    assert 0 < reset <= 62
    assert gateway.client(other).post("/v1/messages", a_message()).status == 429

    # 403 comes before it, what is wrong with the body after it; the rest is not held up.
    assert client.post("/v1/send", body=b"{").status == 429
    assert client.get(f"/v1/messages/{UUID}").status == 404
    assert gateway.client(two).post("/v1/send", a_message()).status == 202


def test_a_limit_fills_up_again(make_gateway, smtp_sink):
    gateway = make_gateway(
        [smtp_account(smtp_sink.port)], changes={"rate_limits": {"send": "2/s"}}
    )
    client = gateway.client()
    eventually(lambda: client.post("/v1/send", a_message()).status == 429, "the limit")
    eventually(lambda: client.post("/v1/send", a_message()).status == 202, "a place again")


def test_the_headers_tell_of_the_limit_that_applies(make_gateway, smtp_sink):
    gateway = make_gateway(
        [smtp_account(smtp_sink.port)],
        changes={"rate_limits": {"send": "7/s", "other": "11/s", "unauthenticated": "13/min"}},
    )
    client = gateway.client()
    assert client.post("/v1/send", a_message()).header("X-RateLimit-Limit") == "7"
    assert client.post("/v1/send", body=b"{").header("X-RateLimit-Limit") == "7"
    assert client.get(f"/v1/messages/{UUID}").header("X-RateLimit-Limit") == "11"
    stranger = gateway.client(key=None)
    assert stranger.post("/v1/send", a_message()).header("X-RateLimit-Limit") == "13"


def test_requests_without_a_key_are_limited_by_address_and_hold_up_no_valid_key(make_gateway):
    gateway = make_gateway(changes={"rate_limits": {"unauthenticated": "5/min"}})
    stranger = gateway.client(key=new_key())
    statuses = [stranger.post("/v1/send", a_message()).status for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert gateway.client().get(f"/v1/messages/{UUID}").status == 404
    elsewhere = gateway.client(key=new_key(), source="127.0.0.2")
    assert elsewhere.post("/v1/send", a_message()).status == 401
