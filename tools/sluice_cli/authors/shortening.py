"""Truncate in SQL: what makes less of the values that a column has, as the mask makes less of new ones."""

from typing import NamedTuple

from sluice.declaration.masks import Truncate
from sluice.declaration.rules import Date, Email, Integer, IpAddress, Number, Rule, Text, Timestamp
from sluice.declaration.rules.rule import is_ours

UNITS = ("minute", "hour", "day", "month", "year")  # each leaves less than the one before it


class Shortening(NamedTuple):
    """The SQL for a single value, `{0}` standing for it, and how little is left: the more, the less is left."""

    sql: str
    coarseness: int


def of(rule: Rule | None, mask: object) -> Shortening | None:
    """Return what a mask does in SQL, if it is a Truncate of a rule of ours for which SQL does the same."""
    if rule is None or type(mask) is not Truncate or not is_ours(rule.element):
        return None
    one, to = rule.element, mask.to
    unit = UNITS.index(str(to)) if to in UNITS else 0
    if type(one) is Email:
        return Shortening("substring({0} FROM '[^@]*$')", 0)
    if type(one) is IpAddress:
        return Shortening("network(set_masklen({0}, CASE family({0}) WHEN 4 THEN 24 ELSE 48 END))", 0)
    if type(one) is Timestamp:
        return Shortening(f"date_trunc('{to}', {{0}}, 'UTC')", unit)
    if type(one) is Date:
        return Shortening(f"CAST(date_trunc('{to}', CAST({{0}} AS timestamp)) AS date)", unit)
    if type(one) in (Integer, Number) and isinstance(to, int):
        whole = "floor(CAST({0} AS numeric))"
        return Shortening(f"{whole} - mod(mod({whole}, {to}) + {to}, {to})", to)
    if isinstance(one, Text) and type(one).shorten is Text.shorten and isinstance(to, int):
        return Shortening(f"left({{0}}, {to})", -to)
    return None
