"""What a changed mask leaves in the rows that are there, and the SQL that ends it.

A mask makes the rows that are written from now on. What is told names columns, masks and fields, and no value.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sluice.postgres.driver import literal
from tools.sluice_cli.authors import contract, json_sql, table_sql
from tools.sluice_cli.authors.contract import Contract

WHEN = "run it once the deployment is done, since the old code writes rows until then"
BY_HAND = (
    "SQL cannot do what {} does, and no function does it to older rows: empty the column, delete the rows and have"
    " their records sent again, or keep what is there knowingly"
)
IN_JSON = "It is inside of JSON: take the member out there, or empty the column"
OF_CASES = "Others write to the column too: which rows to change, only you know"
TOKEN = "'^t[1-9][0-9]{0,5}_[A-Za-z0-9_-]{43}$'"  # nosec B105  # a pattern of PostgreSQL

# How much of a value a mask leaves. What is not named, such as a function or a mask of one's own, leaves some of it.
NOTHING, LINK, SOME, ALL = range(4)
LEAVES = {
    "Keep": ALL,
    "Pseudonym": LINK,
    "TokensInside": LINK,
    "Redact": NOTHING,
    "Dropped": NOTHING,
}
WHAT = {NOTHING: "", LINK: "the tokens", SOME: "what {} left of the values", ALL: "the clear values"}


class Left(NamedTuple):
    """What older rows keep of a column."""

    column: str
    sentence: str
    sql: str = ""  # ends it; empty: nothing that could be written without knowing the rows does


def compare(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[tuple[str, Left]]:
    """Return what is left in the tables of streams, given as they were and as they are, with each stream's name."""
    both = [name for name in new if "columns" in old.get(name, {}) and "columns" in new[name]]
    return [(name, left) for name in both for left in of_stream(old[name], new[name])]


def of_stream(old: Contract, new: Contract) -> list[Left]:
    """Return what is left in the table of a stream, given its contracts of then and of now."""
    table = ".".join(map(table_sql.name, new["table"].split(".")))
    before, now = old["columns"], new["columns"]
    other_names = contract.renamed(before, now)
    found: list[Left] = []
    for name, column in before.items():
        if name in now:
            found += _of_column(
                name, table, column, now[name], is_alone=_count(now, column) == _count(before, column) == 1
            )
        elif name not in other_names:
            found += _of_gone(name, table, column, now)
    for name, column in now.items():
        if name not in before and column["inside"] and (others := _others(before, column)):
            found += _of_column(name, table, others, column, is_alone=_count(now, column) == 1)
    return found


def _of_column(name: str, table: str, old: Contract, new: Contract, is_alone: bool) -> Iterator[Left]:
    """Yield what is left of a column that is there still; `is_alone` tells that nothing else is written to it."""
    if _is_sealed(old) and _name(new) == "Pseudonym" and not _is_sealed(new):
        yield Left(name, f"{_place(name, old)} has tokens in the rows that are there that can be revealed as before")
    if not _is_stricter(old, new):
        return
    mask, is_inside = _name(new), len(new["place"]) > 1 or new["inside"]
    sql = (_json_sql(table, new) if is_inside else _sql(table, old, new)) if is_alone else ""
    why = "new rows alone go without it" if mask == "Dropped" else f"{mask} is for new rows alone"
    told = [f"{_place(name, new)} keeps {_what(old)} in the rows that are there: {why}"]
    if mask in ("Redact", "Dropped", "Truncate") and not sql and (is_inside or not is_alone):
        told.append(IN_JSON if is_inside else OF_CASES)
    elif not sql or mask == "Pseudonym":
        told.append(BY_HAND.format(mask))
    if _is_sealed(old) and not _is_sealed(new):
        told.append("`sluice forget sweep` removes the sealed values that no row uses")
    if sql:
        told.append(f"{'This empties' if mask == 'Pseudonym' else 'This ends'} it; {WHEN}:")
    yield Left(name, ". ".join(told), sql)


def _of_gone(name: str, table: str, old: Contract, now: Mapping[str, Contract]) -> Iterator[Left]:
    """Yield what is left of a column that nothing is written to any more, or of a member of its objects."""
    kept = [column for column in now.values() if column["place"] == old["place"] and column["inside"] == old["inside"]]
    kept += [others] if old["inside"] and (others := _others(now, old)) else []
    if _leaves(old) < SOME or any(_leaves(column) >= _leaves(old) for column in kept):
        return
    column = old["place"][0]
    if all(other["place"][0] != column for other in now.values()):
        sql = f"ALTER TABLE {table} DROP COLUMN {table_sql.name(column)};"
    else:
        is_inside = len(old["place"]) > 1 or old["inside"]
        sql = _json_sql(table, old | {"mask": "Dropped"}) if is_inside and not kept else ""
    told = f"{_place(name, old)} keeps {_what(old)} in the rows that are there"
    yield Left(name, f"{told}. This ends it; {WHEN}:" if sql else f"{told}. {IN_JSON}", sql)


