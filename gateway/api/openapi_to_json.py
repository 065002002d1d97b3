#!/usr/bin/python3
"""Turns openapi.yaml into what the gateway serves.

openapi_to_json.py IN.yaml OUT.json             compact JSON
openapi_to_json.py --cpp IN.yaml OUT.inc        the same as C++ raw string literals, to be
                                                included where an expression is expected

YAML's anchors and merges are resolved; the order of the file is kept.
"""

import argparse
import json
import pathlib

import yaml

# GCC takes literals of any length, but the standard only promises 64 KiB.
CHUNK = 8 * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpp", action="store_true")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    arguments = parser.parse_args()

    document = yaml.safe_load(arguments.source.read_text(encoding="utf-8"))
    # With ASCII alone no chunk can end inside a character.
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    if arguments.cpp:
        chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
        text = "\n".join(f'R"openapi({chunk})openapi"' for chunk in chunks)
    arguments.target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
