"""HTTP/1.1 clients that believe nothing: each answer is checked against the contract."""

import dataclasses
import json as json_module
import socket

from .contract import Contract
from .waiting import PATIENCE

CONTRACT = Contract()


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # lower-case name -> list of values
    body: bytes
    json: object = None

    def header(self, name):
        values = self.headers.get(name.lower(), [])
        assert len(values) == 1, f"{name} stands {len(values)} times in {self.headers}"
        return values[0]

    @property
    def closes(self):
        return "close" in [v.lower() for v in self.headers.get("connection", [])]

    @property
    def issues(self):
        """(path, code) of every issue, sorted."""
        found = self.json["error"].get("details", {}).get("issues", [])
        return sorted((issue["path"], issue["code"]) for issue in found)


class ConnectionEnded(Exception):
    """The gateway closed before a whole answer."""


class Wire:
    """One TCP connection: sends the bytes it is told to, reads answers strictly by RFC 9112."""

    def __init__(self, port, address="127.0.0.1", source=None, timeout=PATIENCE):
        self.socket = socket.create_connection(
            (address, port), timeout=timeout, source_address=(source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def ended(self):
        """True when the peer closes without another byte."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def _line(self):
        line = self.reader.readline(65_536)
        if not line.endswith(b"\n"):
            raise ConnectionEnded(line)
        assert line.endswith(b"\r\n"), f"a line without CRLF: {line!r}"
        return line[:-2].decode("latin-1")

    def read_head(self):
        try:
            status_line = self._line()
        except ConnectionResetError as error:
            raise ConnectionEnded("reset") from error
        version, status, _ = (status_line + " ").split(" ", 2)
        assert version == "HTTP/1.1" and len(status) == 3, status_line
        headers = {}
        while line := self._line():
            name, colon, value = line.partition(":")
            assert colon and name == name.strip(), f"a malformed header: {line!r}"
            headers.setdefault(name.lower(), []).append(value.strip())
        return Answer(int(status), headers, b"")

    def read(self, method="GET", path="/", check=True):
        """One final answer to method and path; 1xx ones are skipped."""
        answer = self.read_head()
        while answer.status < 200:
            answer = self.read_head()
        assert "transfer-encoding" not in answer.headers
        length = int(answer.header("Content-Length"))
        if method != "HEAD":
            answer.body = self.reader.read(length)
            if len(answer.body) != length:
                raise ConnectionEnded(f"{len(answer.body)} of {length} bytes of the body")
        if check:
            answer.json = CONTRACT.check(method, path, answer)
        return answer


def encode(method, path, headers, body):
    lines = [f"{method} {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Client:
    def __init__(self, port, key=None, source=None, check=True):
        self.port = port
        self.key = key
        self.source = source
        self.check = check

    def wire(self):
        return Wire(self.port, source=self.source)

    def headers(self, body, extra=None, key=...):
        fields = {"Host": f"127.0.0.1:{self.port}"}
        key = self.key if key is ... else key
        if key is not None:
            fields["Authorization"] = f"Bearer {key}"
        if body is not None:
            fields["Content-Type"] = "application/json"
            fields["Content-Length"] = str(len(body))
        fields.update(extra or {})
        return [(name, value) for name, value in fields.items() if value is not None]

    def encode(self, method, path, json=None, body=None, headers=None, key=...):
        if json is not None:
            body = json_module.dumps(json, ensure_ascii=False).encode("utf-8")
        return encode(method, path, self.headers(body, headers, key), body)

    def request(self, method, path, json=None, body=None, headers=None, key=...):
        with self.wire() as wire:
            try:
                wire.send(self.encode(method, path, json, body, headers, key))
            except (BrokenPipeError, ConnectionResetError):
                pass  # answered before it had all; the answer is still to be read
            return wire.read(method, path, self.check)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, json=None, **more):
        return self.request("POST", path, json=json, **more)

    def send(self, message, **more):
        """POST /v1/send, which must be accepted; the receipt."""
        answer = self.post("/v1/send", message, **more)
        assert answer.status == 202, answer
        return answer.json

    def message(self, message_id, **more):
        answer = self.get(f"/v1/messages/{message_id}", **more)
        assert answer.status == 200, answer
        return answer.json["data"]
