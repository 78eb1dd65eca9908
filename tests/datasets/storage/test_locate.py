"""Where files of named datasets are found, and how archives are unpacked."""

import hashlib
import io
import tarfile

import pooch
import pytest

from dltemplates.datasets.storage.archive import unpack
from dltemplates.datasets.storage.locate import Origin, cache_folder, data_folder, locate

CONTENT = b"some data"
ORIGIN = Origin(("set/file.bin", "file.bin"), ("https://nowhere.invalid/file.bin",), hashlib.md5(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Forbid the network, whatever the machine has."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.delenv("DLT_DATA", raising=False)


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_the_data_folder_comes_first_then_the_cache(tmp_path, monkeypatch):
    in_cache = put(tmp_path / "cache" / "set" / "file.bin")
    assert locate("things", ORIGIN) == in_cache
    monkeypatch.setenv("DLT_DATA", str(tmp_path / "data"))
    in_data = put(tmp_path / "data" / "file.bin")
    assert locate("things", ORIGIN) == in_data
    first = put(tmp_path / "data" / "set" / "file.bin")
    assert locate("things", ORIGIN) == first


def test_offline_the_error_says_which_file_to_put_where(tmp_path):
    with pytest.raises(ValueError, match=r"set/file.bin.*Received: no such file") as error:
        locate("things", ORIGIN)
    message = str(error.value)
    assert "(https://nowhere.invalid/file.bin: no network)" in message
    assert f"Put it at {tmp_path}/cache/set/file.bin, or at set/file.bin below the folder" in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists()


def test_a_download_is_verified_and_kept(tmp_path, monkeypatch):
    requests = []

    def retrieve(url, known_hash, fname, path):
        requests.append((url, known_hash))
        if len(requests) == 1:
            raise ValueError("MD5 hash of downloaded file does not match")
        return put(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    origin = Origin(ORIGIN.paths, ("https://first.invalid/file.bin", "https://second.invalid/file.bin"), ORIGIN.md5)
    assert locate("things", origin) == tmp_path / "cache" / "set" / "file.bin"
    assert requests == [(url, f"md5:{ORIGIN.md5}") for url in origin.urls]
    assert locate("things", origin).read_bytes() == CONTENT
    assert len(requests) == 2


def test_a_missing_data_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match=r"`DLT_DATA`.*Received: .*absent"):
        data_folder()


def test_the_cache_is_the_users_by_default(monkeypatch):
    monkeypatch.delenv("DLT_CACHE")
    assert cache_folder().name == "dltemplates"


def make_archive(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(CONTENT) if info.isfile() else 0
            archive.addfile(info, io.BytesIO(CONTENT))
    return path


def link(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def test_an_archive_is_unpacked_once(tmp_path):
    path = make_archive(tmp_path / "set.tar.gz", "./a/one.txt", "./b/c/two.txt")
    folder = unpack(path)
    assert folder.parent == tmp_path / "cache" / "unpacked"
    assert (folder / "a" / "one.txt").read_bytes() == (folder / "b" / "c" / "two.txt").read_bytes() == CONTENT
    (folder / "mark").write_bytes(b"")
    assert unpack(path) == folder
    assert (folder / "mark").exists()
    assert [item.name for item in folder.parent.iterdir()] == [folder.name]


def test_a_changed_archive_is_unpacked_again(tmp_path):
    first = unpack(make_archive(tmp_path / "set.tar.gz", "a"))
    second = unpack(make_archive(tmp_path / "set.tar.gz", "a", "b"))
    assert first != second
    assert (second / "b").exists()


@pytest.mark.parametrize(
    "member",
    ["../out", "/out", "a/../../out", "a\\out", link("a", tarfile.SYMTYPE), link("a", tarfile.LNKTYPE)],
    ids=["parent", "absolute", "inner_parent", "backslash", "symlink", "hardlink"],
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path, member):
    path = make_archive(tmp_path / "set.tar.gz", "good", member)
    with pytest.raises(ValueError, match=r"An archive .*Received: "):
        unpack(path)
    assert list((tmp_path / "cache" / "unpacked").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_broken_archive_is_refused(tmp_path):
    path = make_archive(tmp_path / "set.tar.gz", *(f"file{number}" for number in range(50)))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"Received: .*set.tar.gz"):
            unpack(path)
        assert list((tmp_path / "cache" / "unpacked").iterdir()) == []
