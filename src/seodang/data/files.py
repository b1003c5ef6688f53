"""Which files a path names, and their bytes: folders, globs and archives, compressed or not, never unpacked to disk.

    seed.jsonl            the file                     seed.jsonl.gz, .zst       the same, read through
    data/                 every data file in it        data/**/*.json            those that match, compared in NFC
    set.zip               every data file in it        nested.zip/inner.zip      and in an archive within it

Many files come in the order of their names in NFC, so that a set copied from macOS (whose names are NFD) reads in the
same order. Names in archives are UTF-8 where the archive says so, else UTF-8 or CP949, whichever they are.
"""

from __future__ import annotations

import difflib
import gzip
import io
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from seodang.errors import DataError
from seodang.language import Phrase

SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet", ".xlsx"})
"""What is read out of a folder or an archive, also with `.gz` or `.zst` after it; a file named itself is looked at."""
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""How compressed data begins → what it is called."""
BOMB_SIZE, BOMB_RATIO = 1 << 26, 250
"""Data that unpacks to more than so many bytes, and to more than so many times its size, is refused."""
DAMAGED = (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What reading damaged compressed data raises."""
_NO_ARCHIVE = (zipfile.BadZipFile, OSError, NotImplementedError, ValueError)
"""What opening an archive with a damaged directory raises."""
_ABOUT = frozenset({"readme", "license", "licence", "notice"})
_WILD = re.compile(r"[*?\[]")
_BUFFER = 1 << 18
_DEEPEST = 2


