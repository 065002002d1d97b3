"""HTTP/1.1 as the listener speaks it, on the wire."""

import json
import socket

import pytest

from harness.client import ConnectionEnded, encode
from harness.gateway import a_message
from harness.waiting import eventually

UUID = "019362f4-6b1c-7c3a-9d57-2f1f0c5a8e11"


@pytest.fixture
def client(served):
    return served.client()


# ---- which error comes first ----

def test_404_comes_before_401(served):
    assert served.client(key=None).get("/v1/nothing").status == 404
    assert served.client(key=None).get("/").status == 404
    assert served.client(key=None).get("/v1/send/").status == 404


def test_405_comes_before_401_and_names_the_methods(served):
    answer = served.client(key=None).get("/v1/send")
    assert answer.status == 405
    assert answer.header("Allow") == "POST"
    answer = served.client(key=None).request("DELETE", f"/v1/messages/{UUID}")
    assert answer.status == 405
    assert answer.header("Allow") == "GET, HEAD"


def test_401_comes_before_415_and_400(served):
    answer = served.client(key="ms_live_wrong").post(
        "/v1/send", body=b"{", headers={"Content-Type": "text/plain"}
    )
    assert answer.status == 401


def test_413_and_415_come_before_400(client):
    answer = client.post("/v1/send", body=b"{", headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    answer = client.post("/v1/send", body=b"{", headers={"Content-Type": None})
    assert answer.status == 415


def test_a_charset_other_than_utf8_is_415(client):
    for kind in ("application/json; charset=utf-8", 'application/json;charset="UTF-8"',
                 "Application/JSON"):
        answer = client.post("/v1/send", body=b"{}", headers={"Content-Type": kind})
        assert answer.status == 400, kind
    answer = client.post(
        "/v1/send", body=b"{}", headers={"Content-Type": "application/json; charset=utf-16"}
    )
    assert answer.status == 415


def test_a_body_above_the_limit_is_413_without_being_read(client):
    # Only the head is sent: the answer must not wait for 36 MiB.
    with client.wire() as wire:
        head = client.headers(b"", {"Content-Length": str(36 << 20)})
        wire.send(encode("POST", "/v1/send", head, b""))
        answer = wire.read("POST", "/v1/send")
        assert answer.status == 413
        assert answer.closes
        assert wire.ended()


def test_a_chunked_body_above_the_limit_is_413(make_gateway):
    gateway = make_gateway(changes={"server": {"limits": {"send_body": "64KiB"}}})
    client = gateway.client()
    with client.wire() as wire:
        head = client.headers(None, {"Content-Type": "application/json",
                                     "Transfer-Encoding": "chunked"})
        wire.send(encode("POST", "/v1/send", head, b""))
        try:
            for _ in range(200):
                wire.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        except OSError:
            pass  # it need not listen to the end
        assert wire.read("POST", "/v1/send").status == 413


def test_a_path_is_matched_before_it_is_decoded(client):
    assert client.get("/v1/messages/a%2Fb").status == 404
    assert client.get("/v1/mess%61ges/x").status == 404
    assert client.get("/v1//send").status == 404


def test_an_id_that_is_no_uuid_is_a_message_that_does_not_exist(client):
    for path in ("/v1/messages/1", "/v1/messages/%00", f"/v1/messages/{UUID}",
                 "/v1/messages/%27%20or%201=1"):
        answer = client.get(path)
        assert answer.status in ((400, 404) if "%00" in path else (404,)), path


# ---- connections ----

def test_keep_alive_is_the_default(client):
    with client.wire() as wire:
        for _ in range(50):
            wire.send(client.encode("GET", f"/v1/messages/{UUID}"))
            answer = wire.read("GET", f"/v1/messages/{UUID}")
            assert answer.status == 404
            assert not answer.closes


def test_connection_close_is_honoured(client):
    with client.wire() as wire:
        wire.send(client.encode("GET", "/v1/openapi.json", headers={"Connection": "close"}))
        answer = wire.read("GET", "/v1/openapi.json")
        assert answer.status == 200
        assert answer.closes
        assert wire.ended()


def test_http_1_0_is_answered_and_closed(client):
    with client.wire() as wire:
        wire.send(b"GET /v1/openapi.json HTTP/1.0\r\n\r\n")
        assert wire.read("GET", "/v1/openapi.json").status == 200
        assert wire.ended()


def test_errors_keep_the_connection(client):
    with client.wire() as wire:
        for body, status in ((b"{", 400), (b"{}", 400)):
            wire.send(client.encode("POST", "/v1/send", body=body))
            assert wire.read("POST", "/v1/send").status == status
        wire.send(client.encode("POST", "/v1/send", body=b"x" * 2000, key="ms_live_wrong"))
        assert wire.read("POST", "/v1/send").status == 401
        wire.send(client.encode("GET", "/v1/openapi.json"))
        assert wire.read("GET", "/v1/openapi.json").status == 200


def test_pipelined_requests_are_answered_all_and_in_order(client):
    paths = ["/v1/openapi.json", "/v1/none", f"/v1/messages/{UUID}", "/v1/send"] * 10
    with client.wire() as wire:
        wire.send(b"".join(client.encode("GET", path) for path in paths))
        statuses = [wire.read("GET", path).status for path in paths]
    assert statuses == [200, 404, 404, 405] * 10


def test_pipelined_sends_are_answered_in_order(client, served):
    bodies = [b"{" + b'"bogus%d":1}' % i for i in range(30)]
    with client.wire() as wire:
        wire.send(b"".join(client.encode("POST", "/v1/send", body=body) for body in bodies))
        for i in range(30):
            answer = wire.read("POST", "/v1/send")
            assert (f"bogus{i}", "unknown_field") in answer.issues


def test_a_request_may_come_byte_by_byte(client):
    data = client.encode("POST", "/v1/send", body=b'{"bogus": 1}')
    with client.wire() as wire:
        for byte in data:
            wire.send(bytes([byte]))
        answer = wire.read("POST", "/v1/send")
    assert ("bogus", "unknown_field") in answer.issues


def test_a_chunked_body_is_put_together(client):
    with client.wire() as wire:
        head = client.headers(None, {"Content-Type": "application/json",
                                     "Transfer-Encoding": "chunked"})
        wire.send(encode("POST", "/v1/send", head, b""))
        wire.send(b'5\r\n{"bog\r\n7;ext=1\r\nus": 1}\r\n0\r\nTrailer: x\r\n\r\n')
        answer = wire.read("POST", "/v1/send")
        assert ("bogus", "unknown_field") in answer.issues
        wire.send(client.encode("GET", "/v1/openapi.json"))
        assert wire.read("GET", "/v1/openapi.json").status == 200


def test_expect_100_continue_is_answered_before_the_body_comes(client):
    body = b'{"bogus": 1}'
    with client.wire() as wire:
        head = client.headers(body, {"Expect": "100-continue"})
        wire.send(encode("POST", "/v1/send", head, b""))
        assert wire.read_head().status == 100
        wire.send(body)
        answer = wire.read("POST", "/v1/send")
    assert ("bogus", "unknown_field") in answer.issues


def test_expect_100_continue_of_a_refused_request_gets_the_refusal_at_once(served):
    client = served.client(key="ms_live_wrong")
    with client.wire() as wire:
        head = client.headers(b"", {"Expect": "100-continue", "Content-Length": "100000"})
        wire.send(encode("POST", "/v1/send", head, b""))
        assert wire.read_head().status == 401


def test_head_answers_as_get_without_a_body(client):
    with client.wire() as wire:
        wire.send(client.encode("GET", "/v1/openapi.json"))
        full = wire.read("GET", "/v1/openapi.json")
        wire.send(client.encode("HEAD", "/v1/openapi.json"))
        head = wire.read("HEAD", "/v1/openapi.json")
        assert head.status == 200
        assert head.header("Content-Length") == full.header("Content-Length")
        # The next answer starts where a body would have been.
        wire.send(client.encode("HEAD", "/v1/none"))
        assert wire.read("HEAD", "/v1/none").status == 404
        wire.send(client.encode("GET", "/v1/none"))
        assert wire.read("GET", "/v1/none").status == 404


def test_every_request_has_an_id_of_its_own(client):
    ids = {client.get("/v1/none").header("X-Request-Id") for _ in range(20)}
    assert len(ids) == 20


def test_many_clients_at_once_get_their_own_answers(client):
    wires = [client.wire() for _ in range(64)]
    try:
        for round_ in range(5):
            for i, wire in enumerate(wires):
                name = f"bogus-{round_}-{i}"
                wire.send(client.encode("POST", "/v1/send", body=json.dumps({name: 1}).encode()))
            for i, wire in enumerate(wires):
                answer = wire.read("POST", "/v1/send")
                assert (f"bogus-{round_}-{i}", "unknown_field") in answer.issues
    finally:
        for wire in wires:
            wire.close()


# ---- what must not be taken for a request ----

SMUGGLING = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "a signed length": b"Content-Length: +5\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "a length with junk": b"Content-Length: 5junk\r\n",
    "an endless length": b"Content-Length: 99999999999999999999999\r\n",
    "a space before the colon": b"Content-Length : 5\r\n",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "an unknown coding": b"Transfer-Encoding: gzip\r\n",
    "a coding like chunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\n",
    "a folded header": b"X-A: 1\r\n 2\r\nContent-Length: 5\r\n",
    "a bare line feed": b"X-A: 1\nContent-Length: 5\r\n",
    "a bare carriage return": b"X-A: 1\rContent-Length: 5\r\n",
    "a NUL": b"X-A: 1\0\r\n",
    "two hosts": b"Host: other\r\n",
}


