"""The client of the service's HTTP interface, as the command line uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import httpx

from service.client.errors import Document, NotErrata, Refusal, Unreachable

TIMEOUT = httpx.Timeout(10.0, read=600.0)  # an edit is verified by generation, which takes its time on a small machine


class Client:
    """Speaks JSON with one server. Close it, or use it in a ``with``."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url if "://" in url else f"http://{url}"
        try:  # proxies are for the world outside, and environment variables are read by service/settings.py only
            self._http = httpx.Client(base_url=self.url, timeout=TIMEOUT, transport=transport, trust_env=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise Unreachable(f"{url} is not an address: {error}") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, parameters: Mapping[str, str | int | None] | None = None) -> Document:
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        return self._answer(self._sent(self._http.build_request("GET", path, params=given)))

    def post(self, path: str, body: Document, headers: Mapping[str, str] | None = None) -> Document:
        return self._answer(self._sent(self._written("POST", path, body, headers or {})))

    def patch(self, path: str, body: Document, headers: Mapping[str, str] | None = None) -> Document:
        return self._answer(self._sent(self._written("PATCH", path, body, headers or {})))

    def delete(self, path: str) -> Document:
        return self._answer(self._sent(self._http.build_request("DELETE", path)))

    def stream(self, path: str, body: Document, on_text: Callable[[str], None]) -> Document:
        """The whole answer; ``on_text`` gets its pieces as they come."""
        return self._streamed(path, body, {}, lambda d: on_text(d["text"]) if set(d) == {"text"} else None)

    def items(
        self, path: str, body: Document, headers: Mapping[str, str], on_item: Callable[[Document], None]
    ) -> Document:
        """The whole answer to a batch; ``on_item`` gets each of its items as it is done."""
        return self._streamed(path, body, headers, lambda d: on_item(d) if "index" in d else None)

    def _streamed(
        self, path: str, body: Document, headers: Mapping[str, str], take: Callable[[Document], None]
    ) -> Document:
        response = self._sent(self._written("POST", path, {**body, "stream": True}, headers), stream=True)
        try:
            if response.status_code != 200:
                response.read()
                return self._answer(response)
            return _read_events(response.iter_lines(), take)
        except httpx.HTTPError as error:
            raise Unreachable(f"the answer from {self.url} broke off: {error}") from error
        except ValueError as error:
            raise NotErrata(f"what answers at {self.url} is not Errata: its stream is not ours") from error
        finally:
            response.close()

    def _written(self, method: str, path: str, body: Document, headers: Mapping[str, str]) -> httpx.Request:
        content = json.dumps(body).encode("ascii")  # escapes: an argument that was not UTF-8 is the server's to refuse
        sent = {**headers, "Content-Type": "application/json"}
        encoded = [(name.encode("ascii"), value.encode("utf-8", "replace")) for name, value in sent.items()]
        return self._http.build_request(method, path, content=content, headers=encoded)

    def _sent(self, request: httpx.Request, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(request, stream=stream)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hint = "start one with: errata serve (or name another with --url or ERRATA_URL)"
            raise Unreachable(f"no server answers at {self.url}; {hint}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"no answer from {self.url}: {error or type(error).__name__}") from error

    def _answer(self, response: httpx.Response) -> Document:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or (response.is_error and "title" not in document):
            raise NotErrata(
                f"what answers at {self.url} is not Errata: status {response.status_code} without JSON of ours"
            )
        if not response.is_success:
            wait = response.headers.get("retry-after", "")
            raise Refusal(document, float(wait) if wait.isdecimal() else 0.0)
        return document


def _read_events(lines: Iterator[str], take: Callable[[Document], None]) -> Document:
    """Read server-sent events up to [DONE]; the event before it is the whole answer. ``take`` gets each of them.

    Raises:
        Refusal: an event is an error.
        Unreachable: the stream ends before [DONE].
        ValueError: an event is not JSON.
    """
    whole: Document | None = None
    failed = False
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            failed = value == "error"
        elif field == "data" and value == "[DONE]" and whole is not None:
            return whole
        elif field == "data":
            document: Document = json.loads(value)
            if failed:
                raise Refusal(document)
            take(document)
            whole = document
    raise Unreachable("the answer broke off before its end")
