"""Requests held against JSON Schemas."""

from importlib import import_module
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.files import read_text
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.units import Size

__all__ = ["RequestValidationFilter", "body_schema", "compile_schema"]


class RequestValidationFilter(FilterKind, frozen=True, kw_only=True):
    """Refuses requests whose body or fields do not fit a JSON Schema.

    Bodies are JSON in UTF-8, in the strict sense: without `NaN`, and no name twice in an object,
    since readers differ in which one they take. One of another `content-type` is refused with 415,
    and one over `max_body` with 413. The whole body is held until it is known to be valid; long
    ones are looked at beside the worker's loop.

    The fields of a request are an object of texts with names in lower case; those of one name are
    joined with commas.

    The answer to what does not fit is a JSON object whose `path` (JSONPath) and `detail` say what
    is wrong first. Schemas are of the draft that their `$schema` names, else of 2020-12; what they
    refer to must be in them, as nothing is fetched. Their patterns are Python's regular
    expressions, which can be slow: write none that backtrack. Needs the package `jsonschema`
    (`pip install pyproxy[validation]`).
    """

    default_priority: ClassVar[int] = 3500
    python_class: ClassVar[str] = "pyproxy.filters.request_validation:RequestValidation"
    example: ClassVar[str] = """\
- request_validation:
    headers:
      required: [x-tenant]
      properties: {x-tenant: {pattern: "^[a-z]{1,16}$"}}
    body:
      type: object
      required: [name]
      properties:
        name: {type: string, maxLength: 64}
        tags: {type: array, items: {type: string}}
      additionalProperties: false
"""

    body: Annotated[
        dict[str, Any] | None, Meta(description="The schema of bodies.", examples=[{}])
    ] = None
    body_file: Annotated[
        str | None,
        Meta(
            description="Or a file with it (JSON); its path is relative to the folder of the "
            "configuration."
        ),
    ] = None
    headers: Annotated[dict[str, Any] | None, Meta(description="The schema of the fields.")] = None
    required: Annotated[
        bool,
        Meta(description="Refuse a POST, PUT or PATCH without a body where bodies have a schema."),
    ] = True
    max_body: Annotated[Size, Meta(description="Most bytes of a body.", ge=1, le=64 * 2**20)] = (
        2**20
    )
    status: Annotated[
        int, Meta(description="The status for what does not fit.", ge=400, le=499)
    ] = 400
    details: Annotated[bool, Meta(description="Tell the client what does not fit.")] = True

    def check(self, report: Report, path: str) -> None:
        """Is there a schema, and is it one?"""
        if self.body is not None and self.body_file is not None:
            message = "there is body or body_file, not both"
            report.add(self, "body_file", message, path=path)
            return
        given = (self.headers, self.body, self.body_file) != (None, None, None)
        if not given and not any(report.written(self, key) for key in ("headers", "body")):
            report.add(self, "", "this filter checks nothing", "add body or headers", path=path)
        for key in ("headers", "body" if self.body_file is None else "body_file"):
            try:
                schema = self.headers if key == "headers" else body_schema(self)
                if schema is not None:
                    compile_schema(schema)
            except ValueError as error:
                report.refuse(self, key, error, path=path)


def body_schema(config: RequestValidationFilter) -> Any:
    """The schema of bodies; None: there is none. ValueError with `what; cure`."""
    import json

    if config.body_file is None:
        return config.body
    text = read_text(config, config.body_file)
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{config.body_file} is not JSON: {error}") from None


def compile_schema(schema: Any) -> Any:
    """A validator. ValueError with `what; cure`."""
    try:
        jsonschema = import_module("jsonschema")  # heavy: for those who use it
        referencing = import_module("referencing")
    except ModuleNotFoundError:
        raise ValueError(
            "the package jsonschema is missing; pip install pyproxy[validation]"
        ) from None
    cls = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        cls.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.json_path}: {error.message[:200]}") from None
    # An empty registry: a reference to elsewhere is an error, never a request.
    validator = cls(schema, registry=referencing.Registry())
    if not _some(schema, "$id"):  # with names of its own, a schema knows best
        _check_references(schema, referencing)
    return validator


def _some(schema: Any, key: str) -> list[str]:
    """The texts under a key, wherever it stands."""
    if isinstance(schema, list):
        return [text for item in schema for text in _some(item, key)]
    if not isinstance(schema, dict):
        return []
    here = [schema[key]] if isinstance(schema.get(key), str) else []
    return here + [text for item in schema.values() for text in _some(item, key)]


def _check_references(schema: Any, referencing: Any) -> None:
    """Does each lead somewhere? Found out now, or by every request."""
    kind = import_module("referencing.jsonschema").DRAFT202012
    root = referencing.Resource.from_contents(schema, default_specification=kind)
    resolver = referencing.Registry().resolver_with_root(root)
    for reference in _some(schema, "$ref"):
        try:
            resolver.lookup(reference)
        except referencing.exceptions.Unresolvable:
            raise ValueError(
                f'"{reference[:200]}" refers to nothing in the schema; put it under $defs'
            ) from None
