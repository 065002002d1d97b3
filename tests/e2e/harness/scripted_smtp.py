"""An SMTP server that does what a test tells it to, stage by stage.

    peer.on("rcpt", reply("450 4.2.1 Try later"), match="bob@", times=1)
    peer.on("body", disconnect)

Stages: connect, ehlo, helo, starttls, handshake, auth, mail, rcpt, data, body (the content is there,
its answer is due), rset, noop, quit. The first rule that matches and is not used up acts; where none
does, the server is friendly.
"""

import base64
import dataclasses
import re
import socket
import ssl
import threading

from .smtp_sink import Received
from .waiting import eventually


@dataclasses.dataclass(frozen=True)
class Action:
    kind: str
    text: str = ""


def reply(text):
    """Answers this instead of yes; several lines are separated by a line feed."""
    return Action("reply", text)


def reply_and_close(text):
    return Action("reply_and_close", text)


def dribble(text):
    """Answers this one byte at a time, some hundredths of a second apart."""
    return Action("dribble", text)


disconnect = Action("disconnect")
reset = Action("reset")  # TCP RST instead of FIN
silence = Action("silence")  # says nothing any more; the connection stays open
accept_then_disconnect = Action("accept_then_disconnect")  # body: keeps the mail, never says so
accept_then_silence = Action("accept_then_silence")


@dataclasses.dataclass
class Rule:
    stage: str
    action: Action
    match: str
    left: float


class Session:
    def __init__(self, peer, connection):
        self.peer = peer
        self.socket = connection
        self.reader = connection.makefile("rb")
        self.encrypted = False
        self.commands = []  # as received, with AUTH's secrets
        self.authenticated = None

    def write(self, text):
        lines = text.split("\n")
        for i, line in enumerate(lines):
            if len(lines) > 1:
                line = line[:3] + ("-" if i + 1 < len(lines) else " ") + line[4:]
            self.socket.sendall(line.encode() + b"\r\n")

    def act(self, stage, friendly, argument=""):
        """Does what the rules say; True when the session goes on as if the answer was yes."""
        action = self.peer.take(stage, argument)
        if action is None:
            if friendly:
                self.write(friendly)
            return True
        if action.kind == "reply":
            self.write(action.text)
            return action.text[0] in "23"
        if action.kind == "reply_and_close":
            self.write(action.text)
            raise ConnectionError
        if action.kind == "dribble":
            for byte in (action.text + "\r\n").encode():
                self.socket.sendall(bytes([byte]))
                if self.peer.stopping.wait(0.03):
                    raise ConnectionError
            return action.text[0] in "23"
        if action.kind in ("silence", "accept_then_silence"):
            # Until the client gives up, or the test ends.
            self.socket.settimeout(0.1)
            while not self.peer.stopping.is_set():
                try:
                    if not self.socket.recv(65_536):
                        break
                except (TimeoutError, ssl.SSLWantReadError):
                    continue
            raise ConnectionError
        if action.kind == "reset":
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
        raise ConnectionError

    def run(self):
        peer = self.peer
        if peer.implicit_tls:
            self.encrypt()
        if not self.act("connect", f"220 {peer.name} ESMTP"):
            return
        sender, recipients, helo = None, [], ""
        while line := self.reader.readline(65_536):
            command = line.rstrip(b"\r\n").decode("utf-8", "replace")
            self.commands.append(command)
            verb, _, argument = command.partition(" ")
            verb = verb.upper()
            if verb == "EHLO":
                helo = argument
                offered = [
                    e for e in peer.extensions
                    if not (e == "STARTTLS" and (self.encrypted or not peer.tls))
                ]
                self.act("ehlo", "\n".join(f"250 {text}" for text in [peer.name, *offered]))
            elif verb == "HELO":
                helo = argument
                self.act("helo", f"250 {peer.name}")
            elif verb == "STARTTLS" and peer.tls and not self.encrypted:
                if self.act("starttls", "220 2.0.0 Go ahead"):
                    if not self.act("handshake", ""):
                        return
                    self.encrypt()
            elif verb == "AUTH":
                self.authenticate(argument)
            elif verb == "MAIL":
                if self.act("mail", "250 2.1.0 Ok", argument):
                    sender, recipients = argument.partition(":")[2].strip(), []
            elif verb == "RCPT":
                address = re.search(r"<([^>]*)>", argument)[1]
                if self.act("rcpt", "250 2.1.5 Ok", address):
                    recipients.append(address)
            elif verb == "DATA":
                if not recipients:
                    self.write("554 5.5.1 No valid recipients")
                elif self.act("data", "354 Go on"):
                    data = self.read_content()
                    mail = Received(sender, recipients, data, helo)
                    with peer.lock:
                        peer.attempts.append(mail)
                    while not peer.released.wait(0.1):
                        if peer.stopping.is_set():
                            return
                    self.accept(mail)
                    sender, recipients = None, []
            elif verb == "RSET":
                if self.act("rset", "250 2.0.0 Ok"):
                    sender, recipients = None, []
            elif verb == "NOOP":
                self.act("noop", "250 2.0.0 Ok")
            elif verb == "QUIT":
                self.act("quit", "221 2.0.0 Bye")
                return
            else:
                self.write("502 5.5.2 Not implemented")

    def accept(self, mail):
        content = mail.data.decode("utf-8", "replace")
        action = self.peer.peek("body", content)
        if action is None or action.kind.startswith("accept_") or action.text.startswith("2"):
            # Before the answer leaves: a test may look as soon as the gateway has it.
            with self.peer.lock:
                self.peer.received.append(mail)
        self.act("body", f"250 2.0.0 Ok: queued as {self.peer.next_id()}", content)

    def read_content(self):
        lines = []
        while (line := self.reader.readline(1 << 20)) != b".\r\n":
            if not line:
                raise ConnectionError
            assert line.endswith(b"\r\n"), f"a bare line feed: {line!r}"
            assert len(line) <= 1000, f"a line of {len(line)} octets"
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def encrypt(self):
        # What came in the clear after STARTTLS must not count (CVE-2011-0411); there must be none.
        self.socket = self.peer.tls.wrap_socket(self.socket, server_side=True)
        self.reader = self.socket.makefile("rb")
        self.encrypted = True

    def authenticate(self, argument):
        mechanism, _, initial = argument.partition(" ")
        fields = []
        if mechanism == "PLAIN":
            if not initial:
                self.write("334 ")
                initial = self.reader.readline().strip().decode()
            fields = base64.b64decode(initial).decode().split("\0")[1:]
        elif mechanism == "LOGIN":
            prompts = ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]
            if initial:
                fields.append(base64.b64decode(initial).decode())
                prompts = prompts[1:]
            for prompt in prompts:
                self.write(f"334 {prompt}")
                fields.append(base64.b64decode(self.reader.readline().strip()).decode())
        elif mechanism == "XOAUTH2":
            fields = [base64.b64decode(initial).decode()]
        else:
            self.write("504 5.5.4 Unknown mechanism")
            return
        if self.act("auth", "235 2.7.0 Welcome", mechanism):
            self.authenticated = (mechanism, *fields)


