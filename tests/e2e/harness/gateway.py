"""The real binary under test."""

import json
import os
import pathlib
import queue
import re
import secrets
import signal
import subprocess
import threading

import yaml

from .client import Client, Wire
from .waiting import PATIENCE, eventually

TREE = pathlib.Path(__file__).resolve().parents[3]
FINAL = {"sent", "delivered", "bounced", "complained", "failed", "canceled", "suppressed"}
EVERYTHING = ["SEND", "MESSAGES_READ"]
READY = re.compile(r"ready api=127\.0\.0\.1:(\d+) admin=127\.0\.0\.1:(\d+)\n")
SANITIZER = re.compile(
    r"^.*(?:ERROR: (?:Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:).*$", re.M
)


def build_directory():
    """Of the build under test: POSTERN_BUILD, absolute or relative to the tree."""
    return (TREE / os.environ.get("POSTERN_BUILD", "build/release")).resolve()


def new_key(mode="live"):
    return f"ms_{mode}_{secrets.token_urlsafe(32)}"


def merge(base, changes):
    """Mappings are merged, all else is replaced; None removes."""
    result = dict(base)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merge(result[name], value)
        else:
            result[name] = value
    return result


def smtp_account(port, slug="relay", credentials=None, active=True, priority=1, **settings):
    account = {
        "id": slug,
        "type": "SMTP",
        "active": active,
        "priority": priority,
        "settings": {"host": "127.0.0.1", "port": port, "security": "none", **settings},
    }
    if credentials:
        account["credentials"] = credentials
    return account


