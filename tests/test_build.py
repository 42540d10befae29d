# SPDX-License-Identifier: MIT
"""The builder: nothing is compiled twice, nothing half-made is seen, and every failure is one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest

from isthmus import build
from isthmus.build.secure import secure_units
from isthmus.build.source import Pin, debian_source, read_pin, source_entries
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree

PIN = tree() / "worlds" / "secure" / "lwip" / "source.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ISTHMUS_SOURCES", raising=False)
    return tmp_path / "cache" / "isthmus"


class Project:
    """Two sources and a header, and a compiler that writes down what it does."""

    def __init__(self, place: Path, log: Path, delay: float = 0) -> None:
        self.place, self.log = place, log
        (place / "include").mkdir(parents=True)
        self.write("include/answer.h", "int answer(void);\n#define BASE 40\n")
        self.write("answer.c", '#include "answer.h"\nint answer(void) { return BASE + PLUS; }\n')
        self.write(
            "main.c", '#include "answer.h"\n#include <stdio.h>\nint main(void) { printf("%d", answer()); }\n'
        )
        (place / "slow").symlink_to(shutil.which("sleep") or "sleep")
        self.cc = place / "cc"
        self.cc.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *-c\\ *) {place}/slow {delay}; work=compile;; *" -o "*) work=link;; esac\n'
            f'[ "$work" = link ] && echo link >> {log}\n'
            f'[ "$work" = compile ] && for a; do case $a in *.c) echo "${{a##*/}}" >> {log};; esac; done\n'
            'exec cc "$@"\n'
        )
        self.cc.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)

    def build(self, plus: int = 2) -> Path:
        sources = [self.place / "main.c", self.place / "answer.c"]
        return build.build_program("answer", sources, [self.place / "include"], [f"-DPLUS={plus}"])

    def done(self) -> list[str]:
        """What the compiler has done since the last call."""
        names = sorted(self.log.read_text().split()) if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return names


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path / "project", tmp_path / "compiled")
    monkeypatch.setenv("CC", str(made.cc))
    return made


def run(executable: Path) -> str:
    return subprocess.run([executable], check=True, capture_output=True, text=True).stdout


def one_line(error: pytest.ExceptionInfo[EnvironmentProblem]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


# ---- the cache -----------------------------------------------------------------------------------


def test_second_build_compiles_nothing(project: Project) -> None:
    first = project.build()
    assert run(first) == "42"
    assert project.done() == ["answer.c", "link", "main.c"]
    before = sorted(p for p in build.folder().rglob("*"))
    assert project.build() == first
    assert project.done() == []
    assert sorted(p for p in build.folder().rglob("*")) == before


def test_changed_source_compiles_that_source(project: Project) -> None:
    first = project.build()
    project.done()
    project.write("answer.c", '#include "answer.h"\nint answer(void) { return BASE - PLUS; }\n')
    second = project.build()
    assert project.done() == ["answer.c", "link"]
    assert (run(first), run(second)) == ("42", "38")  # who runs the old program keeps it


@pytest.mark.parametrize("change", ["header", "flag"])
def test_changed_header_or_flag_compiles_all(project: Project, change: str) -> None:
    project.build()
    project.done()
    if change == "header":
        project.write("include/answer.h", "int answer(void);\n#define BASE 50\n")
        assert run(project.build()) == "52"
    else:
        assert run(project.build(plus=3)) == "43"
    assert project.done() == ["answer.c", "link", "main.c"]


def test_another_compiler_compiles_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.build()
    monkeypatch.setenv("CC", f"{project.cc} -g")
    assert project.build() != first


def test_place_of_the_sources_does_not_matter(project: Project, tmp_path: Path) -> None:
    first = project.build()
    project.done()
    shutil.move(project.place, tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", project.place)  # CC still lies there
    project.place = tmp_path / "elsewhere"
    assert project.build() == first
    assert project.done() == []


def test_nothing_is_written_beside_the_sources(project: Project) -> None:
    before = sorted(project.place.rglob("*"))
    project.build()
    assert sorted(project.place.rglob("*")) == before


def test_lost_object_is_compiled_again(project: Project) -> None:
    shutil.rmtree(project.build().parent)
    project.done()
    for number, made in enumerate(sorted(build.folder("objects").iterdir())):
        if number == 0:
            made.unlink()
    assert run(project.build()) == "42"
    assert len(project.done()) == 2


def test_unused_results_are_removed_after_a_month(project: Project) -> None:
    old = project.build()
    kept = project.build(plus=1)
    long_ago = time.time() - 40 * 86400
    os.utime(old, (long_ago, long_ago))
    project.build(plus=5)
    assert kept.exists()
    assert not old.exists()
    assert run(project.build()) == "42"


# ---- two at once, and a killed one ---------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from isthmus.build import build_program
place = Path(sys.argv[1])
print(build_program("answer", [place / "main.c", place / "answer.c"], [place / "include"], ["-DPLUS=2"]))
"""


