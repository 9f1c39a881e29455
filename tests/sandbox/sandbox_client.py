"""A client of a sandbox in the words of its calls, and the requests that all tests send."""

from typing import Any

import httpx
import msgspec

SCHEMA = {
    "type": "object",
    "properties": {
        "headquarters": {"type": "string", "description": "City and country."},
        "founded_year": {"type": ["integer", "null"], "description": "Year of foundation."},
        "products": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["headquarters", "founded_year", "products"],
    "additionalProperties": False,
}
SPEC = {"output_schema": {"type": "json", "json_schema": SCHEMA}}


class Sandbox:
    """A client of one sandbox, in the words of its calls."""

    def __init__(self, base_url: str, http: httpx.Client) -> None:
        self.base_url = base_url
        self.http = http

    def create_group(self) -> str:
        """A new group's id."""
        return self.http.post("/v1/tasks/groups", json={}).raise_for_status().json()["taskgroup_id"]

    def add(self, group: str, inputs: list[Any], **query: Any) -> httpx.Response:
        """The answer to adding runs with the usual spec."""
        body = {"inputs": inputs, "default_task_spec": SPEC}
        return self.http.post(f"/v1/tasks/groups/{group}/runs", json=body, params=query)

    def group_of(self, *inputs: Any) -> str:
        """The id of a new group with these runs."""
        group = self.create_group()
        self.add(group, list(inputs)).raise_for_status()
        return group

    def events(self, path: str, **query: Any) -> list[Any]:
        """All events of a stream, as their data."""
        text = self.http.get(path, params=query).raise_for_status().content
        return events_of(text)

    def listing(self, group: str, **query: Any) -> list[Any]:
        """All events of a group's listing."""
        return self.events(f"/v1/tasks/groups/{group}/runs", **query)

    def status(self, group: str) -> Any:
        """The status of a group."""
        return self.http.get(f"/v1/tasks/groups/{group}").raise_for_status().json()["status"]

    def bill(self) -> Any:
        """The service's bill."""
        return self.http.get("/sandbox/bill").raise_for_status().json()


def company(number: int, **more: Any) -> dict[str, Any]:
    """One run input; `more` replaces or adds keys."""
    task = {"input": {"company_name": f"Company {number}"}, "processor": "core"}
    return {**task, "metadata": {"enrich_task": f"task-{number}"}, **more}


def events_of(content: bytes) -> list[Any]:
    """The data of a well-formed event stream, one line an event."""
    lines = content.split(b"\n")
    return [msgspec.json.decode(line[6:]) for line in lines if line.startswith(b"data: ")]
