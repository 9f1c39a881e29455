"""A config may name any file as its schema: one that is none is refused, and nothing of it is shown."""

from pathlib import Path

import pytest

CONFIG = "name: c\ninputs: {company: company}\noutputs: ../%s\nprocessor: core\n"
SAYS = "is no JSON Schema: expected an object with properties at its root"

OTHERS = {
    "lines-ending-in-colons": "hunter-two and more:\nanother-hunter-two:\n",
    "keys-and-values": "hunter-two: hunter-three\nuser: hunter-four\n",
    "a-key-twice": "hunter-two: 1\nhunter-two: 2\n",
    "keys-that-are-no-text": "12345678: hunter-two\n? [hunter-two]\n: b\n",
    "a-tag-and-a-merge": "a: !hunter-two b\n<<: hunter-two\n",
    "secrets": "hunter-two-api_key: sk-hunter-twohunter-twohunter-two\npassword: hunter-two\n",
    "a-reference": "b: {$schema: hunter-two, $id: hunter-two}\n",
    "a-type-of-its-own": "type: hunter-two\nkind: hunter-two\n",
    "an-alias": "a: *hunter-two\n",
    "a-flow": "a: {hunter-two\n",
    "a-list": "- hunter-two\n",
    "text": "hunter-two\n",
    "no-text": "hunter-two \x07\n",
    "not-utf-8": "hunter-two \udcff\n",
}


@pytest.mark.parametrize("name", ["hunter", "hunter.yaml", "hunter.json"])
@pytest.mark.parametrize("word", OTHERS)
def test_a_file_that_is_no_schema_is_not_quoted(word: str, name: str, command, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(OTHERS[word].encode(errors="surrogateescape"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/c.yaml").write_text(CONFIG % name)
    ended = command("check", "own/c.yaml")
    assert ended.code == 2
    for told in ("hunter-", "12345678", "password", "kind"):
        assert told not in ended.said
    assert f"own/../{name}" in ended.said


def test_it_says_what_was_expected(command, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(OTHERS["keys-and-values"])
    (tmp_path / "own").mkdir()
    (tmp_path / "own/c.yaml").write_text(CONFIG % "hosts")
    said = command("check", "own/c.yaml").said
    assert f"own/../hosts: {SAYS}" in said
    assert (
        "own/c.yaml:3: outputs: names a file that can't be used; a text here is the path of a JSON Schema file" in said
    )
