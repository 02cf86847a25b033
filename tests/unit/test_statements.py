"""SQL cut into statements: at each semicolon that ends one, and at no other."""

import pytest

from sluice.migrate.statements import statements
from tools.project import PROJECT

NO_ENDS = [
    "-- a; b\nSELECT 1",
    "SELECT 1 -- a; 'b\n",
    "/* ; ' */ SELECT 1",
    "SELECT ';', 'it''s; ', ';'",
    r"SELECT E'\'; ', e'\\'",
    r"SELECT '\', type';'",
    'SELECT 1 AS "a;""b;"',
    "DO $$ BEGIN NULL; END $$",
    "DO $a$ BEGIN PERFORM $$;$$; END $a$",
    "SELECT $1, a$b$ FROM c",
    "SELECT $é$;$é$",
]


@pytest.mark.parametrize("statement", NO_ENDS)
def test_a_semicolon_inside_of_something_ends_no_statement(statement: str) -> None:
    first, second = statements(f"{statement}\n;SELECT 2")
    assert first == f"{statement}\n;"
    assert (second.strip(), len(second)) == ("SELECT 2", len(first) + 8)


def test_a_statement_stands_where_it_stood() -> None:
    assert [*statements("a;\nb c\n;;d\n")] == ["a;", "  \nb c\n;", "  \n   \n ;", "  \n   \n  d\n"]


def test_nothing_is_lost_of_the_migrations_that_there_are() -> None:
    for file in PROJECT.glob("layers/**/*.sql"):
        sql = file.read_text()
        assert "".join("".join(statements(sql)).split()) == "".join(sql.split())
