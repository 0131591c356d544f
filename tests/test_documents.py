"""The documents: their code runs, their links lead somewhere, and their commands exist."""

from __future__ import annotations

import inspect
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from thalweg import Graph
from thalweg.deploy import cli

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
WITH_CODE = [ROOT / "README.md", *sorted(ROOT.glob("docs/guides/*.md"))]
NAMED = re.compile(r"# (\w+\.py)\n")
COMMANDS = (
    "run", "show", "test", "tune", "sql", "look", "serve", "model", "score", "check", "probe",
    "usage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, the line it begins at, and the block behind it."""

    language: str
    text: str
    line: int
    following: Block | None

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, when its first line says so."""
        named = NAMED.match(self.text)
        return named[1] if named and self.language == "python" else None


def blocks_of(document: Path) -> list[Block]:
    """The fenced blocks of a document; one that follows with nothing between is `following`."""
    text = document.read_text(encoding="utf-8")
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    blocks: list[Block] = []
    for fence, after in reversed(list(zip(fences, [*fences[1:], None], strict=False))):
        joined = after is not None and not text[fence.end() : after.start()].strip()
        line = text.count("\n", 0, fence.start()) + 2
        blocks.insert(0, Block(fence[1], fence[2], line, blocks[0] if joined else None))
    return blocks


def commands_of(document: Path) -> Iterator[tuple[str, str]]:
    """Each command of the console blocks, with the output that is shown for it."""
    for block in blocks_of(document):
        if block.language == "console":
            for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, output = piece.partition("\n")
                yield command, output


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, from which modules can be imported that are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("document", WITH_CODE, ids=name_of)
def test_the_code_runs_and_prints_what_is_shown(
    document: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, Any] = {"__name__": "document"}
    blocks = [block for block in blocks_of(document) if block.language == "python"]
    assert blocks
    for block in blocks:
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
            if not block.file.startswith("test_"):
                runpy.run_path(block.file)
            continue
        # Lines in a traceback are those of the document.
        code = compile("\n" * (block.line - 1) + block.text, str(document), "exec")
        capfd.readouterr()
        exec(code, namespace)
        printed = capfd.readouterr().out
        if block.following is not None and block.following.language == "text":
            assert printed == block.following.text, f"{name_of(document)}:{block.line}"
    if list(folder.glob("test_*.py")):
        # With a folder of its own as root, none of our settings apply: as on a user's machine.
        found = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "-p", "no:cacheprovider",
             "-o", "asyncio_default_fixture_loop_scope=function"],
            capture_output=True, text=True, cwd=folder, timeout=50, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr


def test_the_graph_of_the_readme_prints_and_writes_what_is_shown(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    readme = ROOT / "README.md"
    for block in blocks_of(readme):
        if block.file == "temperatures.py":
            (folder / block.file).write_text(block.text, encoding="utf-8")
    shown = dict(commands_of(readme))
    assert cli.main(["run", "temperatures.py"]) == 0
    assert capfd.readouterr().out == shown["thalweg run temperatures.py"]
    written = (folder / "out" / "celsius.ndjson").read_text(encoding="utf-8")
    assert written == shown["cat out/celsius.ndjson"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{name_of(document)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in [_anchor(heading) for heading in headings], target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_path_of_one_machine_is_named(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    found = re.search(r"(?<![\w.:/*])/(home|root|work|tmp|Users|usr|var|opt|mnt)/\S+", text)
    assert found is None, f"{name_of(document)} names {found and found[0]}"


def commands() -> list[tuple[str, str]]:
    found = {
        (name_of(document), command.partition(" #")[0].strip())
        for document in DOCUMENTS
        for command, _ in commands_of(document)
    }
    return sorted(pair for pair in found if pair[1].startswith(("thalweg ", "make ")))


@pytest.mark.parametrize(("document", "command"), commands())
def test_a_command_exists_with_its_options(
    document: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        variables = re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text("utf-8"), re.M)
        for word in words[1:]:
            variable, equals, _ = word.partition("=")
            assert (variable in variables) if equals else (word in targets), command
        return
    assert words[1] in COMMANDS, command
    with pytest.raises(SystemExit):
        cli.main([words[1], "--help"])
    known = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out))
    ours = words[2 : words.index("--")] if "--" in words else words[2:]
    options = {word.partition("=")[0] for word in ours if word.startswith("-")}
    assert options <= known, command
    if "/" in words[2] and "://" not in words[2] and "*" not in words[2]:
        assert (ROOT / words[2]).is_file(), command


def test_commands_are_found_at_all() -> None:
    found = {command for _, command in commands()}
    assert "make test" in found
    assert any(command.startswith("thalweg serve ") for command in found)


def test_settings_in_commands_are_those_of_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    for _, command in commands():
        words = shlex.split(command)
        if words[:2] == ["thalweg", "run"] and words[2].startswith("graphs/"):
            given = [word for word in words[3:] if "=" in word]
            wanted = [part for value in given for part in ("--set", value)]
            assert cli.main(["show", str(ROOT / words[2]), *wanted]) == 0, command
            assert "setting" in capsys.readouterr().out


def test_the_plan_in_the_readme_is_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    shown = dict(commands_of(ROOT / "README.md"))["thalweg show graphs/iris_scoring.py"]
    assert cli.main(["show", "graphs/iris_scoring.py"]) == 0
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in shown.splitlines():
        assert line == "..." or " ".join(line.split()) in printed


def test_the_bounds_in_the_architecture_are_the_bounds() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    default = {name: p.default for name, p in inspect.signature(Graph).parameters.items()}
    batches, records = default["channel_batches"], default["channel_records"]
    size = default["channel_bytes"] >> 20
    assert f"by batches ({batches}), records ({records:,}) and estimated bytes ({size} MiB)" in text
