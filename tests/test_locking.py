"""One process at a time, and no lock that outlives its process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, environment

from tf_style.errors import UserError
from tf_style.locking import locked, locked_folder

WAYS = pytest.mark.parametrize("way", [locked, locked_folder])


def other_process(way, path, end):
    """A process that holds a lock until it is told to go on, and then does what `end` says."""
    code = (
        f"import os, sys\nfrom tf_style.locking import {way.__name__}\n"
        f"with {way.__name__}({str(path)!r}):\n    print('held', flush=True); input(); {end}"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "held\n"
    return child


@WAYS
def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, way):
    path = tmp_path / "new/result"
    with other_process(way, path, "os.kill(os.getpid(), 9)") as child:
        told = rf"`{path}` is in use by process {child.pid} on .*delete `{tmp_path}/new/.*lock`"
        with pytest.raises(UserError, match=told), way(path):
            pass
        child.communicate("on\n")
    assert child.returncode == -signal.SIGKILL
    assert [file.suffix for file in tmp_path.rglob(".*lock")]
    with way(path):
        pass
    assert not list(tmp_path.rglob(".*lock"))


@WAYS
def test_one_process_is_no_exception(tmp_path, way):
    with way(tmp_path), pytest.raises(UserError, match=f"process {os.getpid()} on"), way(tmp_path):
        pass


@WAYS
def test_what_was_made_for_the_lock_goes_with_it(tmp_path, way):
    with pytest.raises(KeyError), way(tmp_path / "a/b/c"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    with way(tmp_path / "a/b/c"):
        (tmp_path / "a/b/mine").write_text("")
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "b", "mine"}


def test_of_many_at_once_one_has_it(tmp_path):
    inside, entered, faults = [], [], []

    def work(number):
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            try:
                with locked(tmp_path / "result"):
                    inside.append(number)
                    faults.extend(inside[:-1])
                    inside.remove(number)
                    entered.append(number)
            except UserError:
                pass

    threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(entered) > 100 and not list(tmp_path.iterdir())


def test_a_lock_that_the_user_has_deleted(tmp_path):
    with locked(tmp_path / "a"):
        (tmp_path / ".a.lock").unlink()
        with locked(tmp_path / "a"):
            pass
        with locked(tmp_path / "a"):
            pass
    with locked(tmp_path / "a"):
        first = locked(tmp_path / "b")
        with first:
            (tmp_path / ".b.lock").unlink()
            second = locked(tmp_path / "b")
            second.__enter__()
        # The first leaves the second's alone.
        assert (tmp_path / ".b.lock").exists()
        second.__exit__(None, None, None)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="without locks .*: let only one process work on it"):
        with locked_folder(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [249, 250, 255])
def test_the_longest_names(tmp_path, length):
    path = tmp_path / ("\u00e9" * 100 + "a" * (length - 200))
    path.write_text("mine")
    with locked(path), pytest.raises(UserError, match=f"process {os.getpid()} on"), locked(path):
        pass
    with locked(path), locked(tmp_path / f"{path.name[:-1]}b"):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_files(tmp_path):
    (tmp_path / "link").symlink_to("disk/folder")
    with locked_folder(tmp_path / "link"):
        assert (tmp_path / "disk/folder/.lock").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file` is a file, not a folder"):
        with locked_folder(tmp_path / "file"):
            pass


# -- other systems ---------------------------------------------------------------------------------

# Windows' module, by the locks of this system: `locking` locks a byte at the file's position.
MSVCRT = """
import fcntl, os, types
def locking(descriptor, mode, count):
    assert (mode, count) == (2, 1) and os.lseek(descriptor, 0, 1) > 100
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied")
msvcrt = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
"""

ELSEWHERE = """
import os, sys, warnings
{msvcrt}
sys.modules.update(fcntl=None, msvcrt=msvcrt)
from tf_style.errors import UserError
from tf_style.locking import locked
warnings.simplefilter("always")
with locked("new/a"):
    print(os.listdir("new"))
    try:
        with locked("new/a"):
            print("both")
    except UserError as error:
        print(str(os.getpid()) in str(error))
print(os.listdir())
"""


@pytest.mark.parametrize(
    "msvcrt, expected, warnings",
    [(MSVCRT, "['.a.lock']\nTrue\n[]\n", 0), ("msvcrt = None", "['.a.lock']\nboth\n[]\n", 2)],
    ids=["windows", "no locks"],
)
def test_a_system_without_fcntl(tmp_path, msvcrt, expected, warnings):
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(msvcrt=msvcrt)],
        cwd=tmp_path, env=environment() | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, expected), run.stderr
    assert run.stderr.count("let only one process work on it") == warnings
