"""Finds the streams that have no word in template.yaml, the words that have no stream, and wrong words."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import streams
from sluice.declaration.offloading import MOST_BYTES
from sluice.declaration.route import Queued, head_of
from tools.template import FILE, LOOP, NoSuchPlace, declared

# Of a line in the mapping `Streams`, with the numbers that Lambda takes. The queues' visibility timeout allows for the
# longest window. https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
OPTIONS: dict[str, range | None] = {
    "Name": None,
    "Queue": None,
    "BatchSize": range(1, 10_001),
    "WindowSeconds": range(301),
    "Concurrency": range(2, 1_001),
    "MinimumPollers": range(2, 201),
    "MaximumPollers": range(2, 2_001),
}
DEFAULTS = {"BatchSize": 1000, "WindowSeconds": 1, "Concurrency": 10, "MinimumPollers": 2, "MaximumPollers": 2}


def text() -> str:
    """Return the template's text. Raises OSError."""
    return (Path(streams.__path__[0]).parents[1] / FILE).read_text("utf-8")  # beside layers/streams


def misfits(names: Collection[str], routed: Collection[str] = ()) -> Iterator[str]:
    """Yield what is wrong with the template's words, and which of the streams, routes and words lack the other.

    The streams in `routed` have a queue already, that of a route, and so need no word.
    """
    from yaml import MarkedYAMLError

    try:
        words, lines = declared(text())
    except OSError as error:
        yield f"{FILE}: {error.strerror}"
    except NoSuchPlace as error:
        yield f"{FILE}: {error}"
    except MarkedYAMLError:
        yield f"{FILE}: is no YAML"
    else:
        texts = [word for word in words if isinstance(word, str)]
        if texts != words:
            yield f"{FILE}: {LOOP}: each word must be a text; put in quotes what YAML takes for something else: on, 12"
        yield from _bad_words(texts)
        yield from _bad_options(lines)
        yield from _bad_queues(lines)
        yield from _without_the_other({word: lines.get(word, {}).get("Name", word) for word in texts}, names, routed)


def large_batches(queued: Mapping[str, Queued]) -> Iterator[str]:
    """Yield the streams whose batches may hold more bodies from S3 than the memory of the function."""
    from yaml import MarkedYAMLError

    most = {name: one.max_bytes for name, each in queued.items() if (one := head_of(each).offloaded)}
    try:
        _, lines = declared(text()) if most else ([], {})
    except (OSError, NoSuchPlace, MarkedYAMLError):
        return  # `misfits` tells
    words = {line.get("Name", word): word for word, line in lines.items()}
    for name, max_bytes in most.items():
        word = words.get(name, name)
        size = lines.get(word, {}).get("BatchSize", DEFAULTS["BatchSize"])
        if isinstance(size, int) and size * max_bytes > MOST_BYTES:
            yield (
                f"{FILE}: Mappings, Streams, {word}: {size} bodies of {max_bytes:,} bytes from S3 are more than a batch"
                f" may hold; set BatchSize: {MOST_BYTES // max_bytes}"
            )


def _bad_words(words: Collection[str]) -> Iterator[str]:
    for word, count in Counter(words).items():
        if not re.fullmatch("[A-Za-z0-9]+", word):
            yield f"{FILE}: {LOOP}: {word} must have letters and digits only; the mapping gives its Name"
        if count > 1:
            yield f"{FILE}: {LOOP} has {word} {'twice' if count == 2 else f'{count} times'}"


def _bad_options(lines: Mapping[Any, Mapping[Any, Any]]) -> Iterator[str]:
    for word, options in lines.items():
        for problem in _problems(options):
            yield f"{FILE}: Mappings, Streams, {word}: {problem}"


def _problems(options: Mapping[Any, Any]) -> Iterator[str]:
    for option, value in options.items():
        if option not in OPTIONS:
            yield f"there is no option {option}; there are {', '.join(OPTIONS)}"
        elif (allowed := OPTIONS[option]) and (type(value) is not int or value not in allowed):
            yield f"{option} must be a whole number from {allowed.start} to {allowed.stop - 1}"
            return
    number = {**DEFAULTS, **options}
    if number["BatchSize"] > 10 and not number["WindowSeconds"]:
        yield "a BatchSize above 10 needs a WindowSeconds of 1 or more"
    if number["MinimumPollers"] > number["MaximumPollers"]:
        yield "MinimumPollers must not be above MaximumPollers"


def _bad_queues(lines: Mapping[Any, Mapping[Any, Any]]) -> Iterator[str]:
    for word, queue in [(word, str(options["Queue"])) for word, options in lines.items() if "Queue" in options]:
        place = f"{FILE}: Mappings, Streams, {word}: the queue {queue}"
        if queue.endswith(".fifo"):
            yield f"{place} would be no FIFO queue: the template makes standard queues; leave out .fifo"
        elif not re.fullmatch("[A-Za-z0-9_-]+", queue):
            yield f"{place} must have letters, digits, _ and - only"


def _without_the_other(named: Mapping[str, Any], names: Collection[str], routed: Collection[str]) -> Iterator[str]:
    for name in names:
        words = [word for word, found in named.items() if found == name]
        if not words and name not in routed:
            yield f"{name}: {FILE} has no word for it in {LOOP}, so it would have no queue"
        if len(words) > 1:
            count = "two" if len(words) == 2 else len(words)
            yield f"{name}: {FILE} has {count} words for it in {LOOP}: {', '.join(words)}"
    for word, name in named.items():
        if name not in names:
            yield f"{FILE}: {LOOP} has {word}, but there is no layers/streams/{name}.py"
