"""How a declaration spells rules and masks: written from what is declared, and read from what a person typed."""

import ast
import difflib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sluice import Find, Mask, NullIf, Rule
from sluice.declaration.tree import Tree
from sluice.failures import OF_A_USERS_CODE, DeclarationError

POSITIONAL = ("column", "rule", "mask", "paths")  # options that a declaration gives without their name
KINDS = (Rule, Mask, NullIf, Find)


def spelled(declared: object) -> str:
    """Return a rule or a mask as a declaration spells it, without the options that are as they are by default.

    One of a user's own need not have the options that it was made with: then it is spelled without any.
    """
    try:
        given = list(_options(declared))
    except OF_A_USERS_CODE:
        given = []
    return f"{type(declared).__name__}({', '.join(given)})"


def read(text: str, known: Iterable[object], names: Mapping[str, Any]) -> list[Any]:
    """Return the rules and masks that a text spells with commas between them; of calls, it makes only theirs.

    One that is spelled as a known one is the known one: what a user's class was made with need not be in its spelling.
    `names` are those that the text can use. Raises DeclarationError.
    """
    kept = {spelled(one): one for one in known}
    source = f"({text},)"
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not isinstance(tree, ast.Tuple):
        raise DeclarationError("write it as in a declaration: rules and masks with commas between them")
    return [kept.get(ast.get_source_segment(source, one) or "") or _value(one, names) for one in tree.elts]


def _options(declared: Any) -> Iterator[str]:
    own = {field.metadata.get("parameter") or field.name: field.name for field in fields(declared)}
    for name, parameter in inspect.signature(type(declared)).parameters.items():
        value = getattr(declared, own.get(name, name))
        if isinstance(declared, Tree) and name == "paths":
            value = dict(value)
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from map(_literal, value)
        elif value != parameter.default:
            is_first = name in POSITIONAL and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            yield _literal(value) if is_first else f"{name}={_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, KINDS):
        return spelled(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(one)}' for key, one in value.items())}}}"
    return str(getattr(value, "__name__", value))


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an expression stands for: of calls, only those of rules and masks. Raises DeclarationError."""
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(_value(element, names) for element in elements)
        case ast.Dict(keys=keys, values=values) if all(keys):
            pairs = zip(keys, values, strict=True)
            return {_value(key, names): _value(value, names) for key, value in pairs if key}
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)) if name not in names:
            near = difflib.get_close_matches(name, [*names, "True", "False", "None"], 1)
            raise DeclarationError(f"{name} is not known here" + (f"; did you mean {near[0]}?" if near else ""))
        case ast.Name(id=name):
            return names[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if _is_kind(names.get(name)):
            positional = [_value(argument, names) for argument in arguments]
            named = {one.arg: _value(one.value, names) for one in keywords if one.arg}
            return _made(names[name], positional, named)
    raise DeclarationError("write it as in a declaration: rules and masks, with texts and numbers as their options")


def _is_kind(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, KINDS)


def _made(kind: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    try:
        return kind(*positional, **named)
    except DeclarationError:
        raise
    except OF_A_USERS_CODE as error:
        is_told = isinstance(error, TypeError) and kind.__module__.startswith("sluice.")
        told = str(error).replace(f"{kind.__qualname__}.__init__() ", "") if is_told else type(error).__name__
        raise DeclarationError(f"{kind.__name__}: {told}") from None