def start(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(project.place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def started_by(project: Project) -> list[str]:
    """Command lines of compilers that still run."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in lines if f"{project.cc} " in line or f"{project.place}/slow " in line]


def test_two_builders_at_once_compile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project", tmp_path / "compiled", delay=0.5)
    monkeypatch.setenv("CC", str(project.cc))
    builders = [start(project), start(project)]
    answers = {builder.communicate(timeout=60)[0] for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert project.done() == ["answer.c", "link", "main.c"]
    (answer,) = answers
    assert run(Path(answer.strip())) == "42"


def test_killed_builder_leaves_the_way_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    project = Project(tmp_path / "project", tmp_path / "compiled", delay=5)
    monkeypatch.setenv("CC", str(project.cc))
    builder = start(project)
    while not started_by(project):
        assert builder.poll() is None
        time.sleep(0.01)
    builder.kill()
    builder.communicate()
    project.cc.write_text('#!/bin/sh\nexec cc "$@"\n')
    assert run(project.build()) == "42"
    assert not list(cache.glob("staging/*"))


def test_interrupt_ends_every_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "compiled", delay=30)
    monkeypatch.setenv("CC", str(project.cc))
    builder = start(project)
    while not started_by(project):
        assert builder.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)  # let it come to wait for them
    builder.send_signal(signal.SIGINT)
    builder.communicate(timeout=20)
    assert builder.returncode == -signal.SIGINT
    assert not started_by(project)
    assert not list(cache.glob("staging/*"))


# ---- one line per failure ------------------------------------------------------------------------


def test_compile_error_is_one_line_and_leaves_nothing(project: Project, cache: Path) -> None:
    project.write("answer.c", "int answer(void) { return nothing; }\nint other = also_nothing;\n")
    with pytest.raises(EnvironmentProblem) as error:
        project.build()
    assert "answer.c" in one_line(error)
    assert "nothing" in one_line(error)
    assert not list(cache.glob("staging/*"))
    assert not list(cache.glob("programs/*/*"))


def test_link_error_is_one_line(project: Project) -> None:
    project.write("main.c", "int missing(void);\nint main(void) { return missing(); }\n")
    with pytest.raises(EnvironmentProblem) as error:
        project.build()
    assert "missing" in one_line(error)


def test_missing_source_is_named(project: Project) -> None:
    (project.place / "answer.c").unlink()
    with pytest.raises(EnvironmentProblem) as error:
        project.build()
    assert "answer.c" in one_line(error)


@pytest.mark.parametrize("cc", ["/nowhere/cc", "false"])
def test_missing_compiler_is_named(project: Project, monkeypatch: pytest.MonkeyPatch, cc: str) -> None:
    monkeypatch.setenv("CC", cc)
    with pytest.raises(EnvironmentProblem) as error:
        project.build()
    assert cc in one_line(error)
    assert "CC" in one_line(error)


def test_unusable_cache_is_named(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EnvironmentProblem) as error:
        project.build()
    assert "XDG_CACHE_HOME" in one_line(error)


# ---- upstream sources ----------------------------------------------------------------------------


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archive(place: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(place, "w:xz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return place


def pin_of(path: Path) -> Pin:
    return Pin("demo", "1.0-1", path.name, sha256(path), "demo-1.0")


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "downloaded"
    folder.mkdir()
    monkeypatch.setenv("ISTHMUS_SOURCES", str(folder))
    return folder


def test_downloaded_archive_is_unpacked_once(downloaded: Path) -> None:
    pin = pin_of(archive(downloaded / "demo_1.0.orig.tar.xz", {"demo-1.0/a.c": b"int a;\n"}))
    place = debian_source(pin)
    assert (place / "a.c").read_bytes() == b"int a;\n"
    (downloaded / pin.archive).unlink()
    assert debian_source(pin) == place


def test_wrong_checksum_is_refused_before_unpacking(downloaded: Path, cache: Path) -> None:
    pin = pin_of(archive(downloaded / "demo_1.0.orig.tar.xz", {"demo-1.0/a.c": b"int a;\n"}))
    archive(downloaded / pin.archive, {"demo-1.0/a.c": b"int evil;\n"})
    with pytest.raises(EnvironmentProblem) as error:
        debian_source(pin)
    assert pin.sha256 in one_line(error)
    assert not list(cache.glob("sources/*"))


def test_missing_archive_is_named(downloaded: Path) -> None:
    with pytest.raises(EnvironmentProblem) as error:
        debian_source(read_pin(PIN))
    assert read_pin(PIN).archive in one_line(error)


def test_archive_writes_nowhere_else(downloaded: Path, tmp_path: Path) -> None:
    path = downloaded / "demo_1.0.orig.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for name in ("demo-1.0/a.c", f"demo-1.0/{'../' * 6}escaped", str(tmp_path / "absolute")):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, BytesIO(b"evil"))
        link = tarfile.TarInfo("demo-1.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
    place = debian_source(pin_of(path))
    assert [p.name for p in place.parent.rglob("*")] == ["demo-1.0", "a.c"]
    assert not (tmp_path / "absolute").exists()
    assert not list(tmp_path.rglob("escaped"))


# A stand-in for apt-get: checks that it was given a configuration of its own, and serves one archive.
APT = """#!/bin/sh
conf=$3; shift 3
echo "$*" >> "$ASKED"
cp "$conf" "$ASKED.conf"; cat "${conf%apt.conf}"parts/* > "$ASKED.parts"
case $* in
    update) ;;
    *--download-only\\ "$HAS") cp "$ARCHIVE" . ;;
    *) echo "E: Unable to find a source package for $3"; exit 100 ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, asked = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    (tmp_path / "list").write_text(
        "deb http://mirror.test/debian bookworm main\ndeb http://elsewhere.test/apt stable tools\n"
    )
    config = f"LIST='{tmp_path / 'list'}'\\nPARTS='{tmp_path / 'none'}/'\\n"
    for name, script in (("apt-get", APT), ("apt-config", f'#!/bin/sh\nprintf "{config}"\n')):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    made = archive(tmp_path / "demo_1.0.orig.tar.xz", {"demo-1.0/a.c": b"int a;\n"})
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(asked))
    monkeypatch.setenv("ARCHIVE", str(made))
    monkeypatch.setenv("HAS", "demo=1.0-1")
    release = {"VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    return asked


def test_apt_is_asked_privately(apt: Path, tmp_path: Path, cache: Path) -> None:
    place = debian_source(pin_of(tmp_path / "demo_1.0.orig.tar.xz"))
    assert (place / "a.c").exists()
    assert apt.read_text().splitlines() == ["update", "source --download-only demo=1.0-1"]
    assert apt.with_suffix(".parts").read_text() == "deb-src http://mirror.test/debian bookworm main\n"
    settings = apt.with_suffix(".conf").read_text()
    assert f'Dir::State::lists "{cache}/' in settings
    assert 'Dir::Etc::sourcelist "/dev/null"' in settings
    assert "#clear APT::Update::Post-Invoke-Success;" in settings
    assert not list(cache.glob("staging/*"))  # lists and downloads are gone again


def test_later_debian_revision_will_do(apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAS", "demo")
    debian_source(pin_of(tmp_path / "demo_1.0.orig.tar.xz"))
    assert apt.read_text().splitlines()[-1] == "source --download-only demo"


def test_apt_failure_is_one_line(
    apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("HAS", "nothing")
    with pytest.raises(EnvironmentProblem) as error:
        debian_source(pin_of(tmp_path / "demo_1.0.orig.tar.xz"))
    assert "Unable to find a source package" in one_line(error)
    assert "ISTHMUS_SOURCES" in one_line(error)
    assert not list(cache.glob("staging/*"))


def test_machine_without_debian_entries_is_told(apt: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("deb http://elsewhere.test/apt stable tools\n")
    with pytest.raises(EnvironmentProblem) as error:
        debian_source(pin_of(tmp_path / "demo_1.0.orig.tar.xz"))
    assert "bookworm" in one_line(error)
    assert not apt.exists()  # apt was not even asked


STANZAS = """# Debian itself
Types: deb
# a comment between fields
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 key

Types: deb
URIs: http://vendor.test/apt
Suites: bookworm-vendor
Components: main

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main
Enabled: no
"""


def test_deb822_entries() -> None:
    (stanza,) = source_entries(STANZAS, True, "bookworm").split("\n\n")
    assert stanza.splitlines() == [
        "Types: deb-src",
        "URIs: http://mirror.test/debian",
        "Suites: bookworm bookworm-updates",
        "Components: main",
        "Signed-By:",
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " key",
    ]


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("deb http://m.test/debian bookworm main", "deb-src http://m.test/debian bookworm main\n"),
        ("deb-src http://m.test/debian bookworm main", "deb-src http://m.test/debian bookworm main\n"),
        ("deb [a=b c] file:/d bookworm/updates main #x", "deb-src [a=b c] file:/d bookworm/updates main\n"),
        ("# deb http://m.test/debian bookworm main", ""),
        ("deb http://m.test/debian trixie main", ""),
        ("deb http://vendor.test/linux bookworm stable", ""),
        ("deb http://vendor.test/apt bookworm-pgdg main", ""),
        ("deb cdrom:[Debian]/ bookworm main", ""),
        ("deb http://vendor.test/flat ./", ""),
    ],
)
def test_one_line_entries(line: str, entry: str) -> None:
    assert source_entries(line + "\n", False, "bookworm") == entry


def test_entries_given_twice_are_used_once() -> None:
    both = "deb http://m.test/debian bookworm main\ndeb-src http://m.test/debian bookworm main\n"
    assert source_entries(both, False, "bookworm") == "deb-src http://m.test/debian bookworm main\n"


# ---- the Secure world's sources ------------------------------------------------------------------


@pytest.fixture(scope="session")
def lwip() -> Path:
    """lwIP from the user's real cache, fetched if this is the first time."""
    return debian_source(read_pin(PIN))


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_secure_world_compiles_without_a_warning(cc: str, lwip: Path, tmp_path: Path) -> None:
    own, _ = secure_units(lwip)
    command = [cc, *own.arguments(), "-Werror", "-fsyntax-only", *map(str, own.sources)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_port_and_applications_know_no_platform(lwip: Path) -> None:
    """They run at S-EL1 later: of libc only string.h, and they compile freestanding for AArch64."""
    own, _ = secure_units(lwip)
    portable = [p for p in own.sources if p.parent.name in ("lwip", "apps")]
    assert len(portable) > 5
    for source in (*portable, *(q for p in {s.parent for s in portable} for q in p.glob("*.h"))):
        for line in source.read_text().splitlines():
            if line.startswith("#include <"):
                assert line.split()[1] in ("<string.h>", "<stddef.h>", "<stdint.h>"), f"{source}: {line}"
    command = ["aarch64-linux-gnu-gcc", *own.arguments(), "-Werror", "-ffreestanding", "-fsyntax-only"]
    subprocess.run([*command, *map(str, portable)], check=True)
