"""The rules of the folders: which code may include what, and what documents name.

The build enforces most of what modules of the gateway may see of each other, since each has an
include root of its own. Headers of libraries are in the compiler's path for everybody, so their
rules are enforced here.
"""

import pathlib
import re

# A library's headers, and the folders (or files) that may include them.
LIBRARIES = {
    r"pistache/": ["gateway/http/", "tests/bench/"],
    r"boost/beast/": ["gateway/http/"],
    # Beast's parser takes its input as an Asio buffer.
    r"boost/asio/": ["plugins/provider_smtp/", "gateway/http/parser.cc"],
    r"boost/dll/": ["gateway/plugin_host/"],
    r"boost/json/": ["gateway/", "tests/bench/"],
    r"yaml-cpp/": ["gateway/config/"],
    r"soci/": ["plugins/storage_"],
    r"sqlite3\.h": ["plugins/storage_"],
    r"openssl/": ["gateway/base/", "plugins/provider_smtp/", "sdk-plugin/http/src/test_server.cc"],
    r"curl/": ["sdk-plugin/http/src/", "gateway/cli/client.cc"],
    r"spdlog/": ["gateway/telemetry/"],
    r"prometheus/": ["gateway/telemetry/"],
    r"CLI/": ["gateway/cli/"],
    r"idn2\.h|uni[a-z]+\.h": ["gateway/mail/"],
}
# Headers of libraries that only tests link.
TEST_LIBRARIES = r"gtest/|gmock/|gmime/"
TEST_FILES = re.compile(
    r"_test\.(cc|h)$|_fixture\.h$|/test_\w+\.(cc|h)$|^sdk-plugin/conformance/|^tests/"
)
# The C library's and the kernel's own.
SYSTEM = re.compile(
    r"(sys|netinet|arpa|net|linux)/\w+\.h"
    r"|(cxxabi|dirent|dlfcn|elf|errno|execinfo|fcntl|fnmatch|ftw|getopt|glob|grp|ifaddrs|inttypes"
    r"|limits|link|locale|malloc|math|netdb|poll|pthread|pwd|resolv|sched|semaphore|signal|spawn"
    r"|stddef|stdint|stdio|stdlib|string|syslog|termios|time|unistd|utime)\.h"
)
STANDARD = re.compile(r"[a-z_0-9]+")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")', re.MULTILINE)
SOURCES = {".cc", ".h"}
CODE = ["gateway", "plugins", "sdk-plugin", "tests"]


def sources(root):
    for top in CODE:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCES:
                yield path


def module_dependencies(root):
    """From the modules of the gateway to what their CMakeLists.txt name in DEPENDS."""
    found = {}
    for path in sorted((root / "gateway").glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        call = re.search(r"postern_module\((\w+)([^)]*)\)", text)
        if call:
            depends = re.search(r"\bDEPENDS\s+([^)]*?)(?=\bLIBRARIES\b|\bSOURCES\b|$)", call[2])
            found[call[1]] = depends[1].split() if depends else []
    return found


def reachable(graph, start):
    seen, todo = set(), [start]
    while todo:
        for name in graph.get(todo.pop(), []):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def check_library(file, header):
    if STANDARD.fullmatch(header) or SYSTEM.fullmatch(header):
        return None
    if re.match(TEST_LIBRARIES, header):
        return None if TEST_FILES.search(file) else f"<{header}> belongs in tests alone"
    for pattern, places in LIBRARIES.items():
        if re.match(pattern, header):
            if any(file.startswith(place) for place in places):
                return None
            return f"<{header}> belongs in {' and '.join(places)} alone"
    return f"<{header}> is of no library that this test knows; give it its place in LIBRARIES"


def check_own(file, header, root, graph):
    """An include in quotes."""
    if ".." in header.split("/"):
        return f'"{header}" leaves its folder'
    top, *rest = pathlib.PurePosixPath(file).parts
    beside = (root / file).parent / header
    if file.startswith("sdk-plugin/include/"):
        own = header.startswith("postern/sdk/")
        return None if own else f'"{header}": the SDK includes itself alone'
    if header.startswith(("postern/sdk/", "postern/sdk_http/")) or beside.is_file():
        return None
    if top == "sdk-plugin":
        return None if (root / top / header).is_file() else f'"{header}" is not of the SDK'
    if top == "plugins":
        folder = root / top / rest[0]
        if (folder / header).is_file():
            return None
        # The conformance suites are libraries that only tests of a plugin link.
        suites = root / "sdk-plugin"
        if ((suites / "conformance" / header).is_file() or (suites / header).is_file()) and (
            TEST_FILES.search(file) or file.endswith("_bench.cc")
        ):
            return None
        return f'"{header}": a plugin includes its own folder and the SDK alone'
    if top == "gateway" and len(rest) > 1:
        module, other = rest[0], header.split("/")[0]
        if other == module or header == "openapi.inc" or TEST_FILES.search(file):
            return None
        # serve.cc wires the gateway: it is a library of its own that sees every module.
        if file in ("gateway/cli/serve.cc",) or other in reachable(graph, module):
            return None
        return f'"{header}": {module} does not depend on {other}'
    return None


def include_problems(root):
    graph = module_dependencies(root)
    for path in sources(root):
        file = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            library, own = match[1], match[2]
            if library:
                problem = check_library(file, library)
                if file.startswith("sdk-plugin/include/") and not STANDARD.fullmatch(library):
                    problem = f"<{library}>: the SDK includes the standard library alone"
            else:
                problem = check_own(file, own, root, graph)
            if problem:
                line = text.count("\n", 0, match.end()) + 1
                yield f"{file}:{line}: {problem}"


def cycle_problems(root):
    graph = module_dependencies(root)
    for module in graph:
        if module in reachable(graph, module):
            yield f"gateway/{module}: depends on itself through {', '.join(graph[module])}"


def purpose_problems(root):
    """Every folder says what it is for: a README.md, or a comment that heads its CMakeLists.txt."""
    folders = [root / name for name in ("gateway", "plugins", "sdk-plugin", "config", "tests")]
    folders += [
        path
        for top in ("gateway", "plugins", "sdk-plugin", "tests")
        for path in sorted((root / top).iterdir())
        if path.is_dir() and any(file.suffix in SOURCES | {".py"} for file in path.rglob("*"))
    ]
    for folder in folders:
        lists = folder / "CMakeLists.txt"
        if (folder / "README.md").is_file() or folder == root / "sdk-plugin" / "include":
            continue
        if not (lists.is_file() and lists.read_text(encoding="utf-8").startswith("#")):
            name = folder.relative_to(root).as_posix()
            yield f"{name}: neither README.md nor a comment says what it is for"


def documents(root):
    yield from sorted(root.glob("*.md"))
    for top in ("gateway", "plugins", "sdk-plugin", "config", "tests", "packaging"):
        yield from sorted((root / top).rglob("*.md"))


def document_problems(root):
    """Links lead somewhere, and the files that the life of a message names are there."""
    for path in documents(root):
        document = path.relative_to(root).as_posix()
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        named = re.findall(r"\]\(([^)\s]+)\)", text)
        if document == "gateway/README.md":
            named += re.findall(r"`((?:\.\./)?[\w./]+\.(?:cc|h))`", text)
        for name in named:
            target = name.split("#")[0]
            if target and "://" not in name and not (path.parent / target).exists():
                yield f"{document}: names {name}, which is not there"


def problems(root):
    return [
        *include_problems(root),
        *cycle_problems(root),
        *purpose_problems(root),
        *document_problems(root),
    ]
