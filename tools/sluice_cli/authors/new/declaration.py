"""Writes the module that declares a planned stream, and loads the stream from that text."""

import re
import subprocess  # nosec B404
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from sluice.declaration.rules import Each
from sluice.declaration.stream import Stream
from tools.project import PROJECT
from tools.sluice_cli.authors.marks import MARK
from tools.sluice_cli.authors.new.names import literal
from tools.sluice_cli.authors.new.plan import FieldPlan, Member, ObjectPlan, TreePlan, UnionPlan
from tools.sluice_cli.authors.new.wrapping import Wrapping

LONGEST_HEAD = 120  # characters, as ruff wants it
LONGEST_LINE = LONGEST_HEAD - len("    ")
ONE_RECORD = Wrapping(())  # in each message
CALLED = re.compile(r"\b([A-Z]\w+)\(")  # in a mask: itself, and what is in it
SMALL_NAMES = """

Fields are named as columns are: in small letters with underscores, so that SQL needs no quotes around a name.
`rename` and `name` say what records call them.
"""
RENAMES = ("camel", "pascal", "kebab")  # of msgspec, for all keys of an object


def source(
    name: str, plan: ObjectPlan, envelope: str, named: Mapping[str, Sequence[str]], wrapping: Wrapping = ONE_RECORD
) -> str:
    """Return the module's text, formatted as `make check` wants it; `named` are paths by the stream's option."""
    classes = _Classes(_date(plan))
    options = [f'table="{name}"', *(f"{option}={_paths(paths)}" for option, paths in named.items() if paths)]
    options.append(_rename_option(plan))
    options.append(f"envelope={envelope}" if envelope != "plain" else "")
    options += wrapping.options()
    mark = f"  # {MARK} {wrapping.doubt}" if wrapping.doubt else ""
    listed = ", ".join(["Stream", *filter(None, options)])
    head = f"class {plan.class_name}({listed}):{mark}"
    if mark and len(head) > LONGEST_HEAD:  # with the comma it has many lines, also once the mark is deleted
        head = f"class {plan.class_name}({listed},):{mark}"
    stream = f'{head}\n    """A record of the stream `{name}`."""\n\n{classes.body(plan)}\n'
    body = "\n\n".join([*classes.texts, stream])
    about = f"The stream `{name}`, as its samples show it.{SMALL_NAMES if classes.is_renamed else ''}"
    return formatted(f'"""{about}"""\n\n{_imports(plan, body, envelope)}\n\n{body}')


def _paths(paths: Sequence[str]) -> str:
    texts = [f'"{path}"' for path in paths]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def load(name: str, text: str) -> type[Stream]:
    """Return the stream that a module's text declares; nothing of it stays behind."""
    module_name = f"streams.{name}"
    with TemporaryDirectory(prefix="sluice-") as folder:
        path = Path(folder, f"{name}.py")
        path.write_text(text)
        spec = spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise ImportError(module_name)
        module = module_from_spec(spec)
        sys.modules[module_name] = module  # annotations are looked up there
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[module_name]
    declared: type[Stream] = next(
        one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Stream) and one is not Stream
    )
    return declared


