"""SSM's parameters by name, in pages of one."""

import json
from dataclasses import dataclass, field
from typing import Any

from tools.testing.aws.service import Service, refusal


@dataclass
class FakeParameters(Service):
    """Holds parameters; a page of them has one."""

    texts: dict[str, str] = field(default_factory=dict)

    def name_queues(self, stack: str, stream: str, queue: str, dead_letters: str) -> None:
        """Hold what the template says of a stream's queues."""
        self.texts[f"/sluice/{stack}/stream/{stream}"] = json.dumps({"queue": queue, "dead_letters": dead_letters})

    def get_parameter(self, *, Name: str) -> dict[str, Any]:
        self._call("GetParameter")
        if Name not in self.texts:
            raise refusal("ParameterNotFound", "GetParameter")
        return {"Parameter": {"Name": Name, "Value": self.texts[Name]}}

    def get_parameters_by_path(self, *, Path: str, Recursive: bool, NextToken: str = "0") -> dict[str, Any]:
        if NextToken == "0":
            self._call("GetParametersByPath")
        assert Recursive
        names = sorted(name for name in self.texts if name.startswith(f"{Path}/"))
        page, following = names[int(NextToken) : int(NextToken) + 1], int(NextToken) + 1
        more = {"NextToken": str(following)} if following < len(names) else {}
        return {"Parameters": [{"Name": name, "Value": self.texts[name]} for name in page], **more}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:
        self._call("PutParameter")
        assert (Type, Overwrite) == ("String", True)
        self.texts[Name] = Value
        return {"Version": 1}

    def delete_parameter(self, *, Name: str) -> dict[str, Any]:
        self._call("DeleteParameter")
        if Name not in self.texts:
            raise refusal("ParameterNotFound", "DeleteParameter")
        del self.texts[Name]
        return {}
