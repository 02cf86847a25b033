"""Times in their canonical forms: moments in UTC, to the microsecond, and dates."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from functools import cache
from math import floor

from sluice.failures import Rejected

_ZONE = r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_USUAL_MOMENT = re.compile(  # as nearly all write it: no more is to be done
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-5][0-9])"
)
_MOMENTS = [
    re.compile(
        rf"[0-9]{{4}}{dash}(?:[0-9]{{2}}{dash}[0-9]{{2}}|W[0-9]{{2}}{dash}[1-7])"
        rf"(?P<time>[T ][0-9]{{2}}(?:{colon}[0-9]{{2}}(?:{colon}(?P<second>[0-9]{{2}})(?:[.,][0-9]+)?)?)?{_ZONE}?)?",
        re.IGNORECASE | re.ASCII,
    )
    for dash, colon in (("-", ":"), ("", ""))  # ISO 8601's extended and basic format
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = re.compile(r"-?(?![0-9]{8}\Z)[0-9]{1,20}(?:\.[0-9]{1,20})?")  # eight digits are a date
_EXACT = Context(prec=1_000)  # digits: more than an epoch has, as a text or as a float

FORMATS = ("rfc2822", "http")  # of texts, beside ISO 8601
_DAYS, _MONTHS = "Mon Tue Wed Thu Fri Sat Sun".split(), "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_ZONES = {
    "EST": 5,
    "EDT": 4,
    "CST": 6,
    "CDT": 5,
    "MST": 7,
    "MDT": 6,
    "PST": 8,
    "PDT": 7,
}  # hours behind (RFC 5322, 4.3)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")


def epoch(value: str | float, digits: int) -> datetime | None:
    """Return the moment that a number since 1970 is, its unit 10^-digits seconds, or None for a text that is none."""
    if isinstance(value, str) and (value[4:5] == "-" or not _EPOCH_TEXT.fullmatch(value)):
        return None
    units = Decimal(value if isinstance(value, str) else repr(value))
    try:
        return _EPOCH + timedelta(microseconds=floor(_EXACT.scaleb(units, 6 - digits)))
    except (OverflowError, ValueError):
        raise Rejected("out_of_range") from None


def moment(value: str, zone: tzinfo | None = None) -> datetime:
    """Return the moment that a text in ISO 8601 or RFC 3339 names, in UTC; what is finer than a microsecond is cut off.

    A time without a zone is one of `zone`. A leap second is the first second of the next month, as PostgreSQL has it.
    Raises Rejected when it is no moment, or not surely one.
    """
    try:
        if _USUAL_MOMENT.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(UTC)
        match = next((found for found in (one.fullmatch(value) for one in _MOMENTS) if found), None)
        if match is None:
            raise Rejected("not_a_timestamp")
        is_leap = match["second"] == "60"
        start, end = match.span("second")
        found = datetime.fromisoformat((f"{value[:start]}59{value[end:]}" if is_leap else value).upper())
        if found.tzinfo is None:
            if zone is None or not match["time"]:
                raise Rejected("no_time_zone" if zone is None else "not_a_timestamp")  # a date is no moment
            found = _local(found, zone)
        found = found.astimezone(UTC) + timedelta(seconds=is_leap)
    except ValueError:
        raise Rejected("not_a_timestamp") from None  # the cause quotes the value
    except OverflowError:
        raise Rejected("out_of_range") from None
    if is_leap and (found.day, found.hour, found.minute, found.second) != (1, 0, 0, 0):
        raise Rejected("not_a_timestamp")  # leap seconds end a month of UTC
    return found


def formatted(value: str, format: str) -> datetime:
    """Return the moment that a text names in a format of `FORMATS`, in UTC. Raises Rejected when it is no such text."""
    text = value.strip()
    match = next((found for found in (one.fullmatch(text) for one in _patterns(format)) if found), None)
    if match is None:
        raise Rejected("not_a_timestamp")
    found = {"zone": "GMT"} | match.groupdict()
    zone, month = found["zone"].upper(), _MONTHS.index(found["month"].title()) + 1
    offset = f"-0{_ZONES[zone]}00" if zone in _ZONES else zone if zone[0] in "+-" else "Z"
    day = f"{found['year']}-{month:02}-{int(found['day']):02}"
    named = moment(f"{day}T{found['time']}{offset}")
    if found["weekday"] and date.fromisoformat(day).weekday() != _DAYS.index(found["weekday"].title()):
        raise Rejected("not_a_timestamp")  # one of the two is wrong
    return named


@cache
def _patterns(format: str) -> list[re.Pattern[str]]:
    day, month = rf"(?P<weekday>{'|'.join(_DAYS)})", rf"(?P<month>{'|'.join(_MONTHS)})"
    if format == "http":  # RFC 9110, 5.6.7: IMF-fixdate and asctime; the third form has a year of two digits
        year, time = "(?P<year>[0-9]{4})", "(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
        return [
            re.compile(rf"{day}, (?P<day>[0-9]{{2}}) {month} {year} {time} (?P<zone>GMT)"),
            re.compile(rf"{day} {month} (?P<day>[0-9]{{2}}| [0-9]) {time} {year}"),
        ]
    zone = rf"[+-](?:[01][0-9]|2[0-3])[0-5][0-9]|UT|GMT|{'|'.join(_ZONES)}"
    return [  # RFC 5322, 3.3; of its obsolete forms the zones that it defines, but no year of two digits
        re.compile(
            rf"(?:{day}\s*,\s*)?(?P<day>[0-9]{{1,2}})\s+{month}\s+(?P<year>[0-9]{{4}})"
            rf"\s+(?P<time>[0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?)\s+(?P<zone>{zone})(?:\s*\([^()\\]*\))?",
            re.IGNORECASE | re.ASCII,
        )
    ]


def spelled(moment: datetime, format: str) -> str:
    """Return a moment as a text of one of the `FORMATS`, to the second."""
    found = moment.astimezone(UTC)
    day, month = _DAYS[found.weekday()], _MONTHS[found.month - 1]
    return f"{day}, {found:%d} {month} {found:%Y %H:%M:%S} {'GMT' if format == 'http' else '+0000'}"


def calendar_date(value: str) -> date:
    """Return the date that a text names as a calendar date of ISO 8601. Raises Rejected when it is none."""
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise Rejected("not_a_date")


def _local(found: datetime, zone: tzinfo) -> datetime:
    """Return a time of a zone. Raises Rejected for one that the clocks showed twice, or skipped."""
    first, second = (found.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    if before is not None and after is not None and before != after:
        raise Rejected("ambiguous_time" if before > after else "not_a_timestamp")
    return first
