"""What producers and readers rely on: streams as data, and two of them compared."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, NamedTuple

import msgspec

from sluice.declaration import description, registry, wire
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.masks import Mask
from sluice.declaration.route import Queued, Route
from sluice.declaration.rules.rule import Rule, is_ours
from sluice.declaration.stream import Stream
from sluice.declaration.tree import Tree
from sluice.declaration.unions import Tagged
from sluice.failures import DeclarationError
from tools.sluice_cli.authors import routes, shortening, table_sql

type Contract = dict[str, Any]

# Of our rules: whether more of an option takes more. None is no bound.
WIDER_UP, WIDER_DOWN = ("max", "latest", "scale", "whole", "max_bytes", "max_depth", "max_keys"), ("min", "earliest")
MEANING = ("fold", "form", "region", "epoch", "zone", "format", "keys")  # options that change what a value stands for


class Change(NamedTuple):
    """Something that a producer or a reader of the table would notice, or an addition, which they would not."""

    is_breaking: bool
    sentence: str


def of_stream(stream: type[Stream]) -> Contract:
    """Return what others rely on of a stream, as JSON has it."""
    entries = description.entries(stream)
    types = {name: column.type for name, column in table_sql.columns_of(stream).items()}
    columns = {
        entry.column + description.where([*map(_first, entry.cases)]): {
            "pointer": entry.pointer,
            "mask": description.options(entry.mask) if isinstance(entry.mask, Mask) else description.mask_text(entry),
            "domain": entry.domain,
            "type": types.get(entry.column, entry.type),
            "nullable": entry.nullable,
            "form": _form(entry.rule),
            "place": [*entry.path],
            "inside": entry.inside,
            "shortening": shortening.of(entry.rule, entry.mask),
        }
        for entry in entries
    }
    head = description.head(stream)
    contract = {
        **{name: head[name] for name in ("table", "envelope", "mentions", "identity", "time", "records", "ignore")},
        "subject": " or ".join(stream.subject.paths) if stream.subject else None,
        "keep_for": stream.partitioning.keep_for.days if stream.partitioning and stream.partitioning.keep_for else None,
        "offloaded": str(stream.offloaded) if stream.offloaded else None,
        "fields": dict(_fields(stream.layout)),
        "columns": columns,
    }
    made: Contract = json.loads(json.dumps(contract, default=str))
    return made


def of_route(route: type[Route]) -> Contract:
    """Return what others rely on of a route, as JSON has it."""
    return {name: member for name, member in routes.told(route).items() if name not in ("route", "about")}


def of_queued(queued: Queued) -> Contract:
    """Return what others rely on of a stream or a route."""
    return of_route(queued) if issubclass(queued, Route) else of_stream(queued)


def compare(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[Change]:
    """Return what has changed between two sets of streams, by name; of each stream it begins with its name."""
    changes = [Change(True, f"{name}: the stream is gone") for name in old if name not in new]
    changes += [Change(False, f"{name}: the stream is new") for name in new if name not in old]
    for name in [name for name in new if name in old]:
        if "error" in old[name]:
            changes.append(Change(False, f"{name}: cannot be compared, since it was not valid: {old[name]['error']}"))
        else:
            changes += [
                Change(is_breaking, f"{name}: {told}") for is_breaking, told in _of_queued(old[name], new[name])
            ]
    return sorted(changes, key=lambda change: (not change.is_breaking, change.sentence.partition(":")[0]))


def renamed(old: Contract, new: Contract) -> dict[str, str]:
    """Return the columns that are the same ones under another name: the new name by the old one."""
    added = [name for name in new if name not in old]
    found: dict[str, str] = {}
    for name in [name for name in old if name not in new]:
        others = [one for one in added if _source(new[one]) == _source(old[name])]
        if len(others) == 1:
            added.remove(others[0])
            found[name] = others[0]
    return found


def main() -> None:
    """Print the streams that can be imported as JSON: of a revision it is called in a process of its own."""
    contracts: dict[str, Contract] = {}
    for name in registry.names():
        try:
            contracts[name] = of_queued(registry.load_queued(name))
        except DeclarationError as error:
            contracts[name] = {"error": str(error)}
    print(json.dumps(contracts))


def _fields(layout: Layout, pointer: str = "", where: str = "", around: str = "") -> Iterator[tuple[str, Contract]]:
    """Yield what is read of an object by its place, of a union by its place in each case."""
    infos = {info.encode_name: info for info in msgspec.structs.fields(layout.wire)}
    for member in layout.members:
        place, info = pointer + member.pointer + where, infos.get(member.key)
        told: Contract = {"required": not member.optional, "nullable": member.optional, "default": None}
        if isinstance(member, Nested) and member.source:
            told["required"] = any(info.required for info in msgspec.structs.fields(member.layout.wire))
        elif info:
            told |= {"required": info.required, "default": _default(info)}
        told["around"] = around
        if isinstance(member, Field):
            rule = member.rule
            told |= {"null_if": [*member.null_if.when] if member.null_if else []}
            yield place, told | _value(rule)
            if isinstance(rule, Tree):
                told = {"required": False, "nullable": True, "default": None, "null_if": [], "around": place}
                yield from ((place + one.path, told | _value(one.rule)) for one in rule.branches if one.rule)
        elif member.union:
            yield from _union(member, pointer, where, told)
        else:
            yield place, told | {"kind": "a list of objects" if member.many else "an object"}
            yield from _fields(member.layout, f"{pointer}{member.pointer}{'/*' * member.many}", where, place)


def _union(nested: Nested, pointer: str, where: str, told: Contract) -> Iterator[tuple[str, Contract]]:
    by = f"the key {nested.union.key}" if isinstance(nested.union, Tagged) else "the JSON type"
    own = f"{pointer}/{nested.name}" if nested.inline else pointer + nested.pointer
    kind = f"{'a list of unions' if nested.many else 'a union'} by {by}" + " of the object around it" * nested.is_itself
    yield own + where, told | {"kind": kind}
    for case, _, inner in nested.inside(pointer=pointer):
        inside = f"{where}{' and' if where else ' where'} {_first(case.told)}"
        place = f"{own if nested.inline else inner}{inside}"
        its_case: Contract = {"required": False, "around": own + where, "is_case": True}
        if case.is_object:
            shape = {"kind": "a case", "nullable": False, "default": None, "tags": list(case.tags)}
            yield place, its_case | shape
            yield from _fields(case.layout, inner, inside, place)
        else:
            (_, value), *below = _fields(case.layout, inner, inside)
            yield place, value | its_case
            yield from below


def _first(case: str) -> str:
    """Return what decides for a case by its first tag or type: one more makes no other case of it."""
    return case.partition(" or ")[0]


def _value(rule: Rule) -> Contract:
    return {"kind": "a value", "rule": _rule(rule), "text": description.rule_text(rule)}


def _default(info: msgspec.structs.FieldInfo) -> Any:
    return None if info.required else msgspec.to_builtins(wire.default(info))


def _rule(rule: Any) -> Contract:
    """Return a rule's options, the digits before and after the point told apart."""
    told = description.options(rule)
    if told["name"] == "Number":
        told["whole"] = told.pop("precision") - told["scale"]
    for bound in told.keys() & {"earliest", "latest"}:
        moment = getattr(rule, bound)
        told[bound] = moment and moment.astimezone(UTC).isoformat()
    if "rule" in told:
        told["rule"] = _rule(rule.rule)
    return told | {"is_ours": is_ours(rule)}


