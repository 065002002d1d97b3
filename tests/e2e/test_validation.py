"""What is wrong with a request is said, all of it, at once."""

import base64

import pytest

from harness.gateway import a_message

UUID = "019362f4-6b1c-7c3a-9d57-2f1f0c5a8e11"


@pytest.fixture
def client(served):
    return served.client()


@pytest.fixture(autouse=True)
def nothing_was_sent(served):
    yield
    assert served.peer.sessions == [], "a refused message left the gateway"


def test_all_issues_are_reported_at_once_with_their_paths(client):
    answer = client.post(
        "/v1/send",
        {
            "to": ["ada@example.net", "not an address", "x@"],
            "from": "nobody",
            "subjct": "typo",
            "text": 5,
            "tags": ["ok", ""],
            "headers": {"From": "eve@example.org", "X Bad": "1"},
            "attachments": [{"filename": "a", "content": "%%%", "contentType": "text/plain"}],
        },
    )
    assert answer.status == 400
    assert answer.issues == sorted(
        [
            ("attachments[0].content", "invalid_base64"),
            ("from", "invalid_sender"),
            ("headers.From", "reserved_header"),
            ("headers.X Bad", "invalid_header"),
            ("subjct", "unknown_field"),
            ("subject", "required"),
            ("tags[1]", "invalid_tag"),
            ("text", "invalid_type"),
            ("to[1]", "invalid_recipient"),
            ("to[2]", "invalid_recipient"),
        ]
    )


CASES = {
    "no recipient": (a_message(to=None), [("to", "required")]),
    "an empty list of recipients": (a_message(to=[]), [("to", "required")]),
    "no sender": (a_message(**{"from": None}), [("from", "required")]),
    "no subject": (a_message(subject=None), [("subject", "required")]),
    "no content": (a_message(text=None), [("text", "required")]),
    "a number for a recipient": (a_message(to=[7]), [("to[0]", "invalid_type")]),
    "an object for recipients": (a_message(to={}), [("to", "invalid_type")]),
    "two addresses in one text": (
        a_message(to="a@example.net, b@example.net"), [("to", "invalid_recipient")]),
    "a bad address in cc": (a_message(cc=["@example.net"]), [("cc[0]", "invalid_recipient")]),
    "a bad address in bcc": (a_message(bcc="a@b@c"), [("bcc", "invalid_recipient")]),
    "a bad address in replyTo": (a_message(replyTo="x"), [("replyTo", "invalid_reply_to")]),
    "an unknown field": (a_message(bogus=1), [("bogus", "unknown_field")]),
    "an unknown field of an attachment": (
        a_message(attachments=[{"content": "", "filename": "a", "contentType": "text/plain",
                                "size": 3}]),
        [("attachments[0].size", "unknown_field")]),
    "an attachment without content": (
        a_message(attachments=[{"filename": "a", "contentType": "text/plain"}]),
        [("attachments[0].content", "required")]),
    "an attachment that is a text": (a_message(attachments=["x"]),
                                     [("attachments[0]", "invalid_type")]),
    "a bad content type": (
        a_message(attachments=[{"content": "", "filename": "a", "contentType": "nonsense"}]),
        [("attachments[0].contentType", "invalid_content_type")]),
    "a multipart attachment": (
        a_message(attachments=[{"content": "", "filename": "a", "contentType": "multipart/mixed"}]),
        [("attachments[0].contentType", "invalid_content_type")]),
    "a disposition that is neither": (
        a_message(attachments=[{"content": "", "filename": "a", "contentType": "text/plain",
                                "disposition": "hidden"}]),
        [("attachments[0].disposition", "invalid_disposition")]),
    "eleven tags": (a_message(tags=[str(i) for i in range(11)]), [("tags", "too_many")]),
    "a tag of 101 characters": (a_message(tags=["x" * 101]), [("tags[0]", "invalid_tag")]),
    "metadata that is no text": (a_message(metadata={"n": 1}), [("metadata.n", "invalid_type")]),
    "metadata above 16 KiB": (a_message(metadata={"n": "x" * 16_384}), [("metadata", "too_large")]),
    "a subject of 999 characters": (a_message(subject="x" * 999), [("subject", "too_long")]),
    "an unknown stream": (a_message(stream="slow"), [("stream", "invalid_stream")]),
    "a provider id that is no id": (a_message(providerId="relay"), [("providerId", "invalid_uuid")]),
    "1,001 recipients": (
        a_message(bcc=[f"u{i}@example.net" for i in range(1000)]), [("to", "too_many_recipients")]),
    "variables without a template": (
        a_message(variables={"a": 1}), [("variables", "conflicting_fields")]),
    "a template and a text": (a_message(templateId=UUID), [("templateId", "conflicting_fields")]),
}


@pytest.mark.parametrize("body, issues", CASES.values(), ids=CASES.keys())
def test_it_is_400_for(client, body, issues):
    answer = client.post("/v1/send", body)
    assert answer.status == 400
    assert answer.issues == issues
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/send", "/v1/messages"])
def test_both_forms_check_the_same(client, path):
    answer = client.post(path, a_message(to="nobody", bogus=1))
    assert answer.status == 400
    assert answer.issues == [("bogus", "unknown_field"), ("to", "invalid_recipient")]


