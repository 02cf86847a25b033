"""Serving: a port of 127.0.0.1, from the first address that the terminal shows until Ctrl-C."""

import asyncio
import signal
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tools.console.app import application
from tools.console.guard import TOKEN, Secrets
from tools.console.site import Site

HOST = "127.0.0.1"  # nobody else on the network reaches it
ENDING_SECONDS = 2.0  # for answers that are being given at the end


def run(site: Site, port: int) -> None:
    """Serve the console until Ctrl-C or SIGTERM; port 0 is any that is free. Raises OSError if the port is taken."""
    asyncio.run(_serve(site, _bound(port)))


async def _serve(site: Site, bound: socket.socket) -> None:
    port, secrets = bound.getsockname()[1], Secrets()
    app = application(site, port, secrets)
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(ending, app.state.closing.set)
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]  # which closes it at the end
    config.graceful_timeout = ENDING_SECONDS
    config.loglevel = "CRITICAL"  # what it would log of an error is the traceback, whose text may quote a record
    config.include_server_header = False
    print(f"Sluice console of the stack {site.name}: http://{HOST}:{port}/?{TOKEN}={secrets.start}", flush=True)
    first_look = asyncio.create_task(app.state.live.now())  # the first page then finds all clients made
    print("Open it in a browser of this machine. Ctrl-C ends it.", flush=True)
    try:
        await serve(app, config, shutdown_trigger=app.state.closing.wait)  # type: ignore[arg-type]  # it is an ASGI app
        await first_look
    finally:
        app.state.jobs.end()  # a database that was stopped runs again, and a table that was locked is free


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    bound.listen()
    return bound
