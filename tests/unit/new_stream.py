"""A project of the tests' own, in which `sluice new` may write."""

import shutil
from pathlib import Path

from sluice.declaration.registry import names
from tools.project import DECLARED
from tools.template import with_streams, word

TEMPLATE = """\
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]

Mappings:
  Streams: # what is not derived from a stream's word
    Logins: { Name: user_logins, Queue: login-queue }
    Orders: { Name: orders }

  Functions:
    Ingest: { Kebab: ingest }

Resources:
  # One block for every stream.
  Fn::ForEach::Streams:
    - Stream
    - [Logins, Orders] # yours go here
    - ${Stream}Queue:
        Type: AWS::SQS::Queue
"""


def template_of_declared() -> str:
    """Return the small template with the streams that are declared."""
    return with_streams(TEMPLATE, {word(name): {"Name": name} for name in names()})


def make_project(folder: Path) -> Path:
    """Copy the streams of the tests into a folder, with a small template, and return the folder."""
    shutil.copytree(DECLARED / "streams", folder / "layers" / "streams", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "events").mkdir()
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Return the text of each file in a folder, by its name from there."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in files}
