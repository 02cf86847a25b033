"""What producers and readers rely on: streams as data, and two of them compared."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, NamedTuple

import msgspec

from sluice.declaration import registry
from sluice.declaration.layout import Field, Layout
from sluice.declaration.masks import Mask
from sluice.declaration.rules.rule import Rule, is_ours
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from tools.sluice_cli.authors import declarations, table_sql

type Contract = dict[str, Any]

# Of our rules: whether more of an option takes more. None is no bound.
WIDER_UP, WIDER_DOWN = ("max", "latest", "scale", "whole"), ("min", "earliest")
MEANING = ("fold", "form", "region", "epoch")  # options that change what a value stands for


class Change(NamedTuple):
    """Something that a producer or a reader of the table would notice, or an addition, which they would not."""

    is_breaking: bool
    sentence: str


def of_stream(stream: type[Stream]) -> Contract:
    """Return what others rely on of a stream, as JSON has it."""
    entries = declarations.entries(stream)
    types = {name: column.type for name, column in table_sql.columns_of(stream).items()}
    columns = {
        entry.column: {
            "pointer": entry.pointer,
            "mask": declarations.options(entry.mask) if isinstance(entry.mask, Mask) else declarations.mask_text(entry),
            "domain": entry.domain,
            "type": types.get(entry.column, entry.type),
            "nullable": entry.nullable,
            "form": _form(entry.rule),
        }
        for entry in entries
    }
    contract = {
        "table": stream.table,
        "envelope": stream.unwrap.__name__,
        "subject": " or ".join(stream.subject.paths) if stream.subject else None,
        "mentions": stream.mentioned.paths,
        "identity": ".".join(stream.postmark.identity.path) if stream.postmark.identity else None,
        "time": ".".join(stream.postmark.time.path) if stream.postmark.time else None,
        "fields": dict(_fields(stream.layout, "")),
        "columns": columns,
    }
    made: Contract = json.loads(json.dumps(contract, default=str))
    return made


def compare(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[Change]:
    """Return what has changed between two sets of streams, by name; of each stream it begins with its name."""
    changes = [Change(True, f"{name}: the stream is gone") for name in old if name not in new]
    changes += [Change(False, f"{name}: the stream is new") for name in new if name not in old]
    for name in [name for name in new if name in old]:
        if "error" in old[name]:
            changes.append(Change(False, f"{name}: cannot be compared, since it was not valid: {old[name]['error']}"))
        else:
            changes += [
                Change(is_breaking, f"{name}: {told}") for is_breaking, told in _of_stream(old[name], new[name])
            ]
    return sorted(changes, key=lambda change: (not change.is_breaking, change.sentence.partition(":")[0]))


def main() -> None:
    """Print the streams that can be imported as JSON: of a revision it is called in a process of its own."""
    contracts: dict[str, Contract] = {}
    for name in registry.names():
        try:
            contracts[name] = of_stream(registry.load(name))
        except DeclarationError as error:
            contracts[name] = {"error": str(error)}
    print(json.dumps(contracts))


def _fields(layout: Layout, pointer: str) -> Iterator[tuple[str, Contract]]:
    infos = {info.encode_name: info for info in msgspec.structs.fields(layout.wire)}
    for member in layout.members:
        place, info = pointer + member.pointer, infos[member.key]
        told = {"required": info.required, "nullable": member.optional, "default": _default(info)}
        if isinstance(member, Field):
            rule = member.rule
            yield place, told | {"kind": "a value", "rule": _rule(rule), "text": declarations.rule_text(rule)}
        else:
            yield place, told | {"kind": "a list of objects" if member.many else "an object"}
            yield from _fields(member.layout, f"{place}/*" if member.many else place)


def _default(info: msgspec.structs.FieldInfo) -> Any:
    value = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    return None if info.required else msgspec.to_builtins(value)


def _rule(rule: Rule) -> Contract:
    """Return a rule's options, the digits before and after the point told apart."""
    told = declarations.options(rule)
    if told["name"] == "Number":
        told["whole"] = told.pop("precision") - told["scale"]
    for bound in told.keys() & {"earliest", "latest"}:
        moment = getattr(rule, bound)
        told[bound] = moment and moment.astimezone(UTC).isoformat()
    if "rule" in told:
        told["rule"] = _rule(rule.element)
    return told | {"is_ours": is_ours(rule)}


def _form(rule: Rule | None) -> Contract | None:
    """Return what decides which token a value has."""
    if rule is None:
        return None
    told = declarations.options(rule.element)
    return {option: told[option] for option in ("name", "fold", "form") if option in told}


def _of_stream(old: Contract, new: Contract) -> Iterator[Change]:
    for what in ("table", "envelope", "subject", "identity", "time"):
        if old[what] != new[what]:
            yield Change(True, f"the {what} is {new[what]}, was {old[what]}")
    mentioned = old.get("mentions", [])  # that revision may not know of mentions
    yield from (Change(False, f"{path} is a mention now") for path in new["mentions"] if path not in mentioned)
    yield from (Change(True, f"{path} is no mention any more") for path in mentioned if path not in new["mentions"])
    yield from _of_fields(old["fields"], new["fields"])
    yield from _of_columns(old["columns"], new["columns"])


