"""The configuration of a server: what its file may say, and where a mistake in it is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from domstats.errors import ConfigError, UsageError
from domstats.serve.config import SECTIONS, Config, decode, load
from domstats.serve.http.options import HttpOptions
from domstats.serve.libvirt import server
from domstats.serve.settings import CLIENTS_MAX, Settings, completed, settings
from domstats.serve.summary import summary

EXAMPLE = Path(__file__).parents[2] / "share" / "domstats.toml"
FILE = Path("/etc/domstats/domstats.toml")


def chosen(text: str, file: Path = FILE) -> Settings:
    return settings(decode(text.encode(), file), str(file))


def test_nothing() -> None:
    assert decode(b"", FILE) == Config()


def test_the_example_says_what_is_so_by_default() -> None:
    example = load(EXAMPLE)
    assert settings(example, "") == settings(msgspec.structs.replace(Config(), http=SECTIONS["http"]()), "")


def test_the_servers_have_the_same_defaults_as_the_file() -> None:
    http, libvirt = chosen("[http]").http, chosen('[libvirt_socket]\npath = "/run/sock"').libvirt
    assert http is not None
    assert http.options == HttpOptions(listen=())
    assert libvirt is not None
    assert libvirt.max_clients == server.CLIENTS_MAX == CLIENTS_MAX


def test_every_option_of_the_example_can_be_set() -> None:
    text = re.sub("^#(?=[a-z\\[])", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    document = msgspec.toml.decode(text)
    for name, section in SECTIONS.items():
        assert tuple(document[name]) == section.__struct_fields__
    config = decode(text.encode(), FILE)
    assert config.http is not None
    assert config.http.key == FILE.parent / "tls" / "domstats.key"
    assert config.host.plan == {"kernel": 1, "block": 60}


MISTAKES = [
    ("[htp]", "$.htp", "there is no such option; do you mean http?"),
    ("[http]\nlissten = []", "$.http.lissten", "do you mean listen?"),
    ("[log]\nzzz = 1", "$.log.zzz", "there are level, json, clients"),
    ("http = 1", "$.http", "expected a table, got a whole number"),
    ('[http]\nlisten = ["localhost"]', "$.http.listen[0]", "an address is HOST:PORT"),
    ('[http]\nlisten = ["127.0.0.1:1", "stats..example.org:1"]', "$.http.listen[1]", "between its dots are 1 to 63"),
    ('[http]\nlisten = ["a\\u0000:1"]', "$.http.listen[0]", "a NUL is in it"),
    ('[libvirt_socket]\ngroup = "a\\u0000"', "$.libvirt_socket.group", "there is no group"),
    ('[http]\nlisten = "127.0.0.1:1"', "$.http.listen", "expected a list, got a text"),
    ("[[http]]", "$.http", "expected a table, got a list"),
    ("[http]\nmax_connections = 0", "$.http.max_connections", "expected a whole number >= 1"),
    ("[http]\nmax_connections = 1.5", "$.http.max_connections", "expected a whole number, got a number"),
    ("[http]\nidle_seconds = nan", "$.http.idle_seconds", "expected a number > 0.0"),
    ("[http]\nidle_seconds = inf", "$.http.idle_seconds", "expected a number <= "),
    ("[log]\njson = 1", "$.log.json", "expected true or false, got a whole number"),
    ('[log]\nlevel = "`int`"', "$.log.level", "invalid enum value '`int`'; there are debug"),
    ("[host]\nuri = 2000-01-01", "$.host.uri", "expected a text, got a date"),
    ("[host]\nuri = 2000-01-01T00:00:00Z", "$.host.uri", "expected a text, got a date"),
    ("[host]\nuri = 00:00:00", "$.host.uri", "expected a text, got a time of day"),
    ('[http]\nkey = "key.pem"', "$.http", "a key is nothing without its certificate"),
    ('[http]\ncertificate = "none.pem"', "$.http.certificate", "cannot use the certificate /etc/domstats/none.pem"),
    ('[http]\ntoken_file = "none"', "$.http.token_file", "cannot read the token in /etc/domstats/none"),
    ('[http]\nhosts = ["a", "https://b"]', "$.http.hosts[1]", "a name without scheme and port"),
    ("[http]\nkey = 3", "$.http.key", "path"),
    ('[host]\nuri = "xen:///"', "$.host.uri", "cannot use the URI 'xen:///'"),
    ('[host]\ngroups = ["cpu", "gpu"]', "$.host.groups[1]", "no statistics group 'gpu'; known are state"),
    ("[host]\nplan = { cpu = 0.01 }", "$.host.plan.cpu", "at least 0.1"),
    ('[host]\ngroups = ["cpu"]\nplan = { block = 9 }', "$.host.plan.block", "is not asked for"),
    ('[host]\nkernel = "on"', "$.host.kernel", "there are auto, off"),
    (
        '[host]\nuri = "sim:///?script=/none/script.toml"',
        "$.host.uri",
        "cannot read the script /none/script.toml",
    ),
    ('[libvirt_socket]\npath = "/none/sock"', "$.libvirt_socket.path", "/none/sock: there is no folder /none"),
    ('[libvirt_socket]\npath = "/dev/null/sock"', "$.libvirt_socket.path", "/dev/null/sock: /dev/null is no folder"),
    ('[libvirt_socket]\npath = "/tmp"', "$.libvirt_socket.path", "cannot listen at /tmp: what is there is no socket"),
    ('[libvirt_socket]\npath = "/dev/null"', "$.libvirt_socket.path", "/dev/null: what is there is no socket"),
    (f'[libvirt_socket]\npath = "/tmp/{"x" * 95}"', "$.libvirt_socket.path", "has at most 99 bytes, not 100: /tmp/xxx"),
    ('[libvirt_socket]\nmode = "rw"', "$.libvirt_socket.mode", "no mode such as 0660"),
    ('[libvirt_socket]\nmode = "1777"', "$.libvirt_socket.mode", "no mode such as 0660"),
    ('[libvirt_socket]\ngroup = "nobody-has-this"', "$.libvirt_socket.group", "there is no group"),
    ("[history]\nbytes = 5", "$.history.bytes", "at least 4194304 bytes (or 0, for none)"),
    ('[history]\nfields = ["cpu", "ctu"]', "$.history.fields[1]", "no column 'ctu'"),
    ('[metrics]\nlabels = ["vmware"]', "$.metrics.labels[0]", "there are nova, kubevirt"),
    ('[metrics]\nlabel = ["x"]', "$.metrics.label[0]", "NAME=NAMESPACE:PATH"),
    ('[metrics]\nfields = ["gpu.*"]', "$.metrics.fields[0]", "no field fits"),
    ('[metrics]\nlabels = ["nova", "nova"]', "$.metrics", "there are two labels 'nova_name'"),
    ('[log]\nlevel = "loud"', "$.log.level", "there are debug, info, warning, error"),
    ("[http", "", "is not TOML: "),
]


@pytest.mark.parametrize(("text", "path", "why"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_a_mistake_is_found_where_it_is(text: str, path: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(text)
    error = caught.value
    assert (error.file, error.path) == (str(FILE), path)
    assert why in error.why
    assert str(error).startswith(f"{FILE}: {path}")


@pytest.mark.parametrize("variable", ["DOMSTATS_URI", "LIBVIRT_DEFAULT_URI"])
def test_the_environment_names_the_host_where_the_file_does_not(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOMSTATS_URI", "LIBVIRT_DEFAULT_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "xen:///")
    with pytest.raises(
        ConfigError, match=f"cannot use the URI 'xen:///'.*the environment variable {variable}"
    ) as caught:
        chosen("")
    assert caught.value.path == "$.host.uri"
    assert chosen('[host]\nuri = "sim:///"').host.uri == "sim:///"


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        decode(b"[http]\n# \xff", FILE)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="has more than 1048576 bytes"):
        load(tmp_path / "large.toml")


def test_what_systemd_passes_is_served_instead() -> None:
    http = completed(chosen("[http]"), passes_http=True, passes_libvirt=False).http
    assert http is not None
    assert http.listen == ()
    both = completed(chosen(""), passes_http=True, passes_libvirt=True)
    assert both.http is not None
    assert both.libvirt is not None


@pytest.mark.parametrize("text", ["[libvirt_socket]", "[http]\n[libvirt_socket]\nmode = '0666'"])
def test_a_libvirt_socket_that_is_nowhere(text: str) -> None:
    with pytest.raises(UsageError, match=r"there is no \$\.libvirt_socket\.path, and systemd passes no socket"):
        completed(chosen(text), passes_http=True, passes_libvirt=False)
    libvirt = completed(chosen(text), passes_http=True, passes_libvirt=True).libvirt
    assert libvirt is not None
    assert libvirt.path is None


@pytest.mark.parametrize("text", ["", "[http]\nlisten = []"])
def test_nothing_to_serve(text: str) -> None:
    with pytest.raises(UsageError, match="there is nothing to serve"):
        completed(chosen(text), passes_http=False, passes_libvirt=False)


def test_other_contents_of_a_token_are_other_settings(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    text = '[http]\ntoken_file = "token"'
    before = chosen(text, tmp_path / "file")
    assert chosen(text, tmp_path / "file") == before
    (tmp_path / "token").write_text("fedcba9876543210")
    assert chosen(text, tmp_path / "file") != before


def test_summary() -> None:
    text = '[host]\nuri = "sim:///"\ngroups = ["cpu"]\ndomains = ["a\\u001b"]\n[libvirt_socket]\npath = "/run/sock"'
    assert summary(chosen(text)) == [
        "host            sim:///",
        "domains         a\\x1b",
        "plan            every 15 s cpu",
        "plan            at most 20% of libvirtd's time",
        "libvirt socket  /run/sock, mode 0660",
        "history         22 fields, at most 256 MiB",
        "log             info, plain",
    ]
