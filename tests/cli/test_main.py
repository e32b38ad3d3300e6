"""The command's frame: its list of verbs, what it loads, and what becomes of errors."""

from __future__ import annotations

import errno
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from command import domstats
from domstats import __version__, cli
from domstats.cli.console import Exit, say
from domstats.errors import BadUri, DeadlineExceeded, NoSocket, RemoteError, ReplyTooLarge, UnknownDomain, UnknownGroup


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_list_of_verbs_says_what_the_verbs_say(verb: str) -> None:
    command = import_module(f"domstats.cli.{verb}").command
    assert command.name == verb
    assert command.help.startswith(cli.VERBS[verb])


def test_every_verb_is_listed() -> None:
    modules = Path(str(cli.__file__)).parent.glob("*.py")
    assert {path.stem for path in modules if "\n@click.command(" in path.read_text()} == set(cli.VERBS)


def test_help_loads_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from domstats.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "get" in done.stdout
    loaded = done.stderr.split()
    assert not {"numpy", "asyncio", "aiohttp", "msgspec", "ssl", *(f"domstats.cli.{verb}" for verb in cli.VERBS)} & {
        *loaded
    }


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_options_help_makes_sense_alone(verb: str) -> None:
    command = import_module(f"domstats.cli.{verb}").command
    helps = [option.help for option in command.params if isinstance(option, click.Option) and not option.hidden]
    assert all(text and text.endswith(".") and len(text.split()) > 2 for text in helps)
    assert not [text for text in helps if text.endswith((" not.", " that."))]


def test_the_exit_codes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["get", "-h"])
    told = " ".join(capsys.readouterr().out.partition("Exit codes: ")[2].split())
    codes = [int(part.split()[0]) for part in told.rstrip(".").split(", ")]
    assert codes == [code for code in Exit if code is not Exit.CLOSED_PIPE]


async def test_as_a_module() -> None:
    ended = await domstats("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"domstats, version {__version__}\n".encode(), "")


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["get", "--help"], ["get", "-h"], ["fields", "-h"]])
def test_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: domstats ")
    assert err == ""


@pytest.mark.parametrize("args", [[], ["nonsense"], ["--nonsense"], ["get", "--nonsense"]])
def test_wrong_use(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: domstats ")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BadUri("foo:", "it is wrong"), 2, "it is wrong"),
        (UnknownGroup("foo", ("state",)), 2, "'foo'"),
        (UnknownDomain("vm"), 1, "no domain 'vm'"),
        (NoSocket("nothing\nlistens\x1b[2J"), 4, r"nothing\x0alistens\x1b[2J"),
        (RemoteError(1, 2, "internal error"), 1, "internal error"),
        (ReplyTooLarge(39, 7, "Unable to encode message payload"), 1, "fewer domains (names, --running) or groups"),
        (DeadlineExceeded("the answer", 5), 1, "within 5 s"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
    ],
)
def test_errors(
    error: Exception, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli.group, "get_command", lambda *_: fails)
    monkeypatch.setattr(cli, "forget_output", lambda: None)
    assert cli.main(["get"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("domstats: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_verbs_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.group, "get_command", lambda *_: click.Command("get", callback=lambda: Exit.PARTIAL))
    assert cli.main(["get"]) == 3


def test_talk_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("the domain 'a\nb\u202e'")
    assert capsys.readouterr() == ("", "domstats: the domain 'a\\x0ab\\xe2\\x80\\xae'\n")