def _form(rule: Rule | None) -> Contract | None:
    """Return what decides which token a value has."""
    if rule is None:
        return None
    told = description.options(rule.element)
    return {option: told[option] for option in ("name", "fold", "form") if option in told}


def _of_queued(old: Contract, new: Contract) -> Iterator[Change]:
    if ("to" in old) != ("to" in new):
        yield Change(True, "is a route now, was a stream" if "to" in new else "is a stream now, was a route")
    elif "to" in new:
        yield from _of_route(old, new)
    else:
        yield from _of_stream(old, new)


def _of_route(old: Contract, new: Contract) -> Iterator[Change]:
    for what in ("by", "envelope", "records", "ignore"):
        if old[what] != new[what]:
            yield Change(True, f"the {what} is {_plain(new[what])}, was {_plain(old[what])}")
    yield from _of_offloaded(old.get("offloaded"), new.get("offloaded"))
    for value, stream in new["to"].items():
        if value not in old["to"]:
            yield Change(False, f"{value} is new, and goes to {stream}")
        elif stream != old["to"][value]:
            yield Change(True, f"{value} goes to {stream} now, went to {old['to'][value]}")
    yield from (Change(True, f"{value} is not taken any more") for value in old["to"] if value not in new["to"])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_stream(old: Contract, new: Contract) -> Iterator[Change]:
    for what in ("table", "envelope", "subject", "identity", "time"):
        if old[what] != new[what]:
            yield Change(True, f"the {what} is {new[what]}, was {old[what]}")
    if old.get("records") != new["records"]:  # an older version says nothing of it
        told = [one or "one in each message" for one in (new["records"], old.get("records"))]
        yield Change(True, f"the records are {told[0]}, were {told[1]}")
    yield from _of_retention(old.get("keep_for"), new["keep_for"])
    yield from _of_ignored(old.get("ignore", []), new["ignore"])
    yield from _of_offloaded(old.get("offloaded"), new["offloaded"])
    mentioned = old.get("mentions", [])  # that revision may not know of mentions
    yield from (Change(False, f"{path} is a mention now") for path in new["mentions"] if path not in mentioned)
    yield from (Change(True, f"{path} is no mention any more") for path in mentioned if path not in new["mentions"])
    yield from _of_fields(old["fields"], new["fields"])
    yield from _of_columns(old["columns"], new["columns"])


