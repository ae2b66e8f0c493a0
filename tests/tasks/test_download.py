"""A download is resumed, checked, whole or absent; the host is one of our own on this machine."""

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cdmtrain import cli

pytest.importorskip("gdown")
Capture = pytest.CaptureFixture[str]


class Host(ThreadingHTTPServer):
    """Gives `content`, also from a byte on; the first answer breaks off after `breaks_after` bytes."""

    content = b""
    breaks_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        content, asked = self.server.content, self.headers.get("Range", "bytes=0-")
        first = int(asked.removeprefix("bytes=").rstrip("-"))
        self.server.asked.append(f"{self.path} from {first}")
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Content-Disposition", 'attachment; filename="any.h5"')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end, self.server.breaks_after = self.server.breaks_after, None
        self.wfile.write(content[first:end])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def download(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> int:
        address = f'host="http://127.0.0.1:{host.server_port}/uc?id="'
        some = ["known.train.least_bytes=1000", "known.test.least_bytes=1000"]
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=download", "dir=data", address, *some, *words])
        return cli.main()

    return typed


def test_both_files_are_got_once(
    host: Host, download: Callable[..., int], challenge_file: Callable[..., Path], capsys: Capture
) -> None:
    host.content = challenge_file().read_bytes()
    assert download() == 0
    names = ["if-image-test.h5", "if-image-train.h5"]
    assert sorted(path.name for path in Path("data").iterdir()) == names
    assert all(Path("data", name).read_bytes() == host.content for name in names)
    ids = ("130Lm_4K2cCclnmOEZlVIBKKPkJUn3k3f", "1L2yjBkzL3Ruaf8HuaMDR5PC9nETG5t_i")
    assert host.asked == [f"/uc?id={one} from 0" for one in ids]
    assert "data/if-image-train.h5: 60 events" in capsys.readouterr().out
    assert download("files=[train]") == 0
    assert "exists already" in capsys.readouterr().out
    assert len(host.asked) == 2


def test_a_broken_download_is_gone_on_with_where_it_stopped(
    host: Host, download: Callable[..., int], challenge_file: Callable[..., Path], capsys: Capture
) -> None:
    host.content = challenge_file(num_events=2000).read_bytes()
    host.breaks_after = len(host.content) // 2  # more than the half megabyte that is written at a time
    assert download("files=[train]") == 1
    error = capsys.readouterr().err
    assert "if-image-train.h5 could not be downloaded" in error
    assert "type the same command again to resume" in error
    assert "Traceback" not in error
    assert not Path("data/if-image-train.h5").exists()
    assert download("files=[train]") == 0
    assert int(host.asked[-1].split()[-1]) >= 2**19
    assert Path("data/if-image-train.h5").read_bytes() == host.content
    assert [path.name for path in Path("data").iterdir()] == ["if-image-train.h5"]


@pytest.mark.parametrize(
    ("content", "words", "sentence"),
    [
        (b"x" * 900, [], "the host offers 900 bytes; at least 1,000 are expected"),
        (b"<html>Quota exceeded</html>" * 99, [], "is not an HDF5 file"),
        (b"", ["files=[validation]"], "validation is not one of train, test"),
    ],
)
def test_what_is_not_the_file_is_one_sentence_and_no_file(
    host: Host, download: Callable[..., int], capsys: Capture, content: bytes, words: list[str], sentence: str
) -> None:
    host.content = content
    assert download(*words) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not list(Path().glob("data/if-image*"))


def test_a_file_that_does_not_fit_is_refused_at_its_beginning(
    host: Host,
    download: Callable[..., int],
    challenge_file: Callable[..., Path],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host.content = challenge_file(num_events=600).read_bytes()

    class Full:
        free = 10

    monkeypatch.setattr("cdmtrain.tasks.download.shutil.disk_usage", lambda path: Full)
    assert download("files=[train]") == 1
    assert "the disk has 10 free; make room" in capsys.readouterr().err


def test_a_missing_challenge_file_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["cdmtrain", "data=challenge", "data.dir=here", "print_config=false", "trainer=cpu"]
    )
    assert cli.main() == 1
    assert "or get it: cdmtrain task=download dir=here" in capsys.readouterr().err
