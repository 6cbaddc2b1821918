"""The filter `request_validation`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from pyproxy.config.filters.request_validation import (
    RequestValidationFilter,
    body_schema,
    compile_schema,
)
from pyproxy.filters.base import Filter, Reply

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

AT_ONCE = 16 * 1024
"""Longer bodies are looked at in a thread: the loop has others to serve."""
_MOST_DETAIL = 200
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the whole process, so that several filters do not make it more."""
    return ThreadPoolExecutor(2, "validation")


class RequestValidation(Filter):
    """Holds requests against schemas."""

    config: RequestValidationFilter

    def __init__(self, config: RequestValidationFilter) -> None:
        super().__init__(config)
        schema = body_schema(config)
        self._body = None if schema is None else compile_schema(schema)
        self._headers = None if config.headers is None else compile_schema(config.headers)
        if self._body is not None:
            # Defined here: without a schema of bodies, the phase shall cost nothing.
            vars(self).update(buffer_request_body=config.max_body, request_body=self._check_body)

    def request(self, exchange: Exchange) -> Reply | None:
        """The fields, and whether the body can be JSON."""
        request = exchange.request
        if self._headers is not None:
            fields: dict[str, str] = {}
            for written, value in request.headers.items():
                name = written.lower()
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            refused = self._look(self._headers, fields, "headers")
            if refused is not None:
                return refused
        if self._body is None:
            return None
        if not request.has_body:
            if self.config.required and request.method in _WITH_BODY:
                return self._refuse("there is no body", "$", "body")
            return None
        if not _is_json(request.headers.get("content-type")):
            return _reply(415, "unsupported_media_type", "the body is not JSON", {})
        return None

    def _check_body(
        self, _exchange: Exchange, chunk: bytes, _last: bool
    ) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        if len(chunk) > AT_ONCE:
            return self._later(bytes(chunk))
        return self._judge(bytes(chunk))

    async def _later(self, data: bytes) -> Reply | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads(), self._judge, data)

    def _judge(self, data: bytes) -> Reply | None:
        if not data and not self.config.required:
            return None
        try:
            value = strict_json(data)
        except (ValueError, RecursionError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            return self._refuse(f"not JSON: {why}", "$", "body")
        return self._look(self._body, value, "body")

    def _look(self, validator: Any, value: Any, part: str) -> Reply | None:
        try:
            for error in validator.iter_errors(value):
                return self._refuse(error.message, error.json_path, part)
        except RecursionError:
            return self._refuse("nested too deeply", "$", part)
        return None

    def _refuse(self, detail: str, path: str, part: str) -> Reply:
        more = {"in": part, "path": path[:_MOST_DETAIL]} if self.config.details else {}
        shown = detail[:_MOST_DETAIL] if self.config.details else "the request is not valid"
        return _reply(self.config.status, "invalid_request", shown, more)


def _reply(status: int, error: str, detail: str, more: dict[str, str]) -> Reply:
    body = json.dumps({"status": status, "error": error, "detail": detail, **more}) + "\n"
    return Reply(status, {"content-type": "application/json"}, body)


def _is_json(media: str | None) -> bool:
    kind = (media or "").partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def strict_json(data: bytes) -> Any:
    """JSON as RFC 8259 has it, and no name twice in an object. ValueError says why it is not."""
    return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_number)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")