@pytest.mark.parametrize("fields", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_ambiguous_framing_is_answered_once_and_closed(client, fields):
    hidden = client.encode("GET", "/v1/openapi.json")
    with client.wire() as wire:
        wire.send(
            b"POST /v1/send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {client.key}\r\n".encode()
            + fields + b"\r\n" + b"0\r\n\r\n" + hidden
        )
        answer = wire.read("POST", "/v1/send")
        assert answer.status in (400, 413, 501)
        assert answer.closes
        assert wire.ended(), "the rest was taken for a request"


NONSENSE = {
    "garbage": b"GARBAGE\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nHost: x\n\n",
    "no host": b"GET /v1/openapi.json HTTP/1.1\r\n\r\n",
    "another protocol": b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a control character in the target": b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301007b0100007703035f") + b"\r\n\r\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_is_no_request_gets_one_json_error_and_a_close(client, data):
    with client.wire() as wire:
        wire.send(data)
        answer = wire.read("GET", "/")
        assert answer.status == (505 if b"HTTP/3.0" in data else 400)
        assert answer.closes
        assert wire.ended()


def test_a_header_section_above_16_kib_is_refused(client):
    with client.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n")
        assert wire.read("GET", "/").status == 431
        assert wire.ended()


def test_more_than_a_hundred_headers_are_refused(client):
    with client.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 120 + b"\r\n")
        assert wire.read("GET", "/").status == 431
        assert wire.ended()