def _of_offloaded(old: str | None, new: str | None) -> Iterator[Change]:
    if old != new:
        told = [one or "not taken from S3" for one in (new, old)]
        yield Change(old is not None, f"offloaded bodies are {told[0]} now, were {told[1]}")


def _of_retention(old: int | None, new: int | None) -> Iterator[Change]:
    if old != new:
        told = ["forever" if days is None else f"for {days} days" for days in (new, old)]
        yield Change(new is not None and (old is None or new < old), f"rows are kept {told[0]}, were {told[1]}")


def _of_ignored(old: list[Contract], new: list[Contract]) -> Iterator[Change]:
    for members in [one for one in new if one not in old]:
        yield Change(True, f"what has {json.dumps(members)} is ignored now")
    for members in [one for one in old if one not in new]:
        yield Change(True, f"what has {json.dumps(members)} is not ignored any more")


def _of_fields(old: Contract, new: Contract) -> Iterator[Change]:
    for pointer, field in new.items():
        if pointer in old:
            for is_breaking, told in _of_field(old[pointer], field):
                yield Change(is_breaking, f"{pointer} {told}")
        elif field["around"] in ("", *old):  # else the object around it is told
            yield Change(field["required"], f"{pointer} is new" + " and required" * field["required"])
    for pointer in [pointer for pointer in old if pointer not in new]:
        if old[pointer]["around"] in ("", *new):
            is_case = "is_case" in old[pointer]
            yield Change(is_case, f"{pointer} is " + ("no case" if is_case else "not read") + " any more")


def _of_field(old: Contract, new: Contract) -> Iterator[Change]:
    if old["required"] != new["required"]:
        yield Change(new["required"], "is required now" if new["required"] else "may be missing now")
    if old["nullable"] != new["nullable"]:
        yield Change(old["nullable"], "must not be null any more" if old["nullable"] else "may be null now")
    if old["kind"] != new["kind"]:
        yield Change(True, f"is {new['kind']} now, was {old['kind']}")
    elif "rule" in new:
        yield from _of_rule(old, new)
    for tag in old.get("tags", ()):
        if tag not in new.get("tags", ()):
            yield Change(True, f"has no tag {json.dumps(tag, ensure_ascii=False)} any more")
    for tag in new.get("tags", ()):
        if tag not in old.get("tags", ()):
            yield Change(False, f"has the tag {json.dumps(tag, ensure_ascii=False)}, too")
    if not old["required"] and not new["required"] and old["default"] != new["default"]:
        yield Change(True, f"has the default {json.dumps(new['default'])} now, had {json.dumps(old['default'])}")


def _of_rule(old: Contract, new: Contract) -> Iterator[Change]:
    before, now = old.get("null_if", []), new["null_if"]
    yield from (Change(True, f"must not be {one} any more") for one in before if one not in now)
    yield from (Change(False, f"becomes null now where it is {one}") for one in now if one not in before)
    if old["rule"] == new["rule"]:
        return
    narrowed = list(_narrowed(old["rule"], new["rule"]))
    if not narrowed and old["text"] == new["text"]:  # an option that a newer release has
        return
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
        elif option == "round":
            yield from ["it is not rounded any more"] if before else []
        elif option in MEANING and not (option in ("region", "zone") and before is None):
            yield f"{option} has changed"


def _of_columns(old: Contract, new: Contract) -> Iterator[Change]:
    other_names = renamed(old, new)
    for name in [name for name in old if name not in new]:
        told = f"is {other_names[name]} now" if name in other_names else "is gone"
        yield Change(True, f"the column {name} {told}")
    added = [name for name in new if name not in (*old, *other_names.values())]
    yield from (Change(False, f"the column {name} is new") for name in added)
    for name in [name for name in new if name in old]:
        for is_breaking, told in _of_column(old[name], new[name]):
            yield Change(is_breaking, f"the column {name} {told}")


def _source(column: Contract) -> tuple[Any, ...]:
    """Return what a column is made of: it is the same one under another name where that is the same."""
    mask = column["mask"]
    return column["pointer"], json.dumps(mask), column["type"]


def _of_column(old: Contract, new: Contract) -> Iterator[Change]:
    if old["type"] != new["type"]:
        yield Change(_kind_of(old["type"]) != _kind_of(new["type"]), f"is {new['type']} now, was {old['type']}")
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
