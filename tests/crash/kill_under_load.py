#!/usr/bin/python3
"""Kills the gateway under load, again and again, and has the history checked.

kill_under_load.py [--kills N] [--clients N] [--seed N] [--keep]

Clients send without pause; the gateway relays into recording_sink.py. Every second life of the
gateway ends at a named point of its own code (POSTERN_CRASH_POINT), the others by SIGKILL at a random
moment. Each is started again with the same configuration and storage. At the end the queue runs
empty, and check_history.py compares what clients, sink and gateway say.
"""

import argparse
import http.client
import itertools
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness.gateway import Gateway, smtp_account
from harness.waiting import PATIENCE, eventually

POINTS = ["accept", "before_commit", "after_commit", "before_send", "after_send",
          "before_finish", "after_finish"]
CONCURRENCY = 20  # calls in flight at once
UNFINISHED = {"queued", "sending", "deferred", "scheduled"}


class Load:
    """Clients that send one message after the other to whichever gateway serves."""

    def __init__(self, gateway, count):
        self.gateway = gateway
        self.records = []
        self.accepted = 0
        self.serving = threading.Condition()
        self.life = -1  # of the gateway that serves, or the last one that did
        self.alive = False
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self._client, args=(i,), daemon=True) for i in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _client(self, number):
        connection = None
        for count in itertools.count():
            life = self._wait_serving()
            if life is None:
                return
            if connection is not None and connection.life != life:
                connection.close()
                connection = None
            id_ = f"{number}-{count}"
            recipient = f"user-{id_}@example.net"
            body = json.dumps({
                "from": "load@example.com", "to": recipient, "subject": f"Message {id_}",
                "text": f"This is message {id_}.\n" * 20, "headers": {"X-Load-Id": id_},
            })
            status = message = None
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        "127.0.0.1", self.gateway.port, timeout=PATIENCE
                    )
                    connection.life = life
                    connection.connect()
            except OSError:
                connection = None
                self.lost(life)
                continue  # nothing was sent
            try:
                connection.request(
                    "POST", "/v1/send", body,
                    {"Authorization": f"Bearer {self.gateway.key}",
                     "Content-Type": "application/json"},
                )
                response = connection.getresponse()
                answer = json.loads(response.read())
                status = response.status
                message = answer.get("messageId")
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException, ValueError):
                # Killed before a whole answer: whether it was stored, nobody told this client.
                status = message = None
                connection.close()
                connection = None
                self.lost(life)
            with self.lock:
                self.records.append(
                    {"id": id_, "recipient": recipient, "status": status, "message": message}
                )
                self.accepted += status == 202

    def serves(self, life):
        """A gateway serves; clients go on."""
        with self.serving:
            self.life, self.alive = life, True
            self.serving.notify_all()

    def lost(self, life):
        """A client saw that this gateway is gone: the others need not find out."""
        with self.serving:
            if self.life == life:
                self.alive = False

    def _wait_serving(self):
        with self.serving:
            self.serving.wait_for(lambda: self.alive or self.ending.is_set())
            return None if self.ending.is_set() else self.life

    def wait_accepted(self, count):
        target = self.accepted + count
        eventually(
            lambda: self.accepted >= target or self.gateway.process.poll() is not None,
            f"{count} more messages are accepted",
        )

    def stop(self):
        with self.serving:
            self.ending.set()
            self.serving.notify_all()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a client hangs: its request was never answered"


def start_sink(record):
    sink = subprocess.Popen(
        [sys.executable, HERE / "recording_sink.py", record], stdout=subprocess.PIPE, text=True
    )
    word, port = sink.stdout.readline().split()
    assert word == "port"
    return sink, int(port)


def one_life(gateway, load, lives, point, randomness):
    """Starts the gateway and sees it die."""
    environment = {}
    life = {"started": time.monotonic(), "end": "killed", "point": None}
    if point is not None:
        life["point"] = f"{point}:{randomness.randint(1, 150)}"
        environment["POSTERN_CRASH_POINT"] = life["point"]
    lives.append(life)
    gateway.launch(**environment)
    # At some points it may die before it serves: recovered work passes them as well.
    if gateway.wait_ready():
        load.serves(len(lives))
        if point is None:
            load.wait_accepted(randomness.randint(1, 400))
            gateway.process.kill()
        else:
            load.wait_accepted(5)
    status = gateway.wait_end()
    load.lost(len(lives))
    if point is None:
        assert status == -9, f"ended with {status} before it was killed\n{gateway.log[-4000:]}"
    else:
        assert status == 137, f"ended with {status}, not at {point}\n{gateway.log[-4000:]}"
        life["end"] = "crashed"
    print(f"life {len(lives) - 1}: {life['end']} {life['point'] or ''}, "
          f"{load.accepted} accepted so far", flush=True)


def read_stored(gateway, load):
    """What the gateway says of every message that a client knows."""
    client = gateway.client(check=False)
    queued = {d["messageId"] for d in gateway.cli_json("queue", "list", "--limit", 1000)["deliveries"]}
    rows = []
    with client.wire() as wire:
        for record in load.records:
            if record["message"] is None:
                continue
            path = f"/v1/messages/{record['message']}"
            wire.send(client.encode("GET", path))
            answer = wire.read("GET", path, check=False)
            if answer.status != 200:
                continue  # the checker tells that it is missing
            message = json.loads(answer.body)["data"]
            rows.append({
                "message": message["id"], "status": message["status"],
                "message_id": message["messageIdHeader"],
                "queued": message["id"] in queued or message["status"] in UNFINISHED,
            })
    return rows


def run(directory, arguments):
    randomness = random.Random(arguments.seed)
    sink, port = start_sink(directory / "sink.jsonl")
    gateway = Gateway(
        directory,
        [smtp_account(port)],
        changes={
            "dispatch": {"account_concurrency": CONCURRENCY},
            "logging": {"level": "warning"},
        },
    )
    load = Load(gateway, arguments.clients)
    lives = []
    try:
        points = [POINTS[i % len(POINTS)] for i in range((arguments.kills + 1) // 2)]
        randomness.shuffle(points)
        plan = [points[i // 2] if i % 2 == 0 else None for i in range(arguments.kills)]
        for point in plan:
            one_life(gateway, load, lives, point, randomness)

        lives.append({"started": time.monotonic(), "end": "stopped", "point": None})
        gateway.start()
        load.serves(len(lives))
        load.wait_accepted(20)
        load.stop()
        eventually(
            lambda: gateway.cli_json("queue", "list", "--limit", 1)["total"] == 0,
            "the queue runs empty", timeout=2 * PATIENCE,
        )
        stored = read_stored(gateway, load)
        gateway.stop()
        gateway.check_log()
    finally:
        load.ending.set()
        if gateway.process is not None:
            gateway.kill()
        sink.terminate()
        sink.wait()

    for name, rows in (("clients", load.records), ("lives", lives), ("stored", stored)):
        with open(directory / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")
    return subprocess.run(
        [sys.executable, HERE / "check_history.py", directory, "--kills", str(arguments.kills),
         "--in-flight", str(CONCURRENCY)]
    ).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=None, help="default: by the clock; is printed")
    parser.add_argument("--keep", action="store_true", help="keeps the history in any case")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = time.time_ns() % 1_000_000
    print(f"seed {arguments.seed}", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-crash-"))
    status = 1
    try:
        status = run(directory, arguments)
    finally:
        if status == 0 and not arguments.keep:
            shutil.rmtree(directory)
        else:
            print(f"kept: {directory}")
    return status


if __name__ == "__main__":
    sys.exit(main())