def a_message(**fields):
    """A body of POST /v1/send that is valid; None removes a field."""
    body = {
        "from": "Shop <shop@example.com>",
        "to": "ada@example.net",
        "subject": "Your order",
        "text": "Thank you, Ada.",
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def events(message, kind):
    return [event for event in message["events"] if event["type"] == kind]


def concerned(message, kind):
    """The recipients that events of this type concern; an event without one concerns all."""
    found = set()
    for event in events(message, kind):
        everybody = {recipient["address"] for recipient in message["recipients"]}
        found |= everybody if event["recipient"] is None else {event["recipient"]}
    return found


class Gateway:
    """One gateway with its own directory, configuration and storage."""

    def __init__(self, directory, providers=(), changes=None, organizations=None):
        self.directory = pathlib.Path(directory)
        self.binary = build_directory() / "bin" / "postern"
        self.key = new_key()
        self.test_key = new_key("test")
        self.secrets = []
        self.process = None
        self.port = self.admin_port = None
        self.environment = {}
        self.before_exec = None  # called in the new process before it becomes the gateway
        self._lines = None
        if organizations is None:
            keys = [
                {"name": "ci", "key": self.key, "permissions": EVERYTHING},
                {"name": "try", "key": self.test_key, "permissions": EVERYTHING},
            ]
            organizations = [
                {"id": "demo", "name": "Demo", "keys": keys, "providers": list(providers)}
            ]
        self.config = merge(
            {
                "server": {
                    "api": {"listen": "127.0.0.1:0"},
                    "admin": {"listen": "127.0.0.1:0"},
                    "hostname": "gateway.example.com",
                    "node": "node-1",
                },
                "plugins": {
                    "directories": [str(build_directory() / "lib" / "postern" / "plugins")]
                },
                "storage": {"plugin": "sqlite", "settings": {"path": "postern.db"}},
                "secrets": {"master_key": "${file:master.key}"},
                "rate_limits": {
                    "send": "100000/s", "other": "100000/s", "unauthenticated": "100000/s",
                },
                "queue": {"poll": "50ms"},
                "dispatch": {
                    "retry_first": "200ms",
                    "retry_most": "400ms",
                    "unknown_retry": "300ms",
                    "drain": "10s",
                },
                "logging": {"level": "debug"},
                "organizations": organizations,
            },
            changes or {},
        )
        self._collect_secrets(self.config)
        self.write_config()

    def _collect_secrets(self, node):
        """Whatever stands in the configuration as a key or credential must not be logged."""
        if isinstance(node, dict):
            for name, value in node.items():
                if name in ("key", "password", "access_token"):
                    self.secrets.append(value)
                else:
                    self._collect_secrets(value)
        elif isinstance(node, list):
            for value in node:
                self._collect_secrets(value)

    @property
    def config_file(self):
        return self.directory / "postern.yaml"

    @property
    def log_file(self):
        return self.directory / "stderr.log"

    @property
    def log(self):
        text = self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""
        return text

    def write_config(self, changes=None):
        if changes:
            self.config = merge(self.config, changes)
        self.config_file.write_text(
            yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )

    def client(self, key=..., source=None, check=True):
        return Client(self.port, self.key if key is ... else key, source, check)

    # ---- the process ----

    def launch(self, **environment):
        """Starts the process and does not wait until it serves."""
        assert self.process is None, "is running"
        assert self.binary.exists(), f"{self.binary} is not built"
        self._lines = queue.Queue()
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, **self.environment, **environment},
                start_new_session=True,
                preexec_fn=self.before_exec,
            )
        process, lines = self.process, self._lines

        def read():
            for line in process.stdout:
                lines.put(line.decode("utf-8", "replace"))
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()

    def wait_ready(self, timeout=PATIENCE):
        """True once it serves; False when it ended instead."""
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"no ready line in {timeout:g} s\n{self.log[-4000:]}") from None
            if line is None:
                return False
            if line.startswith("ready"):
                match = READY.fullmatch(line)
                assert match, f"not the ready line: {line!r}"
                self.port, self.admin_port = int(match[1]), int(match[2])
                return True

    def start(self, **environment):
        self.launch(**environment)
        assert self.wait_ready(), f"ended with {self.wait_end()}\n{self.log[-4000:]}"
        return self

    def wait_end(self, timeout=PATIENCE):
        """The exit status, once the process is gone (negative: the signal)."""
        status = self.process.wait(timeout)
        self.process.stdout.close()
        self.process = None
        return status

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        self.terminate()
        status = self.wait_end()
        assert status == 0, f"exit status {status} after SIGTERM\n{self.log[-4000:]}"

    def kill(self):
        self.process.kill()
        self.wait_end()

    def restart(self, **environment):
        self.stop()
        return self.start(**environment)

    def finish(self):
        """Ends what a test left, and says what was wrong with the run as a whole."""
        if self.process is not None:
            if self.process.poll() is None:
                self.stop()
            else:
                status = self.wait_end()
                raise AssertionError(f"had ended with {status}\n{self.log[-4000:]}")
        self.check_log()

    def check_log(self):
        log = self.log
        found = SANITIZER.search(log)
        assert not found, log[found.start() : found.start() + 6000]
        for secret in self.secrets:
            at = log.find(secret)
            assert at < 0, f"a secret is in the log: …{log[max(0, at - 200):at]}"

    # ---- around it ----

    def cli(self, *arguments, config=True, check=True, input=None):
        """Runs another command of the program; must succeed unless check is False."""
        command = [str(self.binary), *map(str, arguments)]
        if config:
            command += ["--config", str(self.config_file)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.directory, timeout=PATIENCE,
            env={**os.environ, **self.environment}, input=input,
        )
        assert not SANITIZER.search(done.stderr), done.stderr
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def cli_json(self, *arguments, **more):
        return json.loads(self.cli(*arguments, "--json", **more).stdout)

    def admin(self, path):
        """A GET on the admin listener."""
        with Wire(self.admin_port) as wire:
            wire.send(f"GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())
            answer = wire.read("GET", path, check=False)
        if answer.header("Content-Type").startswith("application/json"):
            answer.json = json.loads(answer.body)
        return answer

    def wait_message(self, message_id, check, what, key=..., timeout=PATIENCE):
        """Polls a message until check(message); the message."""
        client = self.client(key)
        last = None

        def look():
            nonlocal last
            last = client.message(message_id)
            return last if check(last) else None

        try:
            return eventually(look, what, timeout)
        except AssertionError:
            raise AssertionError(
                f"{what}: the message is {json.dumps(last, indent=1, ensure_ascii=False)}"
            ) from None

    def wait_status(self, message_id, status, **more):
        return self.wait_message(
            message_id, lambda m: m["status"] == status, f"status {status}", **more
        )

    def wait_final(self, message_id, **more):
        return self.wait_message(
            message_id, lambda m: m["status"] in FINAL, "a final status", **more
        )

