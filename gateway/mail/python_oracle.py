#!/usr/bin/python3
"""Parses the mails that sample_mails prints with Python's email package and compares every field.

usage: python_oracle.py SAMPLE_MAILS COUNT
"""

import base64
import email
import email.policy
import email.utils
import json
import subprocess
import sys
from datetime import datetime, timezone
from email.header import decode_header, make_header
from email.utils import getaddresses


def decode(value):
    """Undoes the base64 of every string."""
    if isinstance(value, str):
        return base64.b64decode(value)
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    return value


def words(raw):
    """Decodes a raw unstructured value: unfolded, with its encoded words."""
    unfolded = raw.replace("\r\n", "").replace("\n", "")
    return str(make_header(decode_header(unfolded)))


class Checker:
    def __init__(self, draft):
        self.draft = draft
        self.faults = []

    def same(self, what, got, wanted):
        if got != wanted:
            self.faults.append(f"seed {self.draft['seed']}: {what}: got {got!r}, wanted {wanted!r}")

    def addresses(self, message, raw, field, wanted):
        if not wanted:
            return self.same(field, message[field], None)
        # The structured parser of Python 3.11 puts spaces between encoded words in names, so only
        # its addresses count; the names are those of the old parser.
        self.same(
            f"{field}, addresses",
            [a.addr_spec for a in message[field].addresses],
            [m["address"].decode() for m in wanted],
        )
        unfolded = raw[field].replace("\r\n", "")
        pairs = [(words(name), address) for name, address in getaddresses([unfolded])]
        return self.same(
            field, pairs, [(m["name"].decode(), m["address"].decode()) for m in wanted]
        )

    def leaf(self, part, content_type, content):
        self.same("content type", part.get_content_type(), content_type)
        self.same("charset", part.get_content_charset(), "utf-8")
        got = part.get_payload(decode=True)
        if part is self.message and not content.endswith(b"\r\n"):
            content += b"\r\n" if got.endswith(b"\r\n") else b""
        self.same(f"{content_type} body", got, content)
        if len(part["content-transfer-encoding"].split()) != 1:
            self.faults.append("no transfer encoding")

    def attachment(self, part, wanted):
        name = wanted["filename"].decode()
        self.same("file name", part.get_filename(), name or None)
        self.same(
            "disposition",
            part.get_content_disposition(),
            "inline" if wanted["inline"] else "attachment",
        )
        cid = wanted["content_id"].decode()
        self.same("content id", part["content-id"], f"<{cid}>" if cid else None)
        declared = wanted["content_type"].decode()
        content = wanted["content"]
        if declared == "message/rfc822":
            if part.get_content_type() == "message/rfc822":
                self.same("7bit", part["content-transfer-encoding"], "7bit")
                inner = part.get_payload()[0]
                want = email.message_from_bytes(content)
                self.same("inner subject", inner["subject"], want["subject"])
                self.same(
                    "inner body", inner.get_payload().split(), want.get_payload().split()
                )
                return
            declared = "application/octet-stream"
        parsed = email.message_from_string(f"Content-Type: {declared}\n\n")
        self.same("type", part.get_content_type(), parsed.get_content_type())
        self.same("parameters", part.get_params()[1:], parsed.get_params()[1:])
        self.same("content", part.get_payload(decode=True), content)

    def children(self, part, subtype, count):
        self.same("multipart", part.get_content_type(), f"multipart/{subtype}")
        parts = part.get_payload() if part.is_multipart() else []
        self.same(f"parts of {subtype}", len(parts), count)
        return parts if len(parts) == count else None

    def html(self, part, related):
        if related:
            parts = self.children(part, "related", 1 + len(related))
            if not parts:
                return
            self.same("related type", part.get_param("type"), "text/html")
            for got, wanted in zip(parts[1:], related):
                self.attachment(got, wanted)
            part = parts[0]
        self.leaf(part, "text/html", self.draft["html"])

    def main(self, part, related):
        text, html = self.draft["text"], self.draft["html"]
        if text and html:
            parts = self.children(part, "alternative", 2)
            if parts:
                self.leaf(parts[0], "text/plain", text)
                self.html(parts[1], related)
        elif html:
            self.html(part, related)
        else:
            self.leaf(part, "text/plain", text)

    def check(self):
        draft = self.draft
        mime = draft["mime"]
        self.message = message = email.message_from_string(
            mime.decode(), policy=email.policy.SMTPUTF8
        )
        raw = email.message_from_string(mime.decode())
        for part in message.walk():
            self.same("defects", part.defects, [])
        self.addresses(message, raw, "from", draft["from"])
        self.addresses(message, raw, "cc", draft["cc"])
        self.addresses(message, raw, "reply-to", draft["reply_to"])
        if draft["to"] or draft["cc"]:
            self.addresses(message, raw, "to", draft["to"])
        else:
            self.same("to", str(message["to"]), "undisclosed-recipients:;")
        self.same("subject", str(message["subject"]), draft["subject"].decode())
        self.same("subject, old parser", words(raw["subject"]), draft["subject"].decode())
        self.same("message id", str(message["message-id"]), draft["message_id"].decode())
        self.same("version", message["mime-version"], "1.0")
        date = datetime.fromtimestamp(draft["date"] // 1000, timezone.utc)
        self.same("date", message["date"].datetime, date)
        for name, value in draft["headers"]:
            # A value that starts on the second line keeps its space in Python.
            self.same(f"header {name}", str(message[name.decode()]).lstrip(), value.decode())
        ascii_addresses = all(
            m["address"].isascii()
            for field in ("from", "to", "cc", "reply_to")
            for m in draft[field]
        )
        self.same("smtputf8", draft["smtputf8"], not ascii_addresses)
        head = mime.split(b"\r\n\r\n", 1)[0]
        self.same("ASCII header", head.isascii(), ascii_addresses)
        self.same("ASCII body", mime[len(head) :].isascii(), True)

        related = [a for a in draft["attachments"] if a["inline"] and draft["html"]]
        mixed = [a for a in draft["attachments"] if a not in related]
        has_body = bool(draft["text"] or draft["html"])
        if not mixed:
            self.main(message, related)
        else:
            parts = self.children(message, "mixed", len(mixed) + has_body)
            if parts:
                if has_body:
                    self.main(parts[0], related)
                for got, wanted in zip(parts[has_body:], mixed):
                    self.attachment(got, wanted)
        return self.faults


def main():
    program, count = sys.argv[1], sys.argv[2]
    lines = subprocess.run([program, count], check=True, stdout=subprocess.PIPE).stdout.splitlines()
    if len(lines) != int(count):
        sys.exit(f"{len(lines)} mails instead of {count}")
    faults = []
    for line in lines:
        faults += Checker(decode_draft(json.loads(line))).check()
    for fault in faults[:40]:
        print(fault[:1200])
    print(f"{len(lines)} mails, {len(faults)} differences")
    sys.exit(1 if faults else 0)


def decode_draft(draft):
    return {key: decode(value) for key, value in draft.items()}


if __name__ == "__main__":
    main()
