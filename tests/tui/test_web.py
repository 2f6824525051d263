"""The debugger in a browser: what is refused, and the real page in a headless Chromium, driven by its DevTools."""

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from minivm.cli.main import main
from minivm.errors import ConfigError
from minivm.tui import web

needs_textual_serve = pytest.mark.skipif(find_spec("textual_serve") is None, reason="textual-serve is not installed")
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--window-size=1000,600", "about:blank"),
]
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
PATIENCE_SECONDS = 40

COUNT_COLOURS = """(async () => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64,PICTURE")).blob());
  const pen = new OffscreenCanvas(image.width, image.height).getContext("2d");
  pen.drawImage(image, 0, 0);
  const seen = new Map();
  for (const pixel of new Uint32Array(pen.getImageData(0, 0, image.width, image.height).data.buffer))
    seen.set(pixel, (seen.get(pixel) || 0) + 1);
  return [seen.size, 1 - Math.max(...seen.values()) / image.width / image.height];
})()"""
"""JavaScript: how many colours a picture has, and which part of it is not in the commonest one."""


class Server:
    """A running `minivm tui --web`, with its address."""

    def __init__(self, guest: str, home: Path) -> None:
        environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        words = [sys.executable, "-m", "minivm", "tui", "--web", "--web-port", "0", "--layout", "learn", guest]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.process.stdout.readline())
        assert found is not None
        self.address, self.port = found.group(), int(found[1])

    def interrupt(self) -> tuple[int, float]:
        """Press Ctrl-C; return the exit status and the seconds that the end took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE_SECONDS), time.monotonic() - begun

    def close(self) -> None:
        """End it if it runs still."""
        if self.process.poll() is None:
            self.interrupt()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    servers: list[Server] = []

    def start(guest: str) -> Server:
        servers.append(Server(guest, tmp_path))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Browser:
    """One page of a Chromium, by the DevTools protocol; it keeps what came by the page's WebSocket."""

    def __init__(self, socket_: Any) -> None:
        self._socket = socket_
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._received = bytearray()
        self.asked_for: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol."""
        number = len(self._answers) + 1
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(self._answers[number], PATIENCE_SECONDS)

    async def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """What the program has written, without the escape sequences."""
        return ESCAPES.sub("", self._received.decode(errors="replace"))

    def forget(self) -> None:
        """Forget what came until now."""
        self._received.clear()

    async def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until `what` holds; a failure shows what came."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < end, self.text[-3000:]
            await asyncio.sleep(0.05)

    async def press(self, key: str, code: str, virtual: int, text: str = "") -> None:
        """Press a key and let it go."""
        common = {"key": key, "code": code, "windowsVirtualKeyCode": virtual}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def picture(self) -> bytes:
        """Return a PNG of the page."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            parameters = event.get("params", {})
            if "id" in event:
                self._answers[event["id"]].set_result(event.get("result", event))
            elif event["method"] == "Network.webSocketFrameReceived":
                self._frame(parameters["response"])
            elif event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                self.asked_for.append(parameters.get("url") or parameters["request"]["url"])

    def _frame(self, frame: dict[str, Any]) -> None:
        if frame["opcode"] == 2:
            self._received += base64.b64decode(frame["payloadData"])


