"""The configuration that init writes fits its host, names every key, and is one that fimkit takes."""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from fimkit.model.channels import Channel, Gets
from fimkit.model.config import Config
from fimkit.model.config_checks import CHECKS
from fimkit.model.config_text import load_config, parse_config
from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Tier
from fimkit.model.watches import WatchSet
from fimkit.verbs.host_facts import gather_host_facts, resolve_below
from fimkit.verbs.init import create_config, init
from fimkit.verbs.init_text import KEY_WORDS, render_config

__all__: list[str] = []


def plain_host(root: Path) -> None:
    for folder in ("bin", "sbin", "lib", "usr/bin", "usr/sbin", "usr/lib", "boot", "etc"):
        (root / folder).mkdir(parents=True)


def merged_host(root: Path) -> None:
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "boot", "etc", "root/.ssh"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "sbin", "lib"):
        (root / name).symlink_to(f"usr/{name}")


def web_host(root: Path) -> None:
    merged_host(root)
    wordpress = "var/www/html/wp-content"
    for folder in (f"{wordpress}/cache", f"{wordpress}/plugins", "srv/shop [1]/app/var/cache", "home/ann/site"):
        (root / folder).mkdir(parents=True)
    (root / "etc/nginx/sites-enabled").mkdir(parents=True)
    (root / "etc/nginx/sites-enabled/shop").write_text(
        'server {\n  root "/srv/shop [1]";\n  # root /commented;\n}\nserver { \n root /absent;\n}\nserver {\nroot /;\n}\n'
    )
    (root / "etc/apache2/sites-enabled").mkdir(parents=True)
    site = b'<VirtualHost>\n\tDocumentRoot "/home/ann/site"\n# \xff\n</VirtualHost>\n'
    (root / "etc/apache2/sites-enabled/ann.conf").write_bytes(site)
    (root / "etc/audit").mkdir()
    (root / "etc/audit/auditd.conf").write_text("# log_file = /no\nlog_file = /data/audit.log\nlog_format = ENRICHED\n")
    (root / "etc/osquery").mkdir()
    (root / "etc/osquery/osquery.conf").write_text('{"options": {"logger_path": "/from/conf", "extensions_socket": "/run/osq.em"}}')
    (root / "etc/osquery/osquery.flags").write_text("--logger_path=/data/osquery\n--disable_audit=true\n")


def empty_host(root: Path) -> None:
    assert not any(root.iterdir())


def odd_host(root: Path) -> None:
    merged_host(root)
    (root / "srv").mkdir()
    (root / os.fsdecode(b"srv/caf\xe9")).mkdir()
    (root / "srv/a\tb").mkdir()
    (root / "etc/nginx").mkdir()
    (root / "etc/nginx/nginx.conf").write_bytes(b"root /srv/caf\xe9;\nroot /srv/a\tb;\nroot relative;\n")
    os.mkfifo(root / "etc/nginx/fifo")
    (root / "etc/osquery").mkdir()
    (root / "etc/osquery/osquery.conf").write_text("// no plain JSON\n{")
    (root / "boot/loop").symlink_to("loop")


HOSTS = [plain_host, merged_host, web_host, empty_host, odd_host]
COMMENTED = re.compile(r"^# ([a-z_]+ = |\[\[channels\]\]$)", re.MULTILINE)


@pytest.fixture(params=HOSTS, ids=lambda make: make.__name__)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Callable[[Path], None] = request.param
    make(tmp_path)
    return tmp_path


def config_of(make: Callable[[Path], None], root: Path) -> Config:
    make(root)
    return parse_config(init(root), "init")


