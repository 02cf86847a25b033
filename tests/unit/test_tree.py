"""Trees: which path a value goes by, what is kept of an object with any keys, and what is refused, and where."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from sluice.declaration import witness
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import CaseFolded, Each, Email, Integer, IpAddress, Number, Rule, Text, Timestamp
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Part, Stream, derived
from sluice.declaration.tree import Tree, Use
from sluice.failures import DeclarationError, Rejected, Unforeseen
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import KINDS, Kind, declare

TEXT = Text(max=9)
CLEAR = "kn4ry"  # in no path, key or rule that is declared here


def stream_of(tree: Any, *masks: Mask, type_: Any = dict[str, Any], **defaults: Any) -> type[Stream]:
    """Return a stream with the tree alone."""
    made: type[Stream] = declare(Stream, {"props": Annotated[type_, tree, *masks]}, defaults, table="declared")
    return made


def cells(stream: type[Stream], props: Any, keyset: Keyset) -> tuple[Any, ...]:
    text = props if isinstance(props, str) else json.dumps(props)
    return stream.masker(keyset)(f'{{"props": {text}}}').cells


def kept(tree: Tree, props: Any, keyset: Keyset) -> Any:
    """Return what is in the column of a tree."""
    return json.loads(str(cells(stream_of(tree), props, keyset)[0]), parse_float=Decimal)


def refusal(tree: Tree, props: Any, keyset: Keyset) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        cells(stream_of(tree), props, keyset)
    return caught.value.reason, caught.value.pointer


# What is kept


def test_what_no_path_leads_to_is_dropped_with_its_key(keyset: Keyset) -> None:
    tree = Tree({"/utm/source": TEXT, "/plan": TEXT})
    props = {"plan": "pro", "utm": {"source": "x", CLEAR: 1}, CLEAR: {"plan": CLEAR}, "list": [CLEAR], "null": None}
    assert kept(tree, props, keyset) == {"plan": "pro", "utm": {"source": "x"}}


@pytest.mark.parametrize(
    ("path", "props", "found"),
    [
        ("/a/b", {"a": {"b": "x", "c": "y"}, "b": "y"}, {"a": {"b": "x"}}),
        ("/a/1", {"a": {"1": "x", "2": "y"}}, {"a": {"1": "x"}}),
        ("/a/1", {"a": ["y", "x", "y"]}, {"a": [None, "x", None]}),
        ("/a/*", {"a": {"b": "x", "c": "y"}, "d": {"b": "z"}}, {"a": {"b": "x", "c": "y"}}),
        ("/a/*", {"a": ["x", "y"]}, {"a": ["x", "y"]}),
        ("/*", {"a": "x", "b": "y"}, {"a": "x", "b": "y"}),
        ("/*/b", {"a": {"b": "x"}, "b": "y", "c": {"d": {"b": "y"}}}, {"a": {"b": "x"}}),
        ("/a/*/b", {"a": [{"b": "x", "c": "y"}, {"c": "y"}, "y", [], {"b": None}]},
         {"a": [{"b": "x"}, None, None, None, {"b": None}]}),
        ("/**/b", {"a": {"b": "x"}, "b": "y", "c": [[{"b": "z", "d": "y"}]], "e": {"f": {}}},
         {"a": {"b": "x"}, "b": "y", "c": [[{"b": "z"}]]}),
        ("/a/**", {"a": {"b": {"c": "x"}, "d": [], "e": [["y"]]}, "f": "y"},
         {"a": {"b": {"c": "x"}, "d": [], "e": [["y"]]}}),
        ("/a/**", {"a": "x"}, {"a": "x"}),
        ("/a/**/b", {"a": {"b": "x", "c": {"b": "y", "d": "z"}}}, {"a": {"b": "x", "c": {"b": "y"}}}),
        ("/**", {"a": {"b": {}}, "c": [[], "x"]}, {"a": {"b": {}}, "c": [[], "x"]}),
        ("/~*", {"*": "x", "a": "y"}, {"*": "x"}),
        ("/~*~*/a*", {"**": {"a*": "x", "ab": "y"}}, {"**": {"a*": "x"}}),
        ("/a~1b/~0~01", {"a/b": {"~~1": "x"}, "a": "y"}, {"a/b": {"~~1": "x"}}),
        ("/", {"": "x", "a": "y"}, {"": "x"}),
        ("/é", {"é": "x"}, {"é": "x"}),
    ],
)  # fmt: skip
def test_a_path_leads_to_values(path: str, props: Any, found: Any, keyset: Keyset) -> None:
    assert kept(Tree({path: TEXT}), props, keyset) == found


@pytest.mark.parametrize(
    ("paths", "first"),
    [
        (["/a/b", "/a/*"], True),
        (["/a/b", "/**/b"], True),
        (["/a/b", "/*/b"], True),
        (["/*/b", "/a/*"], True),  # the last step counts most: it says what a value is
        (["/**/b", "/a/*"], True),
        (["/**/b", "/a/**"], True),
        (["/*/b", "/**/b"], True),
        (["/a/*", "/a/**"], True),
        (["/a/**", "/**"], True),
        (["/a/**", "/*/**"], True),
        (["/*/*", "/**"], True),
    ],
)
def test_the_most_specific_path_wins_wherever_it_is_declared(paths: list[str], first: bool, keyset: Keyset) -> None:
    for order in (paths, paths[::-1]):
        tree = Tree({path: Redact(constant=path) for path in order})
        assert kept(tree, {"a": {"b": "x"}}, keyset) == {"a": {"b": paths[0]}}


def test_of_two_paths_that_are_alike_the_earlier_one_wins(keyset: Keyset) -> None:
    assert kept(
        Tree({"/**/a/**": Redact(constant="1"), "/**/b/**": Redact(constant="2")}), {"a": {"b": 1}}, keyset
    ) == {"a": {"b": "1"}}


def test_an_object_where_a_path_ends_is_looked_into_if_another_path_leads_on_as_exactly(keyset: Keyset) -> None:
    tree = Tree({"/*": TEXT, "/address/city": TEXT, "/from": TEXT, "/from/name": TEXT, "/email": TEXT, "/**/ip": TEXT})
    assert kept(tree, {"address": {"city": "x"}, "from": {"name": "y"}}, keyset) == {
        "address": {"city": "x"},
        "from": {"name": "y"},
    }
    assert kept(tree, {"from": "y"}, keyset) == {"from": "y"}
    assert refusal(tree, {"email": {"ip": "x"}}, keyset) == ("wrong_type", "/props/email")
    assert refusal(tree, {"email": []}, keyset) == ("wrong_type", "/props/email")


@pytest.mark.parametrize(
    ("others", "found"),
    [
        (None, {"a": "x"}),
        (Keep(), {"a": "x", "b": {"c": 1.50, "d": [True, None, {}]}, "e": " "}),
        (Redact(constant="?"), {"a": "x", "b": {"c": "?", "d": ["?", None, {}]}, "e": "?"}),
        (Redact(), {"a": "x", "b": {"c": None, "d": [None, None, {}]}, "e": None}),
    ],
)
def test_what_becomes_of_others(others: Use, found: Any, keyset: Keyset) -> None:
    props = '{"a": "x", "b": {"c": 1.50, "d": [true, null, {}]}, "e": " "}'
    assert kept(Tree({"/a": TEXT}, others=others), props, keyset) == found


def test_others_may_have_tokens_or_a_rule(keyset: Keyset) -> None:
    token = keyset.pseudonymizer("thing")
    props = {"a": 1.50, "b": [True, "1.5"]}
    assert kept(Tree({}, others=Pseudonym(domain="thing")), props, keyset) == {
        "a": token("1.5"),
        "b": [token("true"), token("1.5")],
    }
    assert refusal(Tree({}, others=Text(max=1)), {"a": ["x", "yy"]}, keyset) == ("too_long", "/props/*/1")


def test_none_drops_what_is_there_with_all_that_is_in_it(keyset: Keyset) -> None:
    tree = Tree({"/a": None, "/**/secret": None, "/b/**": None, "/b/id": TEXT}, others=Keep())
    props = {"a": {"x": 1}, "b": {"id": "1", "x": {"y": 2}}, "c": [{"secret": {"x": 3}, "d": 4}], "secret": 5}
    assert kept(tree, props, keyset) == {"b": {"id": "1"}, "c": [{"d": 4}]}


@pytest.mark.parametrize("number", ["1.10", "-0.5", "12345678901234567890.123456789012345678901", "1e22", "0", "-7"])
def test_a_number_keeps_all_its_digits(number: str, keyset: Keyset) -> None:
    (cell,) = cells(stream_of(Tree({"/n": Keep()})), f'{{"n": {number}}}', keyset)
    assert repr(json.loads(str(cell), parse_float=Decimal, parse_int=Decimal)) == repr({"n": Decimal(number)})


def test_of_a_key_that_comes_twice_the_last_value_counts(keyset: Keyset) -> None:
    assert kept(Tree({"/a": TEXT}), '{"a": 1, "a": "x"}', keyset) == {"a": "x"}


def test_null_is_kept_as_null_under_every_mask(keyset: Keyset) -> None:
    masks = {"/a": (Email(), Pseudonym()), "/b": (TEXT, Redact(constant="x")), "/c": (IpAddress(), Truncate())}
    assert cells(stream_of(Tree(masks)), {"a": None, "b": None, "c": None}, keyset) == (
        '{"a":null,"b":null,"c":null}',
        "{}",
    )


def test_a_tree_may_be_null_or_missing(keyset: Keyset) -> None:
    tree = Tree({"/a": (TEXT, Pseudonym())})
    stream = stream_of(tree, type_=dict[str, Any] | None, props=None)
    assert cells(stream, "null", keyset) == stream.masker(keyset)("{}").cells == (None, None)
    assert stream_of(tree, props={}).masker(keyset)("{}").cells == ("{}", "{}")


# Masks


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_every_rule_and_mask_makes_in_a_tree_what_it_makes_in_a_list_of_objects(kind: Kind, keyset: Keyset) -> None:
    masks: list[Mask] = [Keep(), Pseudonym(), Redact(), Redact(constant="x"), Keep(as_=lambda value: f"kept {value}")]
    for mask in [*masks, *([Truncate(to=kind.to)] if kind.short is not None else [])]:
        for rule, given in (kind.rule, kind.given), (Each(kind.rule), f"[{kind.given}, {kind.given}]"):
            part = declare(Part, {"field": Annotated[rule.makes, rule, mask]})
            parts = declare(Stream, {"parts": list[part]}, table="declared")  # type: ignore[valid-type]
            (wanted,) = parts.masker(keyset)(f'{{"parts": [{{"field": {given}}}]}}').cells
            tree = cells(stream_of(Tree({"/a/*/field": (rule, mask)})), f'{{"a": [{{"field": {given}}}]}}', keyset)[0]
            assert tree == f'{{"a":{wanted}}}'


def test_the_tokens_inside_of_a_tree_stand_in_an_array_for_each_domain(keyset: Keyset) -> None:
    email, ip = keyset.pseudonymizer("email"), keyset.pseudonymizer("ip")
    find = Scrub(Find(Email(), Pseudonym(domain="email", recoverable=True)))
    tree = Tree(
        {
            "/email": (Email(), Pseudonym(recoverable=True)),
            "/cc": (Each(Email()), Pseudonym(domain="email")),
            "/**/ip": (IpAddress(), Pseudonym("addresses")),
            "/text": (Text(max=99), find),
        }
    )
    stream = stream_of(tree)
    assert [column for column, _ in stream.columns()] == ["props", "props_email", "addresses"]
    props = {"email": "a@x.org", "cc": ["b@x.org", "a@x.org"], "x": [{"ip": "192.0.2.7"}], "text": "<c@x.org>"}
    masked = stream.masker(keyset)(json.dumps({"props": props}))
    a, b, c = map(email, ["a@x.org", "b@x.org", "c@x.org"])
    assert json.loads(str(masked.cells[0])) == {
        "email": a,
        "cc": [b, a],
        "x": [{"ip": ip("192.0.2.7")}],
        "text": f"<{c}>",
    }
    assert masked.cells[1:] == (f'{{"{a}","{b}","{c}"}}', f'{{"{ip("192.0.2.7")}"}}')
    assert {(one.token, one.value) for one in masked.originals.values} == {(a, "a@x.org"), (c, "c@x.org")}


def test_in_a_list_of_objects_the_arrays_are_members_and_of_their_own_object(keyset: Keyset) -> None:
    part = declare(Part, {"props": Annotated[dict[str, Any], Tree({"/email": (Email(), Pseudonym())})]})
    stream = declare(Stream, {"parts": list[part]}, table="declared")  # type: ignore[valid-type]
    a, b = map(keyset.pseudonymizer("email"), ["a@x.org", "b@x.org"])
    bodies = [{"props": {"email": "a@x.org"}}, {"props": {"email": "b@x.org", CLEAR: CLEAR}}, {"props": {}}]
    (cell,) = stream.masker(keyset)(json.dumps({"parts": bodies})).cells
    assert json.loads(cell) == [
        {"props": {"email": a}, "props_email": [a]},
        {"props": {"email": b}, "props_email": [b]},
        {"props": {}, "props_email": []},
    ]


def test_a_derived_column_sees_the_canonical_values_of_what_is_kept(keyset: Keyset) -> None:
    seen = []

    class Event(Stream, table="events"):
        props: Annotated[
            dict[str, Any],
            Tree({"/at": Timestamp(), "/email": (CaseFolded(max=99), Pseudonym()), "/n/*": Number(4, 2)}),
        ]

        @derived
        def size(self) -> int:
            seen.append(self.props)
            return len(self.props)

    Event.masker(keyset)(
        f'{{"props": {{"at": 1769903999, "email": "A@X", "n": [1, {{}}], "{CLEAR}": 1}}}}'.replace(", {}", "")
    )
    assert seen == [{"at": datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), "email": "a@x", "n": [Decimal("1.00")]}]


def test_kept_keys_that_no_path_names_go_by_the_rule_for_keys(keyset: Keyset) -> None:
    tree = Tree({"/*": TEXT, "/Named": TEXT}, keys=CaseFolded(max=5))
    assert kept(tree, {" ABC ": "x", "Named": "y"}, keyset) == {"abc": "x", "Named": "y"}
    assert refusal(tree, {CLEAR + "!": "x"}, keyset) == ("too_long", "/props/*")
    assert kept(Tree({"/a": TEXT}, keys=Text(max=1)), {CLEAR: "x"}, keyset) == {}


# What is refused


@pytest.mark.parametrize(
    ("props", "reason", "pointer"),
    [
        ("null", "null", ""),
        *[(value, "wrong_type", "") for value in ("[]", '"x"', "1", "true")],
        ('{"email": "x"}', "not_an_email_address", "/email"),
        ('{"email": 1}', "wrong_type", "/email"),
        ('{"email": {"kn4ry": 1}}', "wrong_type", "/email"),
        ('{"items": [{"n": 1}, {"n": "x"}]}', "wrong_type", "/items/1/n"),
        ('{"items": {"kn4ry": {"n": 1.5}}}', "wrong_type", "/items/*/n"),
        ('{"kn4ry": [[{"ip": "x"}]]}', "not_an_ip_address", "/*/0/0/ip"),
        ('{"tags": ["x", null]}', "null", "/tags/1"),
        ('{"tags": ["x", {"kn4ry": 1}]}', "wrong_type", "/tags/1"),
        ('{"tags": {"kn4ry": 1}}', "wrong_type", "/tags"),
        ('{"any": {"kn4ry": "a\\u0000"}}', "nul_character", "/any/*"),
        ('{"any": {"kn4ry\\u0000": 1}}', "nul_character", "/any/*"),
        ('{"any": {"kn4ry": {}}}', "wrong_type", "/any/*"),
        ('{"any": {"kn4ry": 1e1001}}', "out_of_range", "/any/*"),
        ('{"any": {"kn4ry": 1e99999999999999999999}}', "out_of_range", "/any/*"),
        ('{"any": {"kn4ry": ' + "9" * 1001 + "}}", "too_precise", "/any/*"),
        ('{"at": 1e400}', "wrong_type", "/at"),
        ('{"a~b/c": ""}', "empty", "/a~0b~1c"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_value_that_breaks_its_rule_is_refused_at_a_pointer_of_declared_keys(
    props: str, reason: str, pointer: str, keyset: Keyset
) -> None:
    for mask in (Keep(), Redact(), Pseudonym(domain="d")):
        rules: dict[str, Rule] = {
            "/email": Email(), "/items/*/n": Integer(), "/**/ip": IpAddress(), "/tags": Each(TEXT), "/at": Timestamp(),
            "/a~0b~1c": TEXT,
        }  # fmt: skip
        tree = Tree({path: (rule, mask) for path, rule in rules.items()} | {"/any/*": mask})
        assert refusal(tree, props, keyset) == (reason, f"/props{pointer}")


@pytest.mark.parametrize("props", ['{"a": "\\ud800 xyzxyzxyz"}', '{"a": 01}', '{"a": "x"', '{"\\ud800 xyzxyz": 1}'])
def test_what_is_no_json_is_refused_whether_it_is_kept_or_not(props: str, keyset: Keyset) -> None:
    for path in ("/a", "/b"):
        with pytest.raises(Rejected) as caught:
            cells(stream_of(Tree({path: TEXT})), props, keyset)
        assert caught.value.reason == "not_json"


def test_bounds_hold_for_what_is_kept_and_that_of_bytes_for_what_comes(keyset: Keyset) -> None:
    tree = Tree({"/a/**": TEXT}, max_bytes=40, max_keys=3, max_depth=3)
    assert kept(tree, {"a": {"b": ["x"]}}, keyset) == {"a": {"b": ["x"]}}
    assert refusal(tree, {"a": {"b": [[]]}}, keyset) == ("nested_too_deeply", "/props/a/*/0")
    assert refusal(tree, {"a": {"b": ["x", "y"]}}, keyset) == ("too_many", "/props/a")
    assert refusal(tree, {"c": "x" * 40}, keyset) == ("too_long", "/props")
    assert kept(tree, {"c": [[[[]]], 1, 2, 3, 4]}, keyset) == {}


@pytest.mark.parametrize("deep", ["[" * 100_000 + "]" * 100_000, '{"a":' * 500 + "1" + "}" * 500])
def test_what_is_nested_very_deeply_is_refused(deep: str, keyset: Keyset) -> None:
    tree = Tree({"/a/**": TEXT}, max_bytes=1_000_000)
    assert refusal(tree, f'{{"a": {deep}}}', keyset)[0] == "nested_too_deeply"


# The declaration


def test_the_example_has_a_value_at_each_path_without_wildcards_as_far_as_bounds_allow(keyset: Keyset) -> None:
    rules: dict[str, Use] = {f"/a/{name}": kind.rule for name, kind in KINDS.items() if name != "custom"}
    others: dict[str, Use] = {
        "/b/*": TEXT,
        "/c": None,
        "/d": (Email(), Pseudonym()),
        "/d/e": TEXT,
        "/f": Keep(),
        "/~*": Each(TEXT),
    }
    tree = Tree(rules | others)
    example = tree.example
    assert example.keys() == {"a", "d", "f", "*"}
    assert {f"/a/{name}" for name in example["a"]} == rules.keys()
    assert kept(tree, example, keyset).keys() == example.keys()
    assert Tree(rules | others, max_keys=3).example == Tree(rules | others, max_depth=1).example == {}


def test_an_own_rule_that_fails_of_its_own_example_fails_the_witness(keyset: Keyset) -> None:
    class Failing(Text):
        def canonical(self, value: str, /) -> str:
            raise KeyError(value)

    with pytest.raises(Unforeseen):
        witness.mask(stream_of(Tree({"/a": Failing(max=9)})), keyset)
    assert witness.mask(stream_of(Tree({"/a": (TEXT, Pseudonym())})), keyset).cells[0] != "{}"


class Ones(Rule):
    """Takes an object of a user's own."""

    accepts = dict[str, int]

    def canonical(self, value: dict[str, int], /) -> dict[str, int]:
        return {key: value[key] // value[key] for key in value}


def test_a_rule_of_ones_own_may_take_a_whole_object(keyset: Keyset) -> None:
    tree = Tree({"/ones": Ones(), "/**/ip": IpAddress()})
    assert kept(tree, {"ones": {"a": 5}}, keyset) == {"ones": {"a": 1}}
    assert refusal(tree, {"ones": {CLEAR: "x"}}, keyset) == ("wrong_type", "/props/ones")
    assert refusal(tree, {"ones": {CLEAR: 0}}, keyset) == ("internal_error", "/props/ones")


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (lambda: Tree({}), "Tree keeps nothing: name a path, or what becomes of the others"),
        (lambda: Tree(["/a"]), 'Tree takes a dict of paths: {"/email": (Email(), Pseudonym())}'),  # type: ignore[arg-type]
        (lambda: Tree({1: TEXT}), 'Tree takes a dict of paths: {"/email": (Email(), Pseudonym())}'),  # type: ignore[dict-item]
        (lambda: Tree({"email": TEXT}), "the path 'email' must begin with /"),
        (lambda: Tree({"": TEXT}), "the path '' must begin with /"),
        (lambda: Tree({"/a~b": TEXT}), "the step 'a~b' of a path must write ~ as ~0"),
        (lambda: Tree({"/a/**/**": TEXT}), "the path '/a/**/**' has ** twice in a row; once says the same"),
        (lambda: Tree({"/a\0": TEXT}), "a path has U+0000, which PostgreSQL does not store"),
        (lambda: Tree({"/a": "x"}), "the path '/a' needs a rule, a mask, or a rule and one mask"),  # type: ignore[dict-item]
        (lambda: Tree({"/a": (TEXT, Keep(), Redact())}), "the path '/a' needs a rule, a mask, or a rule and one mask"),  # type: ignore[dict-item]
        (lambda: Tree({"/a": (TEXT,)}), "the path '/a' needs a rule, a mask, or a rule and one mask"),  # type: ignore[dict-item]
        (lambda: Tree({"/a": Text}), "the path '/a' needs a rule, a mask, or a rule and one mask"),  # type: ignore[dict-item]
        (lambda: Tree({"/a": (KINDS["boolean"].rule, Truncate())}),
         "/a: Boolean has no shorter form: Truncate does not go with it"),
        (lambda: Tree({"/a": Truncate()}), "/a: Truncate needs a rule beside it"),
        (lambda: Tree({"/a": Scrub(Find(Email(), Redact()))}), "/a: Scrub needs a rule beside it"),
        (lambda: Tree({"/a": Integer(min=1, max=0)}), "/a: Integer has a min above its max"),
        (lambda: Tree({"/a": (TEXT, Keep("b"))}), "/a: Keep names a column, but stays in that of the tree"),
        (lambda: Tree({"/*": (TEXT, Pseudonym())}),
         '/*: no key says what its tokens are of; name it: Pseudonym(domain="…")'),
        (lambda: Tree({"/a": (TEXT, Pseudonym(domain="x" * 65))}), "a domain has at most 64 characters"),
        (lambda: Tree({"/a": Tree({"/b": TEXT})}), "/a: a Tree goes in no Tree; name its paths in the outer one"),
        (lambda: Tree({"/a/**": Each(TEXT)}), "/a/**: ** leads to single values, which Each does not take"),
        (lambda: Tree({"/**": TEXT}, others=Keep()),
         "Tree says twice what becomes of all others: with others and at /**"),
        (lambda: Tree({"/a": TEXT}, keys=Integer()), "Tree needs a rule of texts for its keys"),
        (lambda: Tree({"/a": TEXT}, max_depth=101), "Tree has 1 to 100 levels, at least 2 bytes and at least 1 key"),
        (lambda: Tree({f"/**/{key}/*/*/*/*/*/*/*/*": TEXT for key in "abcdefgh"}),
         "the paths can be combined in too many ways; use fewer with **"),
        (lambda: Each(Tree({"/a": TEXT})), "Each takes no Tree: declare a list of a Part that has the Tree"),
    ],
)  # fmt: skip
def test_a_tree_that_cannot_hold_is_no_declaration(tree: Any, told: str) -> None:
    made = tree()
    with pytest.raises(DeclarationError) as caught:
        stream_of(made, type_=made.makes)
    assert str(caught.value) == f"Declared.props: {told}"


