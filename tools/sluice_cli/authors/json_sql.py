"""The SQL that changes a member of the objects in a column of JSON, in lists and Trees of any depth."""

from collections.abc import Sequence

from sluice.postgres.driver import literal

EACH = None  # a step to all elements of a list; another is the key of an object

type Steps = Sequence[str | None]


def steps(path: Sequence[str], inside: str) -> Steps | None:
    """Return the way from a column to a member; None where a Tree's path has wildcards.

    `path` begins with the column, and has a list before each other member; `inside` is the pointer in a Tree.
    """
    keys = [key.replace("~1", "/").replace("~0", "~") for key in inside.split("/")[1:]]
    if any("*" in key for key in keys):
        return None
    return [step for member in path[1:] for step in (EACH, member)] + keys


def without(value: str, way: Steps, put: str | None, depth: int = 1) -> str:
    """Return the expression for a value of jsonb in which a member has `put` in its place, or is not there.

    What is null or has no such member stays as it is.
    """
    step, rest = way[0], way[1:]
    if step is EACH:
        one, number = f"one_{depth}", f"number_{depth}"
        elements = f"jsonb_array_elements({value}) WITH ORDINALITY AS each_{depth} ({one}, {number})"
        changed = f"jsonb_agg({without(one, rest, put, depth + 1)} ORDER BY {number})"
        changed = f"(SELECT coalesce({changed}, '[]') FROM {elements})"
        return f"CASE jsonb_typeof({value}) WHEN 'array' THEN {changed} ELSE {value} END"
    key, member = literal(step), f"({value} -> {literal(step)})"  # `-` binds more tightly
    if rest:
        changed = f"jsonb_set({value}, ARRAY[{key}], {without(member, rest, put, depth)})"
        is_there = f"jsonb_typeof({member}) IN ('array', 'object')"
    elif put is None:
        changed, is_there = f"{value} - {key}", f"jsonb_typeof({value}) = 'object'"
    else:
        changed, is_there = f"jsonb_set({value}, ARRAY[{key}], {put})", f"jsonb_typeof({member}) <> 'null'"
    return f"CASE WHEN {is_there} THEN {changed} ELSE {value} END"