INJECTIONS = {
    "subject": a_message(subject="Hi\r\nBcc: eve@example.org"),
    "subject with a line feed alone": a_message(subject="Hi\nBcc: eve@example.org"),
    "subject with a carriage return alone": a_message(subject="Hi\rBcc: eve@example.org"),
    "subject with NUL": a_message(subject="Hi\0there"),
    "recipient": a_message(to="ada@example.net\r\nRCPT TO:<eve@example.org>"),
    "recipient's name": a_message(to="Ada\r\nBcc: eve@example.org <ada@example.net>"),
    "quoted name": a_message(to='"Ada\r\nBcc: eve@example.org" <ada@example.net>'),
    "sender": a_message(**{"from": "a@example.com>\r\nRCPT TO:<eve@example.org"}),
    "reply-to": a_message(replyTo="a@example.com\r\nBcc: eve@example.org"),
    "header value": a_message(headers={"X-A": "1\r\nBcc: eve@example.org"}),
    "header value with a line feed": a_message(headers={"X-A": "1\nBcc: eve@example.org"}),
    "header name": a_message(headers={"X-A: 1\r\nBcc": "eve@example.org"}),
    "header name with a colon": a_message(headers={"Bcc:": "eve@example.org"}),
    "file name": a_message(attachments=[{"filename": 'a"\r\nX: y', "contentType": "text/plain",
                                         "content": ""}]),
    "content type": a_message(attachments=[{"filename": "a", "content": "",
                                            "contentType": "text/plain\r\nBcc: eve@example.org"}]),
    "content id": a_message(attachments=[{"filename": "a", "contentType": "text/plain",
                                          "content": "", "contentId": "a>\r\nBcc: e@example.org"}]),
}


@pytest.mark.parametrize("body", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_header_injection_is_refused_in_the(client, body):
    answer = client.post("/v1/send", body)
    assert answer.status == 400
    assert len(answer.issues) == 1


@pytest.mark.parametrize(
    "name",
    ["From", "to", "CC", "Bcc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
     "Content-Transfer-Encoding", "DKIM-Signature", "Received", "Return-Path", "Sender",
     "Reply-To", "Resent-To", "ARC-Seal", "List-Unsubscribe"],
)
def test_a_structural_header_is_refused_by_name(client, name):
    answer = client.post("/v1/send", a_message(headers={name: "x"}))
    assert answer.status == 400
    assert answer.issues == [(f"headers.{name}", "reserved_header")]


@pytest.mark.parametrize(
    "body, place",
    [
        (b'{"to": "a@example.net",\n "from": }', "line 2, column 10"),
        (b'{\n\n  "to" "x"}', "line 3, column 8"),
        (b'{"to": "a@example.net"', "line 1"),
        (b"", "line 1, column 1"),
        (b'{"to": "\xff"}', "line 1"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b"[" * 100 + b"]" * 100, "line 1"),
    ],
    ids=["value", "colon", "end", "empty", "utf8", "after", "depth"],
)
def test_malformed_json_is_shown_by_line_and_column(client, body, place):
    answer = client.post("/v1/send", body=body)
    assert answer.status == 400
    assert answer.issues == [("", "malformed_json")]
    assert place in str(answer.json["error"])


def test_a_body_that_is_no_object_is_refused(client):
    for body in (b"[]", b'"x"', b"null", b"3"):
        answer = client.post("/v1/send", body=body)
        assert answer.status == 400
        assert answer.issues == [("", "invalid_type")], body


@pytest.mark.parametrize(
    "body",
    [
        {"templateId": UUID, "from": "a@example.com", "to": "b@example.net"},
        a_message(unsubscribeGroupId=UUID),
        a_message(sendAt="2030-01-01T00:00:00Z"),
    ],
    ids=["template", "unsubscribe group", "schedule"],
)
def test_what_is_not_served_yet_is_refused_and_named_not_dropped(client, body):
    answer = client.post("/v1/send", body)
    assert answer.status == 422
    (field,) = body.keys() & {"templateId", "unsubscribeGroupId", "sendAt"}
    assert answer.issues == [(field, "capability_unsupported")]


def test_an_idempotency_key_is_refused_rather_than_ignored(client):
    answer = client.post("/v1/send", a_message(), headers={"Idempotency-Key": "k1"})
    assert answer.status == 422
    assert answer.issues == [("Idempotency-Key", "capability_unsupported")]


def test_validation_comes_before_what_is_impossible(client):
    answer = client.post("/v1/send", a_message(to="nobody", sendAt="2030-01-01T00:00:00Z"))
    assert answer.status == 400


def test_an_unknown_provider_id_is_422(client):
    answer = client.post("/v1/send", a_message(providerId=UUID))
    assert answer.status == 422
    assert answer.issues == [("providerId", "no_active_provider")]


def test_attachments_above_the_limit_are_refused_with_their_size(client):
    content = base64.b64encode(bytes(13 << 20)).decode()
    attachment = {"filename": "a", "contentType": "text/plain", "content": content}
    answer = client.post("/v1/send", a_message(attachments=[attachment, attachment]))
    assert answer.status == 400
    assert answer.issues == [("attachments", "attachments_too_large")]


def test_an_unknown_query_parameter_is_named(client):
    answer = client.get(f"/v1/messages/{UUID}?verbose=1")
    assert answer.status == 400
    assert answer.issues == [("verbose", "unknown_parameter")]
    answer = client.post("/v1/send?dry=1", a_message())
    assert answer.status == 400
    assert answer.issues == [("dry", "unknown_parameter")]


def test_a_query_parameter_that_stands_twice_is_an_error(client):
    answer = client.get(f"/v1/messages/{UUID}?a=1&a=2")
    assert answer.status == 400
    assert ("a", "duplicate_parameter") in answer.issues


def test_a_field_that_stands_twice_is_refused_not_dropped(client):
    body = b'{"to":"a@example.net","from":"b@example.com","subject":"x","text":"1","text":"2"}'
    answer = client.post("/v1/send", body=body)
    assert answer.status == 400
    assert answer.issues == [("text", "duplicate_field")]
