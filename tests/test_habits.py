"""What keeps a project in order and rots unseen: versions, templates, hooks and containers."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"
COMMUNITY = ("CODE_OF_CONDUCT.md", "SECURITY.md", ".github/pull_request_template.md")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text_of("Makefile"), flags=re.MULTILINE))


def missing_targets(command: str) -> set[str]:
    """Return what a command asks of make that the Makefile does not have."""
    asked = re.findall(r"\bmake((?: [a-z-]+)+)", command)
    return {target for targets in asked for target in targets.split()} - make_targets()


def workflow() -> dict:
    return yaml.safe_load(text_of(".github/workflows/ci.yml"))


def commands(job: str) -> list[str]:
    return [step["run"] for step in workflow()["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_tries_the_versions_of_python_that_pyproject_names():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert workflow()["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{named[0].replace('.', '')}"


def test_the_workflow_calls_the_script_of_ci_and_the_newest_versions_each_week():
    assert commands("test") == [".ci/run", "make html"]
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
    assert commands("newest") == ["make newest"]
    assert workflow()[True]["schedule"], "no weekly run"  # YAML reads the key `on` as true
    assert missing_targets("\n".join(commands("newest"))) == set()


def test_the_workflow_gives_reviewers_the_rendered_book():
    (step,) = [s for s in workflow()["jobs"]["test"]["steps"] if "upload-artifact" in str(s)]
    assert step["with"]["path"] == "_build/html"  # where `make html` puts it
    assert "_build/html" in text_of("tools/book.py")
    assert step["if"] == "matrix.python == '3.13'", "each Python would upload the same name"


def test_the_devcontainer_makes_the_environment_by_a_make_target():
    container = json.loads(text_of(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"].startswith("make ")
    assert missing_targets(container["postCreateCommand"]) == set()
    version = re.search(r"python:(3\.\d+)", container["image"])[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["project"]["classifiers"]


def test_a_target_that_make_lacks_is_found():
    assert missing_targets("make env; make no-such thing") == {"no-such", "thing"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *COMMUNITY])
def test_pages_name_only_targets_that_make_has(page):
    inline = "\n".join(re.findall(r"`(make [a-z- ]+?)`", text_of(page)))
    blocks = "\n".join(re.findall(r"^make [a-z-]+", text_of(page), flags=re.MULTILINE))
    assert missing_targets(inline) | missing_targets(blocks) == set()


@pytest.mark.parametrize("kind", ["bug", "idea", "question"])
def test_there_is_a_template_for_each_kind_of_issue(kind):
    form = yaml.safe_load((TEMPLATES / f"{kind}.yml").read_text(encoding="utf-8"))
    assert form["labels"] == [kind]
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids) >= 2
    assert any(part.get("validations", {}).get("required") for part in form["body"])


@pytest.mark.parametrize("name", COMMUNITY)
def test_the_community_pages_are_there_and_have_no_blanks(name):
    text = text_of(name)
    assert len(text.split()) > 40
    assert not re.search(r"\[INSERT|TODO|example\.(com|org)", text)


def test_pre_commit_runs_what_make_lint_runs_from_the_environment_alone():
    repos = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"], "another repository needs a network"
    hooks = repos[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    lint = text_of("Makefile").split("\nlint:")[1].replace("$(BIN)", ".venv/bin")
    for hook in hooks:
        words = hook["entry"].replace(" --force-exclude", "")
        assert words in lint, f"the hook {hook['id']} runs {words!r}, and `make lint` does not"


def test_lint_checks_the_types_of_the_public_surface():
    assert "$(BIN)/mypy\n" in text_of("Makefile").split("\nlint:")[1]
    settings = PROJECT["tool"]["mypy"]
    found = {file for pattern in settings["files"] for file in ROOT.glob(pattern)}
    packages = {*(ROOT / "vizer_core").glob("*/__init__.py"), ROOT / "vizer_core" / "__init__.py"}
    protocols = set((ROOT / "vizer_core").glob("*/protocol.py"))
    assert packages | protocols <= found
    assert any(
        word.startswith("mypy") for word in PROJECT["project"]["optional-dependencies"]["test"]
    )
    assert re.search(r"^mypy==", text_of("constraints.txt"), flags=re.MULTILINE)


def test_the_changelog_is_cut_by_release_and_its_newest_is_the_version():
    heads = re.findall(r"^## (.+)$", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert heads[0] == "Unreleased"
    releases = [re.fullmatch(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)", head) for head in heads[1:]]
    assert all(releases), f"wanted `## 1.2.3 (2026-11-29)`, got {heads[1:]}"
    versions = [tuple(map(int, found[1].split("."))) for found in releases]
    assert versions == sorted(versions, reverse=True)
    assert [found[2] for found in releases] == sorted((f[2] for f in releases), reverse=True)
    version = PROJECT["project"]["version"]
    assert releases[0][1] == version
    assert f"\nversion: {version}\n" in text_of("CITATION.cff")
    assert f"impl:vizer-core-{version}" in text_of("book/metrics_reference.md")