class ScriptedSmtp:
    def __init__(self, tls=None, implicit_tls=False, name="peer.example.net", port=0):
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.name = name
        self.extensions = ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 52428800",
                           "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH PLAIN LOGIN"]
        self.lock = threading.Lock()
        self.rules = []
        self.received = []  # Received, that were taken responsibility for
        self.attempts = []  # Received, whose content came in whole
        self.sessions = []
        self.failures = []  # what went wrong in the server itself
        self.stopping = threading.Event()
        self.released = threading.Event()
        self.released.set()
        self._ids = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def on(self, stage, action, match="", times=float("inf")):
        with self.lock:
            self.rules.append(Rule(stage, action, match, times))
        return self

    def hold(self):
        """Answers to contents wait until the event is set that this gives."""
        self.released.clear()
        return self.released

    def clear(self):
        with self.lock:
            self.rules.clear()

    def _find(self, stage, argument):
        return next(
            (r for r in self.rules if r.stage == stage and r.left > 0 and r.match in argument), None
        )

    def peek(self, stage, argument):
        with self.lock:
            rule = self._find(stage, argument)
            return rule.action if rule else None

    def take(self, stage, argument):
        with self.lock:
            rule = self._find(stage, argument)
            if rule is None:
                return None
            rule.left -= 1
            return rule.action

    def next_id(self):
        with self.lock:
            self._ids += 1
            return f"Q{self._ids:06d}"

    def commands(self, verb):
        """Every command that starts with this, of all sessions."""
        with self.lock:
            return [c for s in self.sessions for c in s.commands if c.upper().startswith(verb)]

    def wait_received(self, count=1):
        eventually(lambda: len(self.received) >= count, f"{count} messages at the scripted peer")
        with self.lock:
            assert len(self.received) == count, f"{len(self.received)} messages, not {count}"
            return list(self.received)

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self, connection)
        with self.lock:
            self.sessions.append(session)
        try:
            session.run()
        except (OSError, ConnectionError):
            pass  # the client went away, or a rule says so
        except Exception as error:  # shown by stop()
            with self.lock:
                self.failures.append(error)
        finally:
            # The file object holds a reference; without closing it the socket stays open.
            for closable in (session.reader, session.socket):
                try:
                    closable.close()
                except OSError:
                    pass

    def stop(self):
        self.stopping.set()
        # Closing alone does not wake accept().
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)
        assert not self.failures, self.failures


__all__ = [
    "ScriptedSmtp", "reply", "reply_and_close", "dribble", "disconnect", "reset", "silence",
    "accept_then_disconnect", "accept_then_silence",
]