def test_the_result_is_a_configuration_that_fimkit_takes(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("out") / "fimkit.toml"
    create_config(file, init(root))
    config = load_config(file)
    assert config.paths
    assert config.host.name == os.uname().nodename


def test_every_key_of_the_contract_is_in_it_with_words(root: Path) -> None:
    text = init(root)
    for name in [*CHECKS, *(f"paths.{key}" for key in ("tier", "recursive", "cross_mounts", "scan_content", "keep_content"))]:
        key = name.split(".")[1]
        assert re.search(rf"^(# )?{key} = .* # {re.escape(KEY_WORDS[name])}$", text, re.MULTILINE), name


def test_the_commented_defaults_are_the_defaults(root: Path) -> None:
    text = init(root)
    uncommented = parse_config(COMMENTED.sub(r"\1", text), "uncommented")
    assert replace(uncommented, channels=()) == parse_config(text, "commented")
    assert [channel.gets for channel in uncommented.channels] == [(Gets.ALERTS, Gets.PANIC)]
    assert len(COMMENTED.findall(text)) > 30


def test_words_are_there_for_every_field_and_no_other() -> None:
    config = parse_config('[[paths]]\npath = "/"\n', "x")
    tables = {field.name: getattr(config, field.name) for field in fields(config)} | {"paths": config.paths[0], "channels": Channel}
    assert set(KEY_WORDS) == {f"{name}.{field.name}" for name, table in tables.items() for field in fields(table)}


def test_a_host_with_links_gets_the_real_folders_and_hears_why(tmp_path: Path) -> None:
    config = config_of(merged_host, tmp_path)
    assert [watch.path for watch in config.paths] == [b"/usr/bin", b"/usr/sbin", b"/boot", b"/usr/lib", b"/etc", b"/root/.ssh"]
    assert "/sbin is /usr/sbin" in init(tmp_path)
    assert {watch.path for watch in config.paths if watch.tier is Tier.CRITICAL} == {b"/usr/bin", b"/usr/sbin", b"/boot"}


def test_a_host_without_links_keeps_its_folders(tmp_path: Path) -> None:
    paths = {watch.path for watch in config_of(plain_host, tmp_path).paths}
    assert paths >= {b"/bin", b"/sbin", b"/usr/sbin"}


def test_web_roots_are_found_and_their_caches_left_out(tmp_path: Path) -> None:
    config = config_of(web_host, tmp_path)
    roots = {watch.path: watch for watch in config.paths if watch.scan_content}
    assert set(roots) == {b"/var/www", b"/srv/shop [1]", b"/home/ann/site"}
    watches = WatchSet(config.paths)
    assert watches.watch_of(b"/var/www/html/wp-content/cache/x.php") is None
    assert watches.watch_of(b"/var/www/html/wp-content/plugins/x.php") == roots[b"/var/www"]
    assert watches.watch_of(b"/srv/shop [1]/app/var/cache/x") is None
    assert watches.watch_of(b"/srv/shop [1]/app/x") is not None
    text = init(tmp_path)
    assert "# Seen, and not taken: /absent is named a web root by a web server, and is not there." in text
    assert "# Seen, and not taken: / is named a web root by a web server, and too wide to watch as one." in text
    assert "/commented" not in text


def test_where_auditd_and_osquery_write_is_found(tmp_path: Path) -> None:
    sources = config_of(web_host, tmp_path).sources
    assert sources.audit_log == b"/data/audit.log"
    assert sources.osquery_log == b"/data/osquery/osqueryd.results.log"
    assert sources.osquery_socket == b"/run/osq.em"


def test_what_cannot_be_taken_is_said(tmp_path: Path) -> None:
    odd_host(tmp_path)
    notes = gather_host_facts(tmp_path).notes
    assert [note.split()[0] for note in notes] == ["relative", "/srv/caf%E9", "/etc/osquery/osquery.conf"]
    assert b"/srv/a\tb" in {watch.path for watch in parse_config(init(tmp_path), "x").paths}


def test_no_name_can_break_out_of_its_line(tmp_path: Path) -> None:
    plain_host(tmp_path)
    facts = gather_host_facts(tmp_path)
    evil = b'a"\n[panic]\nthreshold = 7\n#\\'
    text = render_config(replace(facts, web_roots=(b"/" + evil,), notes=(evil.decode(),), links=((evil, evil),)))
    config = parse_config(text, "x")
    assert config.panic.threshold == 1
    assert b"/" + evil in {watch.path for watch in config.paths}


def test_links_are_followed_inside_the_given_root_alone(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "abs").symlink_to("/usr/../usr/bin")
    (tmp_path / "up").symlink_to("../../../../usr")
    (tmp_path / "loop").symlink_to("loop")
    assert resolve_below(tmp_path, b"/abs") == b"/usr/bin"
    assert resolve_below(tmp_path, b"/up/bin") == b"/usr/bin"
    with pytest.raises(OSError, match="symbolic links"):
        resolve_below(tmp_path, b"/loop")
    with pytest.raises(FileNotFoundError):
        resolve_below(tmp_path, b"/abs/x")


def test_this_very_host_gets_one_too() -> None:
    assert parse_config(init(), "x").paths


def test_a_new_file_is_roots_alone_and_its_folder_is_made(tmp_path: Path) -> None:
    file = tmp_path / "etc/fimkit/fimkit.toml"
    create_config(file, "# ünï\n")
    assert file.read_text(encoding="utf-8") == "# ünï\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["fimkit.toml"]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["file", "folder", "link"])
def test_what_is_there_is_never_overwritten(make: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "fimkit.toml"
    make(file)
    with pytest.raises(UsageError, match=r"fimkit\.toml is"):
        create_config(file, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["fimkit.toml"]
    assert not file.is_file() or not file.read_bytes()


def test_a_place_that_cannot_be_written_is_the_hosts_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be written"):
        create_config(tmp_path / "file/fimkit.toml", "x")
