#!/usr/bin/python3
"""An SMTP server that writes down every mail before it says 250.

recording_sink.py FILE            prints "port N", serves until it is ended

FILE gets one JSON object a line: connected (when its connection was opened) and at (when it was
taken), both on CLOCK_MONOTONIC, which all processes share; recipients; id (of the header X-Load-Id);
message_id; sha256 of the mail. A line is in the file before its 250 leaves. The kills of these tests
end processes, not the machine, so that there is no need for fsync.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import time

# How long a 250 is held back: so that calls are in flight at any moment.
SLOWEST = 0.02


def field(head, name):
    match = re.search(rb"(?im)^" + name + rb":[ \t]*([^\r\n]*)", head)
    return match[1].decode() if match else ""


async def serve(reader, writer, record):
    connected = time.monotonic()
    writer.write(b"220 sink.example.net ESMTP\r\n")
    recipients = []
    try:
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                             b"250 ENHANCEDSTATUSCODES\r\n")
            elif verb == b"RCPT":
                recipients.append(re.search(rb"<([^>]*)>", line)[1].decode())
                writer.write(b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                writer.write(b"354 Go on\r\n")
                mail = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                head = mail.partition(b"\r\n\r\n")[0]
                if random.random() < 0.5:
                    await asyncio.sleep(random.random() * SLOWEST)
                line = json.dumps({
                    "connected": connected,
                    "at": time.monotonic(),
                    "id": field(head, b"X-Load-Id"),
                    "message_id": field(head, b"Message-ID"),
                    "recipients": recipients,
                    "sha256": hashlib.sha256(mail).hexdigest(),
                })
                os.write(record, line.encode() + b"\n")
                writer.write(b"250 2.0.0 Ok\r\n")
                recipients = []
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                break
            else:
                if verb in (b"MAIL", b"RSET"):
                    recipients = []
                writer.write(b"250 2.0.0 Ok\r\n")
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # its gateway was killed
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    arguments = parser.parse_args()
    record = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    server = await asyncio.start_server(
        lambda r, w: serve(r, w, record), "127.0.0.1", 0, limit=1 << 20, backlog=512
    )
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
