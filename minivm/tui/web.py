"""The debugger in a browser: textual-serve runs one `minivm tui` for every page that is open and draws it there.

The page is our own, `web.html`: the one that comes with textual-serve fetches its font from the Internet, sends the
browser to a fixed address, and needs a click before it hears keys. Nothing here leaves this computer.
"""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from minivm.errors import ConfigError, MiniVMError

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

ADDRESS = "127.0.0.1"
"""Who reaches the page can use the machine and its disks, so only this computer may."""
DEFAULT_PORT = 8000
_PAGE = Path(__file__).with_name("web.html")
_NAMES_FOR_THIS_COMPUTER = frozenset({ADDRESS, "localhost"})
_GOODBYE_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def port_number(text: str | None) -> int:
    """Return the TCP port that `text` names, 0 for any free one, `DEFAULT_PORT` for None; raises `ConfigError`."""
    if text is None:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 0xFFFF:
        raise ConfigError(f"tui: {text!r} is no port; write --web-port 8000, or 0 for any that is free")
    return int(text)


def is_served_page() -> bool:
    """Tell whether this process draws for a browser, by the variable with which textual-serve chooses the driver."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


def end_with_server() -> None:
    """Have Linux end this process, by SIGTERM, when the server that started it is killed (prctl(2)); else do nothing.

    A server that ends in order tells its processes by their standard input; a killed one leaves their guests running.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def serve(command: Sequence[str], port: int, say: Callable[[str], None]) -> None:
    """Serve the Textual program `command` (its words) at `port` until Ctrl-C, SIGTERM or SIGHUP.

    `say` gets the page's address when it can be opened. Raises `MiniVMError` without textual-serve or with a port that
    cannot be had. One process is started for each open page, and ended with it.
    """
    application = _application(shlex.join(command), port)
    asyncio.run(_run(application, port, say))


def _application(command: str, port: int) -> "web.Application":
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise MiniVMError(
            "tui: --web needs the package textual-serve; install it with: pip install 'minivm[web]'"
        ) from error
    server = Server(f"exec {command}", host=ADDRESS, port=port, title="MiniVM")
    application = web.Application(middlewares=[_guard()])
    application.add_routes(
        [
            web.get("/", _show_page),
            web.get("/ws", server.handle_websocket),
            web.get("/download/{key}", server.handle_download),
            web.static("/static", server.statics_path),
        ]
    )
    return application


async def _show_page(_request: "web.Request") -> "web.StreamResponse":
    from aiohttp import web

    return web.FileResponse(_PAGE, headers={"Cache-Control": "no-cache"})


def _guard() -> "Middleware":
    """Make the middleware that answers 403 to a request which some other page had the browser send."""
    from aiohttp import web

    @web.middleware
    async def guard(request: web.Request, handler: "Handler") -> web.StreamResponse:
        if not is_own(request.headers.get("Host", ""), request.headers.get("Origin")):
            raise web.HTTPForbidden(text="MiniVM answers its own page only\n")
        return await handler(request)

    return guard


def is_own(host: str, origin: str | None) -> bool:
    """Tell whether a request's Host and Origin (RFC 6454; None if not sent) are those of our own page.

    A browser lets every page open a WebSocket to 127.0.0.1, and tells only by Origin which page it was. A name of the
    attacker's that leads to 127.0.0.1 shows in Host. The port is not checked, so that a tunnel may change it.
    """
    try:
        name = urlsplit(f"//{host}").hostname
        from_page = urlsplit(origin).netloc if origin is not None else host
    except ValueError:
        return False
    return name in _NAMES_FOR_THIS_COMPUTER and from_page == host


async def _run(application: "web.Application", port: int, say: Callable[[str], None]) -> None:
    from aiohttp import web

    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, ADDRESS, port).start()
        except OSError as error:
            raise MiniVMError(_no_port(port, error)) from error
        say(f"http://{ADDRESS}:{runner.addresses[0][1]}/")
        await _interrupted()
    finally:
        await runner.cleanup()


def _no_port(port: int, error: OSError) -> str:
    words = os.strerror(error.errno) if error.errno else str(error)
    return f"tui: port {port} cannot be had: {words}; give another one: --web-port N, or 0 for any that is free"


async def _interrupted() -> None:
    """Wait for Ctrl-C, SIGTERM, or the end of the terminal."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


__all__ = ["ADDRESS", "DEFAULT_PORT", "end_with_server", "is_own", "is_served_page", "port_number", "serve"]