@dataclass(frozen=True, slots=True)
class File:
    """One file on disk or in an archive. `name` is what places are called after."""

    name: str
    path: Path
    archive: zipfile.ZipFile | None = field(default=None, compare=False)
    entry: zipfile.ZipInfo | None = field(default=None, compare=False)

    @property
    def suffix(self) -> str:
        """The last suffix in lower case; that of the content where it is compressed (`.jsonl` of `a.jsonl.gz`)."""
        return _suffix(self.name)

    @property
    def size(self) -> int:
        """Bytes as the file stands on disk, or in its archive once unpacked."""
        return self.entry.file_size if self.entry else self.path.stat().st_size

    def open(self) -> IO[bytes]:
        """The bytes, decompressed. Raises DataError where they cannot be had at all."""
        raw: IO[bytes] = self.raw()
        kind = _packing(raw)
        if kind is None:
            return raw
        unpacked: Any = gzip.GzipFile(fileobj=raw) if kind == "gzip" else _zstd(raw)
        return io.BufferedReader(_Unpacked(unpacked, raw, self.name), _BUFFER)

    def raw(self) -> Any:
        """The bytes as they are stored, which may be compressed once more; a buffered reader."""
        try:
            if self.archive is None or self.entry is None:
                return self.path.open("rb", buffering=_BUFFER)
            return io.BufferedReader(self.archive.open(self.entry), _BUFFER)
        except OSError as error:
            raise DataError("The file {where} cannot be read: {why}.", where=self.path, why=error.strerror) from None
        except (NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
            told = "{where} cannot be unpacked: {why}. Unpack it by hand, and name the unpacked file."
            raise DataError(told, where=self.name, why=str(error)) from None

    @property
    def packed(self) -> tuple[str, ...]:
        """How the file is packed, from the outside in: zip, gzip, zstd."""
        with self.raw() as file:
            kind = _packing(file)
        return (*(["zip"] if self.archive else []), *([kind] if kind else []))


def _packing(file: Any) -> str | None:
    head = file.peek(4)
    return PACKED.get(head[:4]) or PACKED.get(head[:2])


class _Unpacked(io.RawIOBase):
    """Decompressed bytes, counted, so that a few bytes do not become a flood."""

    def __init__(self, source: Any, raw: IO[bytes], name: str) -> None:
        self._source, self._raw, self._name, self._count = source, raw, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # read1 gives what is there before it meets the damage behind it
        data = self._source.read1(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        if self._count > BOMB_SIZE and self._count > BOMB_RATIO * self._raw.tell():
            raise bomb(self._name)
        return len(data)

    def close(self) -> None:
        self._source.close()
        self._raw.close()
        super().close()


def bomb(name: str) -> DataError:
    """The error of data that is packed suspiciously tight."""
    return DataError(
        "{where} unpacks to more than {ratio} times its size, as data made to fill memory does, and is not read. If it "
        "is what you mean, unpack it by hand and name the unpacked file.",
        where=name,
        ratio=BOMB_RATIO,
    )


def _zstd(raw: IO[bytes]) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise DataError("Reading .zst needs pyarrow: `pip install pyarrow`, or unpack the file (`unzstd`).") from None
    return pyarrow.CompressedInputStream(raw, "zstd")


@dataclass(frozen=True, slots=True)
class Found:
    """What a path names: the files to read, in order, and the names of those beside them that are no data."""

    files: tuple[File, ...]
    unread: tuple[str, ...] = ()
    is_many: bool = False
    """Whether the path names a folder, a glob or an archive, however many files it holds."""


def find(path: str | Path, name: str | None = None) -> Found:
    """The files that a path names. `name` stands in places instead of the path's own.

    Raises DataError where there is nothing, or an archive that cannot be opened.
    """
    given = Path(path)
    on_disk = _existing(given)
    if on_disk is None:
        if _WILD.search(str(path)):
            return _globbed(given, name)
        raise DataError("The file {where} does not exist.{near}", where=path, near=_near(given))
    name = nfc(on_disk.name or on_disk.resolve().name) if name is None else name
    if on_disk.is_dir():
        return _many(((name, relative, file) for relative, file in _walk(on_disk)), given)
    if _is_archive(on_disk):
        return _many([(name, "", on_disk)], given)
    return Found((File(name, on_disk),))


def nfc(text: str) -> str:
    """A name as it is compared: macOS writes Hangul in names as single letters (NFD)."""
    return unicodedata.normalize("NFC", text)


def _existing(path: Path) -> Path | None:
    """The path as it stands on disk, in whichever normal form."""
    forms = (str(path), unicodedata.normalize("NFC", str(path)), unicodedata.normalize("NFD", str(path)))
    try:
        return next((Path(form) for form in forms if os.path.exists(form)), None)
    except ValueError:  # a NUL in the path
        return None


def _near(path: Path) -> Phrase:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1)
    if not near:
        return Phrase(" Paths start at the working directory.")
    return Phrase(" Did you mean {near}?", near=path.with_name(near[0]))


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder with its path within it in NFC; hidden ones are none."""
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(here, name)
            yield nfc(file.relative_to(folder).as_posix()), file


def _globbed(pattern: Path, name: str | None) -> Found:
    parts = pattern.parts
    fixed = next(at for at, part in enumerate(parts) if _WILD.search(part))
    folder, wanted = _existing(Path(*parts[:fixed])), [nfc(part) for part in parts[fixed:]]
    root = "/".join(parts[:fixed][-1:]) if name is None else _WILD.split(name)[0].rpartition("/")[0]
    root = "" if root in (".", "/") else root
    walked = _walk(folder) if folder and folder.is_dir() else iter(())
    matching = [(root, relative, file) for relative, file in walked if _matches(relative.split("/"), wanted)]
    if not matching:
        raise DataError("{where}: no file matches. Paths start at the working directory.", where=pattern)
    return _many(matching, pattern, every=True)


def _matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether a path matches a pattern, part by part; `**` stands for any number of folders."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(parts[at:], wanted[1:]) for at in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])


def _many(found: Any, path: Path, every: bool = False) -> Found:
    """Files of a folder or a glob, archives among them opened, in order. `every`: the pattern has chosen already."""
    files: list[File] = []
    unread: list[str] = []
    for root, relative, on_disk in sorted(found, key=lambda entry: (entry[0], entry[1])):
        name = "/".join(part for part in (root, relative) if part)
        if _is_hidden(relative):
            continue
        if _is_archive(on_disk):
            _open_archive(name, on_disk, on_disk, files, unread)
        elif _is_data(relative, every):
            files.append(File(name, on_disk))
        else:
            unread.append(name)
    if not files:
        told = "{where} holds no file that is read ({suffixes}).{others}"
        seen = Phrase(" It holds {names}.", names=", ".join(unread[:8])) if unread else Phrase(" It is empty.")
        raise DataError(told, where=path, suffixes=" ".join(sorted(SUFFIXES)), others=seen)
    return Found(tuple(files), tuple(unread), True)


def _is_hidden(relative: str) -> bool:
    parts = relative.split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts if part) or parts[-1] == "Thumbs.db"


def _suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name.lower())
    return os.path.splitext(stem)[1] if suffix in (".gz", ".zst") else suffix


def _is_data(relative: str, every: bool = False) -> bool:
    stem = relative.rpartition("/")[2].partition(".")[0].lower()
    return every or (_suffix(relative) in SUFFIXES and stem not in _ABOUT)


def _is_archive(path: Path) -> bool:
    """Whether a file is a zip archive and no workbook, by its first bytes and its directory."""
    with path.open("rb") as file:
        starts = file.read(4)
    return starts in (b"PK\x03\x04", b"PK\x05\x06") and not _is_workbook(path)


def _is_workbook(source: Any) -> bool:
    try:
        with zipfile.ZipFile(source) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except _NO_ARCHIVE:
        return False


def _open_archive(name: str, source: Any, path: Path, files: list[File], unread: list[str], depth: int = 1) -> None:
    """Add the data files of an archive, and of the archives in it, in the order of their names."""
    try:
        archive = zipfile.ZipFile(source)
    except _NO_ARCHIVE:
        raise DataError(
            "{where} is a damaged zip archive, or one part of several. Join the parts first (`cat set.zip.part* > "
            "set.zip`), or fetch it anew.",
            where=name,
        ) from None
    entries = sorted((entry_name(info), info) for info in archive.infolist() if not info.is_dir())
    for inner, info in entries:
        _require_sound(f"{name}/{inner}", inner, info)
        if _is_hidden(inner):
            continue
        if inner.lower().endswith(".zip") and depth < _DEEPEST:
            _open_archive(f"{name}/{inner}", archive.open(info), path, files, unread, depth + 1)
        elif _is_data(inner):
            files.append(File(f"{name}/{inner}", path, archive, info))
        else:
            unread.append(f"{name}/{inner}")


def entry_name(info: zipfile.ZipInfo) -> str:
    """The name of an entry in NFC: UTF-8 where its flag says so, else UTF-8 or CP949, whichever its bytes are."""
    name = info.orig_filename
    if not name.isascii() and not info.flag_bits & 0x800:
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return nfc(name.replace("\\", "/"))


def _require_sound(where: str, inner: str, info: zipfile.ZipInfo) -> None:
    """Raises DataError for an entry that is encrypted, points outside its archive, or is packed too tight."""
    if inner.startswith("/") or ".." in inner.split("/") or re.match(r"[A-Za-z]:", inner):
        raise DataError(
            "{where}: this entry of the archive points outside it, which only archives made to overwrite files do. "
            "Nothing is unpacked; get the set from where it was published.",
            where=where,
        )
    if info.flag_bits & 1:
        raise DataError("{where} is encrypted. Unpack it with its password, and name the unpacked folder.", where=where)
    if is_bomb(info):
        raise bomb(where)


def is_bomb(info: zipfile.ZipInfo) -> bool:
    """Whether an entry says of itself that it is packed too tight."""
    return info.file_size > BOMB_SIZE and info.file_size > BOMB_RATIO * info.compress_size