@pytest.mark.parametrize("mask", [Redact(), Pseudonym(), Truncate(to=1), Keep(as_=str)])
def test_no_mask_goes_beside_a_tree(mask: Mask, keyset: Keyset) -> None:
    with pytest.raises(DeclarationError) as caught:
        stream_of(Tree({"/a": TEXT}), mask)
    told = 'Tree has its masks inside, one for each path; beside it goes Keep("column") alone'
    assert str(caught.value) == f"Declared.props: {told}"
    stream = stream_of(Tree({"/a": (TEXT, Pseudonym())}), Keep("kept"))
    assert [column for column, _ in stream.columns()] == ["kept", "props_a"]


def test_a_default_must_be_one_that_the_tree_takes() -> None:
    with pytest.raises(DeclarationError, match=r"^Declared.props: the default is nothing that Tree takes$"):
        stream_of(Tree({"/a": TEXT}), props=msgspec.field(default_factory=lambda: {"a": ""}))


@pytest.mark.parametrize("option", ["subject", "identity", "time"])
def test_a_tree_says_neither_whose_a_record_is_nor_which(option: str) -> None:
    members = {"props": Annotated[dict[str, Any], Tree({"/a": TEXT})]}
    with pytest.raises(DeclarationError, match=f"the {option} props is no field with a single value"):
        declare(Stream, members, None, table="t", **{option: "props"})
