"""A proxy that serves another server below a path, which it takes away: as an ingress with a rewrite does."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

# Of one connection, and none of the proxy's business.
_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "host"})


@contextmanager
def running_prefix(address: str, prefix: str) -> Iterator[str]:
    """Serve ``address`` below ``prefix`` (``/agents``); yields where that is. What is not below it is a 404."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self._send(404, [], b"not below the prefix")
                return
            length = int(self.headers.get("content-length") or 0)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            request = urllib.request.Request(
                address + self.path.removeprefix(prefix),
                data=self.rfile.read(length) if length else None,
                headers=headers,
                method=self.command,
            )
            try:
                with opener.open(request, timeout=30) as answer:
                    self._send(answer.status, answer.headers.items(), answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    self._send(error.code, error.headers.items(), error.read())

        def _send(self, status: int, headers: object, body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:  # type: ignore[attr-defined]  # pairs of texts
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # A browser that leaves a page takes no more of its requests.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on  # noqa: N815  (http.server's names)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        """Follow nothing: the browser does."""