def _of_fields(old: Contract, new: Contract) -> Iterator[Change]:
    for pointer, field in new.items():
        if pointer in old:
            for is_breaking, told in _of_field(old[pointer], field):
                yield Change(is_breaking, f"{pointer} {told}")
        elif _parent(pointer) in ("", *old):  # else the object around it is told
            yield Change(field["required"], f"{pointer} is new" + " and required" * field["required"])
    for pointer in [pointer for pointer in old if pointer not in new]:
        if _parent(pointer) in ("", *new):
            yield Change(False, f"{pointer} is not read any more")


def _parent(pointer: str) -> str:
    return pointer.rpartition("/")[0].removesuffix("/*")


def _of_field(old: Contract, new: Contract) -> Iterator[Change]:
    if old["required"] != new["required"]:
        yield Change(new["required"], "is required now" if new["required"] else "may be missing now")
    if old["nullable"] != new["nullable"]:
        yield Change(old["nullable"], "must not be null any more" if old["nullable"] else "may be null now")
    if old["kind"] != new["kind"]:
        yield Change(True, f"is {new['kind']} now, was {old['kind']}")
    elif "rule" in new:
        yield from _of_rule(old, new)
    if not old["required"] and not new["required"] and old["default"] != new["default"]:
        yield Change(True, f"has the default {json.dumps(new['default'])} now, had {json.dumps(old['default'])}")


def _of_rule(old: Contract, new: Contract) -> Iterator[Change]:
    if old["rule"] == new["rule"]:
        return
    narrowed = list(_narrowed(old["rule"], new["rule"]))
    texts = f"takes {new['text']} now, took {old['text']}"
    yield Change(bool(narrowed), f"{texts}: {', '.join(narrowed)}" if narrowed else texts)


def _narrowed(old: Contract, new: Contract) -> Iterator[str]:
    """Yield in which respects a rule takes less than before, or takes it for something else."""
    if not (old["is_ours"] and new["is_ours"]):
        yield "a rule of your own has changed"
        return
    if old["name"] != new["name"]:
        if not (old["name"] == "OneOf" and new["name"] == "Text" and max(map(len, old["choices"])) <= new["max"]):
            yield "another rule"
        return
    for option, before in old.items():
        now = new[option]
        if before == now:
            continue
        if option in WIDER_UP or option in WIDER_DOWN:
            if before is None or (now is not None and (now < before) == (option in WIDER_UP)):
                yield f"{option} was {'open' if before is None else before}"
        elif option == "choices":
            yield from (f"{choice} is gone" for choice in before if choice not in now)
        elif option == "rule":
            yield from _narrowed(before, now)
        elif option == "text":
            yield from ["no text any more"] if before else []
        elif option in MEANING and not (option == "region" and before is None):
            yield f"{option} has changed"


def _of_columns(old: Contract, new: Contract) -> Iterator[Change]:
    added = [name for name in new if name not in old]
    for name in [name for name in old if name not in new]:
        others = [one for one in added if _source(new[one]) == _source(old[name])]
        if len(others) == 1:
            added.remove(others[0])
            yield Change(True, f"the column {name} is {others[0]} now")
        else:
            yield Change(True, f"the column {name} is gone")
    yield from (Change(False, f"the column {name} is new") for name in added)
    for name in [name for name in new if name in old]:
        for is_breaking, told in _of_column(old[name], new[name]):
            yield Change(is_breaking, f"the column {name} {told}")


def _source(column: Contract) -> tuple[Any, ...]:
    """Return what a column is made of: it is the same one under another name where that is the same."""
    mask = column["mask"]
    return column["pointer"], json.dumps(mask), column["type"]


def _of_column(old: Contract, new: Contract) -> Iterator[Change]:
    if _kind_of(old["type"]) != _kind_of(new["type"]):
        yield Change(True, f"is {new['type']} now, was {old['type']}")
    elif old["type"] != new["type"]:
        yield Change(False, f"is {new['type']} now, was {old['type']}")
    if old["nullable"] != new["nullable"]:
        yield Change(new["nullable"], "can be null now" if new["nullable"] else "is never null now")
    if old["pointer"] != new["pointer"]:
        yield Change(True, f"is made of {new['pointer'] or 'the record'} now, was of {old['pointer'] or 'the record'}")
    if old["domain"] and new["domain"]:
        yield from _of_tokens(old, new)
    elif old["mask"] != new["mask"]:
        yield Change(True, f"has the mask {_mask(new['mask'])} now, had {_mask(old['mask'])}")


def _of_tokens(old: Contract, new: Contract) -> Iterator[Change]:
    if old["domain"] != new["domain"]:
        told = f"has tokens of the domain {new['domain']} now, had {old['domain']}"
        yield Change(True, f"{told}: they do not join with those there are")
    elif old["form"] != new["form"]:
        yield Change(True, "has other tokens for the same values now: they do not join with those there are")
    if old["mask"]["recoverable"] != new["mask"]["recoverable"]:
        is_so = new["mask"]["recoverable"]
        yield Change(not is_so, "can be recovered now" if is_so else "cannot be recovered any more")


def _mask(mask: str | Contract) -> str:
    if isinstance(mask, str):
        return mask
    options = [f"{name}={json.dumps(value)}" for name, value in mask.items() if name != "name" and value is not None]
    return f"{mask['name']}({', '.join(options)})" if options else str(mask["name"])


def _kind_of(type_: str) -> str:
    """Return a type as its readers see it: a text of any length is a text, a number of any precision is one."""
    return re.sub(r"\(.*\)", "", type_).replace("varchar", "text")