def _others(before: Mapping[str, Contract], column: Contract) -> Contract | None:
    """Return what was written at a path of a Tree that had no word of its own: what `others` said of it."""
    return next(
        (one for one in before.values() if one["place"] == column["place"] and one["inside"] == "/**"),
        None,
    )


def _is_stricter(old: Contract, new: Contract) -> bool:
    """Tell whether a mask leaves less of a value than the one before, as far as one knows."""
    if new["mask"] == "Derived" or _is_constant(new) or _name(old) == _name(new) == "Keep":
        return False  # what one's own code makes is compared with nothing
    if _leaves(old) != _leaves(new):
        return _leaves(old) > _leaves(new)
    if _leaves(old) != SOME or old["mask"] == new["mask"]:
        return False
    if old["shortening"] and new["shortening"] and old["form"] == new["form"]:
        return bool(new["shortening"][1] > old["shortening"][1])
    return True


def _sql(table: str, old: Contract, new: Contract) -> str:
    """Return the statement that makes older rows of a plain column like new ones, or empties it where it has tokens."""
    column, mask = table_sql.name(new["place"][0]), _name(new)
    is_array = str(new["type"]).endswith("[]")
    if new["type"] == "jsonb" and mask != "Redact":
        return ""
    if mask == "Pseudonym":
        is_none = f"{column} !~ {TOKEN}"
        if is_array:
            is_none = f"EXISTS (SELECT FROM unnest({column}) AS one WHERE one !~ {TOKEN})"
        empty = "'{}'" if is_array else "NULL" if new["nullable"] else "'masked'"
        return f"UPDATE {table} SET {column} = {empty} WHERE {is_none};"
    if mask == "Redact" and new["mask"]["constant"] is not None:
        constant = literal(new["mask"]["constant"])
        return f"UPDATE {table} SET {column} = {constant} WHERE {column} <> {constant};"
    if mask == "Redact":
        return f"UPDATE {table} SET {column} = NULL WHERE {column} IS NOT NULL;"
    is_as_kept = old["mask"] == {"name": "Keep", "as_": None} or (_name(old) == "Truncate" and old["shortening"])
    if mask != "Truncate" or not new["shortening"] or not is_as_kept or old["form"] != new["form"]:
        return ""
    less = new["shortening"][0]
    if is_array:
        each = f"SELECT {less.format('one')} FROM unnest({column}) WITH ORDINALITY AS each (one, number)"
        return f"UPDATE {table} SET {column} = ARRAY({each} ORDER BY number) WHERE {column} IS NOT NULL;"
    return f"UPDATE {table} SET {column} = {less.format(column)} WHERE {column} <> {less.format(column)};"


def _json_sql(table: str, new: Contract) -> str:
    """Return the statement that redacts or drops a member of JSON in older rows, if one does."""
    mask, way = _name(new), json_sql.steps(new["place"], new["inside"])
    if mask not in ("Redact", "Dropped") or not way:
        return ""
    put = None if mask == "Dropped" else literal(json.dumps(new["mask"]["constant"]))
    column = table_sql.name(new["place"][0])
    return f"UPDATE {table} SET {column} = {json_sql.without(column, way, put)} WHERE {column} IS NOT NULL;"


def _is_sealed(column: Contract) -> bool:
    return _name(column) == "Pseudonym" and bool(column["mask"]["recoverable"])


def _what(column: Contract) -> str:
    if column["mask"] == "Derived":
        return "what a function of your own made"
    return WHAT[_leaves(column)].format(_name(column))


def _place(name: str, column: Contract) -> str:
    is_inside = len(column["place"]) > 1 or column["inside"]
    return f"the column {column['place'][0]}, at {name}," if is_inside else f"the column {name}"


def _leaves(column: Contract) -> int:
    return NOTHING if _is_constant(column) else LEAVES.get(_name(column), SOME)


def _is_constant(column: Contract) -> bool:
    return isinstance(column["mask"], str) and column["mask"].startswith("Constant(")


def _name(column: Contract) -> str:
    """Return the mask's name, or what else the column is made by."""
    mask = column["mask"]
    return str(mask if isinstance(mask, str) else mask["name"])


def _count(columns: Mapping[str, Contract], column: Contract) -> int:
    """Return how many fields, of different cases, are written to the place of a column."""
    return sum(one["place"] == column["place"] and one["inside"] == column["inside"] for one in columns.values())
