"""Postfix's smtp-sink, with everything it took to be read."""

import dataclasses
import email
import email.policy
import os
import pathlib
import re
import shutil
import socket
import subprocess

from .waiting import eventually


@dataclasses.dataclass
class Received:
    """One mail as a server got it."""

    sender: str  # the argument of MAIL, "<a@b> SIZE=3"
    recipients: list  # addresses of RCPT
    data: bytes  # the mail itself, CRLF line ends where the server keeps them
    helo: str = ""

    def __post_init__(self):
        self.mail = email.message_from_bytes(self.data, policy=email.policy.default)

    @property
    def raw_headers(self):
        return re.split(rb"\r?\n\r?\n", self.data, maxsplit=1)[0]

    def text(self, kind="plain"):
        part = self.mail.get_body(preferencelist=(kind,))
        assert part is not None, f"no text/{kind} part"
        return part.get_content().replace("\r\n", "\n")


def free_port():
    """A port of the loopback that was free a moment ago, for servers that can't say theirs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class SmtpSink:
    def __init__(self, directory, *options):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        command = [shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin")]
        if os.geteuid() == 0:
            # It wants to be another user then; that one must be able to write the dumps.
            command += ["-u", "nobody"]
            shutil.chown(self.directory, "nobody")
        # Another process may take the port between finding it and using it.
        for _ in range(20):
            self.port = free_port()
            self.process = subprocess.Popen(
                [*command, "-d", "%s.", *options, f"127.0.0.1:{self.port}", "256"],
                cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            eventually(
                lambda: self.process.poll() is not None or accepts(self.port), "smtp-sink serves"
            )
            if self.process.poll() is None:
                return
        raise AssertionError("smtp-sink does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def messages(self):
        """What was received completely, in no order."""
        found = []
        for file in self.directory.iterdir():
            # The dump grows while the mail comes in, and ends with an empty line of smtp-sink's.
            content = file.read_bytes()
            head, separator, mail = content.partition(b"\nReceived: ")
            if not separator or not content.endswith(b"\n\n"):
                continue
            fields = [line.partition(b": ") for line in head.split(b"\n")]
            value = {name: text for name, _, text in fields}
            recipients = [
                re.match(r"<([^>]*)>", text.decode("utf-8"))[1]
                for name, _, text in fields
                if name == b"X-Rcpt-Args"
            ]
            # smtp-sink's own Received field comes before the mail's.
            mail = re.split(rb"\n(?![ \t])", mail, maxsplit=1)[1].removesuffix(b"\n")
            found.append(
                Received(
                    value[b"X-Mail-Args"].decode("utf-8"), recipients, mail,
                    value.get(b"X-Helo-Args", b"").decode(),
                )
            )
        return found

    def wait(self, count=1, subject=None):
        """The messages (with that subject), once there are `count`; never more."""

        def look():
            found = [
                m for m in self.messages() if subject is None or m.mail["Subject"] == subject
            ]
            return found if len(found) >= count else None

        found = eventually(look, f"{count} messages in the sink")
        assert len(found) == count, f"{len(found)} messages, not {count}"
        return found

    def one(self, subject=None):
        return self.wait(1, subject)[0]