async def in_browser(address: str, profile: Path, script: Callable[[Browser], Awaitable[None]]) -> None:
    """Open `address` in a new Chromium and run `script` with it."""
    import aiohttp

    assert CHROMIUM is not None
    chromium = await asyncio.create_subprocess_exec(
        CHROMIUM, f"--user-data-dir={profile}", *FLAGS, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as session, session.ws_connect(await _page(session, profile)) as socket_:
            browser = Browser(socket_)
            await browser.call("Network.enable")
            await browser.call("Page.enable")
            await browser.call("Page.navigate", url=address)
            await script(browser)
    finally:
        chromium.terminate()
        await chromium.wait()


async def _page(session: Any, profile: Path) -> str:
    """Return the DevTools address of the Chromium's only page, once it is there."""
    place = profile / "DevToolsActivePort"
    for _ in range(PATIENCE_SECONDS * 10):
        if place.exists() and place.read_text().count("\n"):
            async with session.get(f"http://127.0.0.1:{place.read_text().splitlines()[0]}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        await asyncio.sleep(0.1)
    pytest.fail("Chromium did not start")


def keep(picture: bytes, name: str) -> None:
    """Leave the picture where MINIVM_KEEP_PICTURES says, for somebody who wants to see it."""
    if place := os.environ.get("MINIVM_KEEP_PICTURES"):
        (Path(place) / name).write_bytes(picture)


async def conversation(address: str, until: str, begun: asyncio.Event | None = None) -> str:
    """Open the page's WebSocket alone and return the text that came, up to `until` or the end of patience.

    `begun` is set when the program draws.
    """
    import aiohttp

    text = b""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}ws?width=100&height=30") as socket_:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for message in socket_:
                    text += message.data if isinstance(message.data, bytes) else b""
                    if begun is not None:
                        begun.set()
                    if until in ESCAPES.sub("", text.decode(errors="replace")):
                        break
    return ESCAPES.sub("", text.decode(errors="replace"))


def children(process: int) -> set[int]:
    """Return the processes that `process` has started."""
    return {int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


def is_alive(process: int) -> bool:
    """Tell whether a process runs still; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def comes_true(what: Callable[[], bool]) -> bool:
    """Tell whether `what` becomes true in the time that a slow computer may need."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


@needs_textual_serve
@pytest.mark.parametrize(("guest", "prints"), [("timer", "Half a second has passed."), ("serial", "has ended: halted")])
def test_the_page_gets_what_the_guest_does(serve: Callable[[str], Server], guest: str, prints: str) -> None:
    assert prints in asyncio.run(conversation(serve(guest).address, until=prints))


@needs_textual_serve
def test_every_page_has_its_machine_and_takes_it_along(serve: Callable[[str], Server]) -> None:
    server = serve("echo")

    async def two() -> int:
        begun = asyncio.Event(), asyncio.Event()
        pages = [
            asyncio.create_task(conversation(server.address, until="Never printed", begun=event)) for event in begun
        ]
        for event in begun:
            await asyncio.wait_for(event.wait(), PATIENCE_SECONDS)
        machines = len(children(server.process.pid))
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        return machines

    assert asyncio.run(two()) == 2
    assert comes_true(lambda: not children(server.process.pid))
    assert server.process.poll() is None


@needs_textual_serve
def test_ctrl_c_ends_the_server_with_a_page_open(serve: Callable[[str], Server]) -> None:
    server = serve("timer")

    async def stay() -> tuple[set[int], int, float]:
        page = asyncio.create_task(conversation(server.address, until="Never printed"))
        await asyncio.to_thread(comes_true, lambda: bool(children(server.process.pid)))
        machines = children(server.process.pid)
        status, seconds = await asyncio.to_thread(server.interrupt)
        await page
        return machines, status, seconds

    machines, status, seconds = asyncio.run(stay())
    assert status == 0
    assert seconds < 10
    assert comes_true(lambda: not any(is_alive(machine) for machine in machines))


@needs_textual_serve
@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_a_killed_server_leaves_no_machine_running(serve: Callable[[str], Server]) -> None:
    server = serve("echo")

    async def stay() -> set[int]:
        begun = asyncio.Event()
        page = asyncio.create_task(conversation(server.address, until="Never printed", begun=begun))
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        machines = children(server.process.pid)
        server.process.kill()
        await page
        return machines

    machines = asyncio.run(stay())
    assert machines
    assert comes_true(lambda: not any(is_alive(machine) for machine in machines))


@needs_textual_serve
def test_the_page_and_all_it_loads_come_from_the_server_itself(serve: Callable[[str], Server]) -> None:
    server = serve("echo")
    page = fetch(server.address)[1]
    assert "//" not in re.sub(r"//.*\n", "", page.partition("<script>")[0] + page.rpartition("</script>")[2])
    loaded = set(re.findall(r'"(/static/[^"]+)"', page))
    assert len(loaded) == 4
    assert [fetch(server.address + path[1:])[0] for path in loaded] == [200] * 4


@needs_textual_serve
@pytest.mark.parametrize("header", [{"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}])
@pytest.mark.parametrize("path", ["", "ws", "static/js/textual.js"])
def test_other_pages_are_sent_away(serve: Callable[[str], Server], path: str, header: dict[str, str]) -> None:
    server = serve("echo")
    assert fetch(server.address + path, header)[0] == 403
    assert not children(server.process.pid)


def fetch(address: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Return the status and the text of an address."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers or {})) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(errors="replace")


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("localhost:9", "http://localhost:9", True),
        ("localhost:8000", None, True),
        ("127.0.0.1:8000", "http://127.0.0.1:3000", False),
        ("127.0.0.1:8000", "null", False),
        ("127.0.0.1.elsewhere.example:8000", None, False),
        ("", None, False),
        ("[", "http://[", False),
    ],
)
def test_a_request_is_own_when_host_and_origin_are(host: str, origin: str | None, own: bool) -> None:
    assert web.is_own(host, origin) is own


@pytest.mark.parametrize("text", ["", "-1", "65536", "http", "8000 ", "0x50", "٣", "9" * 5000])
def test_a_bad_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no port"):
        web.port_number(text)


@pytest.mark.parametrize(("text", "port"), [(None, 8000), ("0", 0), ("65535", 65535)])
def test_a_good_port_is_taken(text: str | None, port: int) -> None:
    assert web.port_number(text) == port


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--web", "--web-port", "99999", "echo"], "no port"),
        (["--web-port", "8000", "echo"], "is for --web"),
        (["--web", "--layout", "sideways", "echo"], "no layout"),
        (["--web", "--memory", "much", "echo"], "memory"),
        (["--web", "no-such-guest"], "no-such-guest"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tui", *words]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


@needs_textual_serve
def test_a_port_in_use_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["tui", "--web", "--web-port", str(taken.getsockname()[1]), "echo"]) == 2
    told = capsys.readouterr().err
    assert "in use" in told
    assert told.count("\n") == 1


def test_without_textual_serve_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    assert main(["tui", "--web", "echo"]) == 2
    told = capsys.readouterr().err
    assert "pip install 'minivm[web]'" in told
    assert told.count("\n") == 1


def test_the_machine_of_a_page_is_that_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(web, "serve", lambda command, port, say: asked.append([str(port), *command[4:]]))
    words = ["--memory=8M", "--disk=a b.img,ro", "--disk=-c.img", "--speed=0.5x", "--stop-at-start", "echo"]
    assert main(["tui", "--web", "--web-port", "7", "--layout", "debug", *words]) == 0
    assert asked == [["7", "--layout=debug", *words[:-1], "--", "echo"]]


@needs_textual_serve
@needs_chromium
def test_a_browser_shows_the_guest_and_its_keys_reach_it(serve: Callable[[str], Server], tmp_path: Path) -> None:
    server = serve("echo")

    async def script(browser: Browser) -> None:
        await browser.wait_for(lambda: "Type; Esc ends." in browser.text)
        await browser.wait_for(lambda: "F12" in browser.text.upper())
        await asyncio.sleep(1)
        before = await browser.picture()
        keep(before, "web-before.png")
        colours, drawn = await browser.evaluate(COUNT_COLOURS.replace("PICTURE", base64.b64encode(before).decode()))
        assert colours > 20
        assert drawn > 0.02

        browser.forget()
        await browser.press("F12", "F12", 123)
        await browser.wait_for(lambda: "keys go to the guest" in browser.text)
        for letter in "vmvm":
            await browser.press(letter, f"Key{letter.upper()}", ord(letter.upper()), letter)
        await browser.wait_for(lambda: "vmvm" in browser.text)
        await asyncio.sleep(0.5)
        after = await browser.picture()
        keep(after, "web-after.png")
        assert after != before
        places = [url.split("/")[2] for url in browser.asked_for if url.startswith(("http", "ws"))]
        assert len(places) > 3
        assert set(places) == {f"127.0.0.1:{server.port}"}

        status, seconds = server.interrupt()
        assert status == 0
        assert seconds < 10
        await asyncio.sleep(0.5)
        assert await browser.evaluate("document.body.classList.contains('-closed')")

    asyncio.run(in_browser(server.address, tmp_path / "profile", script))