def test_a_half_sent_head_is_given_up(make_gateway):
    gateway = make_gateway(changes={"server": {"limits": {"head_timeout": "200ms"}}})
    with gateway.client().wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHos")
        answer = wire.read("GET", "/")
        assert answer.status == 408
        assert answer.closes
        assert wire.ended()


def test_a_half_sent_body_is_given_up(make_gateway):
    gateway = make_gateway(changes={"server": {"limits": {"body_timeout": "200ms"}}})
    client = gateway.client()
    with client.wire() as wire:
        head = client.headers(b"", {"Content-Length": "100"})
        wire.send(encode("POST", "/v1/send", head, b'{"to":'))
        answer = wire.read("POST", "/v1/send")
        assert answer.status == 408
        assert answer.closes
        assert wire.ended()


def test_an_idle_connection_is_closed(make_gateway):
    gateway = make_gateway(changes={"server": {"limits": {"idle_timeout": "1s"}}})
    client = gateway.client()
    with client.wire() as wire:
        wire.send(client.encode("GET", "/v1/openapi.json"))
        wire.read("GET", "/v1/openapi.json")
        assert wire.ended()


def test_silent_connections_hold_up_nobody(client):
    silent = [client.wire() for _ in range(100)]
    try:
        for wire in silent[::2]:
            wire.send(b"POST /v1/send HTTP/1.1\r\n")
        assert client.get("/v1/openapi.json").status == 200
    finally:
        for wire in silent:
            wire.close()


def test_a_client_that_never_reads_holds_up_nobody(client):
    with client.wire() as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.2)
        request = client.encode("GET", "/v1/openapi.json")
        try:
            for _ in range(2000):
                deaf.send(request)
        except TimeoutError:
            pass  # the gateway reads no further, as it should
        assert client.get("/v1/openapi.json").status == 200


def test_a_client_that_leaves_in_the_middle_harms_nobody(client, served):
    for size in (10, 60, 200):
        for _ in range(20):
            wire = client.wire()
            wire.send(client.encode("POST", "/v1/send", json=a_message())[:size])
            wire.close()
    for _ in range(20):
        wire = client.wire()
        wire.send(client.encode("POST", "/v1/send", body=b'{"bogus": 1}'))
        wire.close()
    eventually(lambda: client.get("/v1/openapi.json").status == 200, "it still answers")
    assert served.process.poll() is None


def test_connections_of_one_address_are_limited(make_gateway):
    gateway = make_gateway(changes={"server": {"limits": {"connections_per_address": 5}}})
    client = gateway.client()
    wires = [client.wire() for _ in range(5)]
    try:
        for wire in wires:
            wire.send(client.encode("GET", "/v1/openapi.json"))
            assert wire.read("GET", "/v1/openapi.json").status == 200
        with client.wire() as sixth:
            try:
                sixth.send(client.encode("GET", "/v1/openapi.json"))
                assert sixth.read("GET", "/v1/openapi.json").status in (429, 503)
            except (ConnectionEnded, OSError):
                pass
            assert sixth.ended()
        # Another address is another matter.
        other = gateway.client(source="127.0.0.2")
        assert other.get("/v1/openapi.json").status == 200
    finally:
        for wire in wires:
            wire.close()
    eventually(lambda: answers(client), "places are given back")


def answers(client):
    try:
        return client.get("/v1/openapi.json").status == 200
    except (ConnectionEnded, OSError):
        return False
