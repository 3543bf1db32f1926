"""An HTTP client that times requests over one open connection."""

import http.client
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from onnxlet_cli.errors import WrongAnswerError


class Client:
    """One connection that stays open between requests."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request; return the response's headers, with lower-case names, and its body.

        Raises:
            WrongAnswerError: The status is not 200.
        """
        try:
            return self._post(path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # gunicorn closes a connection idle for two seconds
            self._connection.close()
            return self._post(path, body, headers)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise WrongAnswerError(f"{path}: expected status 200, got {response.status}: {data[:500]!r}")
        return {name.lower(): value for name, value in response.getheaders()}, data

    def seconds(self, path: str, body: bytes, headers: Mapping[str, str], calls: int) -> list[float]:
        """Send the same request `calls` times in a row; return the seconds of each."""
        durations_s = []
        for _ in range(calls):
            started_s = time.perf_counter()
            self.post(path, body, headers)
            durations_s.append(time.perf_counter() - started_s)
        return durations_s