def formatted(text: str) -> str:
    """Return a module's text as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--config", str(PROJECT / "pyproject.toml"), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # nosec B603


def _imports(plan: ObjectPlan, body: str, envelope: str) -> str:
    fields = list(plan.fields())
    made = {field.guess.rule.element.makes.__name__ for field in fields}
    lines = []
    if made & {"date", "datetime"}:
        day = "date" if _date(plan) == "date" else f"date as {_date(plan)}"
        types = [spelled for name, spelled in (("date", day), ("datetime", "datetime")) if name in made]
        lines.append(f"from datetime import {', '.join(types)}")
    if "Decimal" in made:
        lines.append("from decimal import Decimal")
    lines.append("from typing import Annotated" + ", Any" * ("Tree(" in body))
    if "msgspec.field(" in body:
        lines.append("\nimport msgspec")
    in_trees = [value for tree in plan.trees() for value in tree.paths.values()]
    values = [*fields, *in_trees]
    names = {name for value in values for mask in value.masks for name in CALLED.findall(mask)} | {"Stream"}
    ruled = [value for value in values if value.guess.source]
    names |= {type(value.guess.rule.element).__name__ for value in ruled}
    names |= {"NullIf"} if any(value.guess.has_blanks for value in ruled) else set()
    names |= {"Each"} if any(isinstance(value.guess.rule, Each) for value in ruled) else set()
    names |= {"Part"} if "(Part" in body else set()
    names |= {name for name in ("ByType", "Keep", "Tagged", "Tree") if f" {name}(" in body}
    constants = ["FROM_ENVELOPE"] if plan.around else []
    functions = [*([envelope] if envelope != "plain" else []), *(["listed"] if "records=listed(" in body else [])]
    ordered = [*constants, *sorted(names), *functions]
    return "\n".join([*lines, f"\nfrom sluice import {', '.join(ordered)}"])


def _date(plan: ObjectPlan) -> str:
    """Return how the module calls the type of dates: a field of its name would hide it."""
    return "calendar_date" if any(field.name == "date" for field in plan.fields()) else "date"


class _Classes:
    """The classes of a stream's objects, the inner ones first; objects that are alike have one class."""

    def __init__(self, date: str) -> None:
        self._date = date
        self.texts: list[str] = []
        self.is_renamed = False  # at least one field has its key in small letters for a name
        self._names: dict[tuple[str, str], str] = {}  # by options and body

    def body(self, plan: ObjectPlan) -> str:
        """Return the fields of an object's class; the classes of its own objects are added."""
        is_renamed = _rename_option(plan) != ""
        lines = [line for member in plan.members for line in (*self._whys(member), self._line(member, is_renamed))]
        return "\n".join(f"    {line}" for line in lines)

    def _whys(self, member: Member) -> Iterator[str]:
        """Yield why a field or its column is called otherwise than its key, a comment each."""
        self.is_renamed |= member.name != member.key and not member.why_name
        cases = [case for _, case in member.cases] if isinstance(member, UnionPlan) else [member]
        of_columns = [case.why_column for case in cases if isinstance(case, FieldPlan)]
        yield from (f"# {why}" for why in dict.fromkeys([member.why_name, *of_columns]) if why)

    def _part(self, plan: ObjectPlan, told: str = "") -> str:
        """Return the name of an object's class, which is added unless there is one like it; `told` says what it is."""
        key = options, body = _rename_option(plan), self.body(plan)
        if key not in self._names:
            self._names[key] = plan.class_name
            head = f"class {plan.class_name}({', '.join(filter(None, ['Part', options]))}):"
            told = told or f"{'An object in the list' if plan.many else 'The object'} `{plan.name}`"
            self.texts.append(f'{head}\n    """{told}."""\n\n{body}\n')
        return self._names[key]

    def _union(self, plan: UnionPlan) -> tuple[str, str]:
        """Return the type of a value of several shapes, and what decides for each."""
        types, cases = [], []
        for tag, case in plan.cases:
            if isinstance(case, ObjectPlan):
                told = f"What only records with the {plan.tag} `{tag}` have" if plan.inline else ""
                part = self._part(case, told)
                types.append(f"list[{part}]" if case.many else part)
                written = types[-1]
            else:
                types.append(re.sub(r"\bdate\b", self._date, case.guess.type))
                written = ", ".join([case.guess.source, *case.masks])
                written = f"({written})" if case.masks else written
            cases.append(f'"{tag}": {written}' if plan.tag else written)
        type_ = " | ".join(dict.fromkeys(types))
        decides = ", ".join(cases)
        return (
            f"list[{type_}]" if plan.many else type_,
            f'Tagged("{plan.tag}", {{{decides}}}{", inline=True" * plan.inline})' if plan.tag else f"ByType({decides})",
        )

    def _line(self, member: Member, is_renamed: bool) -> str:
        null, default = " | None" if member.optional else "", _default(member, is_renamed)
        if isinstance(member, TreePlan):
            return f"{member.name}: Annotated[dict[str, Any]{null}, Tree({{\n{_branches(member)}}})]{default}"
        if isinstance(member, ObjectPlan):
            if member.is_around:
                return f"{member.name}: Annotated[{self._part(member, 'What is around a record')}, FROM_ENVELOPE]"
            part = self._part(member)
            return f"{member.name}: {f'list[{part}]' if member.many else part}{null}{default}"
        if isinstance(member, UnionPlan):
            type_, source = self._union(member)
            inner, told = f"{type_}{null}, {source}", member.told
        else:
            type_ = re.sub(r"\bdate\b", self._date, member.guess.type) + null
            null_if = ['NullIf("blank")'] if member.guess.has_blanks else []
            inner = ", ".join([type_, member.guess.source, *null_if, *member.masks])
            told = member.concern.told if member.concern else ""
        mark = f"  # {MARK} {told}" if told else ""
        line = f"{member.name}: Annotated[{inner}]{default}{mark}"
        if len(line) <= LONGEST_LINE:
            return line
        # With the comma it has many lines, also once the mark is deleted.
        return f"{member.name}: Annotated[{inner},]{default}{mark}"


def _branches(plan: TreePlan) -> str:
    """Return the lines that name what a Tree keeps."""
    lines = []
    for path, value in plan.paths.items():
        uses = [*filter(None, [value.guess.source]), *value.masks] or ["Keep()"]
        use = f"({', '.join(uses)})" if len(uses) > 1 else uses[0]
        mark = f"  # {MARK} {value.concern.told}" if value.concern else ""
        lines.append(f"{literal(path)}: {use},{mark}\n")
    return "".join(lines)


def _rename_option(plan: ObjectPlan) -> str:
    rename = _rename(plan)
    return f'rename="{rename}"' if rename else ""


def _rename(plan: ObjectPlan) -> str:
    """Return the one way in which msgspec makes all keys of the names, if that is needed."""
    keys = {member.name: member.key for member in plan.own}
    if all(name == key for name, key in keys.items()):
        return ""
    for rename in RENAMES:
        made = msgspec.defstruct("Renamed", list(keys), rename=rename)  # type: ignore[arg-type]
        if made.__struct_encode_fields__ == tuple(keys.values()):
            return rename
    return ""


def _default(member: Member, is_renamed: bool) -> str:
    """Return what stands behind a field's annotation: what it is when it is missing, and what its key is called."""
    empty = member.many and not member.optional
    if is_renamed or member.name == member.key:
        return f" = {[] if empty else None}" if member.absent else ""
    options = [f"name={literal(member.key)}"]
    if member.absent:
        options.append("default_factory=list" if empty else "default=None")
    return f" = msgspec.field({', '.join(options)})"
