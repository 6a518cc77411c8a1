"""What a public host runs: the README's commands, with no more rights than they need, as linters see it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools import browser

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def settings(name: str) -> dict:
    """All as text, `on` and numbers too."""
    return yaml.load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(), Loader=yaml.BaseLoader)


def schema(*files: Path) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *map(str, files),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def zizmor(folder: Path) -> subprocess.CompletedProcess:
    program = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    command = [program, "--offline", "--no-progress", "--no-exit-codes", "--format=plain", "--color=never", str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_schema_and_the_linter_are_content():
    assert len(WORKFLOWS) == 2
    done = schema(*WORKFLOWS)
    assert done.returncode == 0, done.stdout
    done = zizmor(ROOT)
    assert "No findings to report" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "lint"),
    [
        ("runs-on: ubuntu", "runs-om: ubuntu", schema),
        ("workflow_dispatch:", "pull_request_target:", zizmor),
        ("actions/checkout@v6", "somebody/checkout@v6", zizmor),
        ("make matrix ENVIRONMENT=newest", "make matrix ENVIRONMENT=${{ github.head_ref }}", zizmor),
    ],
)
def test_a_planted_fault_is_found(tmp_path, right, wrong, lint):
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    path = tmp_path / ".github" / "workflows" / "newest.yml"
    text = path.read_text()
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong))
    done = lint(path if lint is schema else tmp_path)
    assert done.returncode if lint is schema else re.search(r"\b[1-9]\d* (low|medium|high)", done.stdout), done.stdout


def test_the_commands_are_the_readmes_on_two_systems_and_the_pages_come_from_main_alone():
    jobs = settings("book")["jobs"]
    lines = [step["run"] for step in jobs["commands"]["steps"] if "run" in step]
    assert [line.split("  #")[0] for line in lines] == ["make book", "make test"]
    machines = jobs["commands"]["strategy"]["matrix"]["include"]
    assert {machine["system"].partition("-")[0] for machine in machines} == {"ubuntu", "macos"}
    assert len({machine["python"] for machine in machines if "ubuntu" in machine["system"]}) == 2
    assert jobs["publish"]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    assert jobs["publish"]["needs"] == "commands"


def test_chrome_is_found_where_macos_has_it(monkeypatch, tmp_path):
    """By its whole path, with a space in it: nothing is on the PATH there."""
    assert browser.NAMES[-1].startswith("/Applications/")
    chrome = tmp_path / "Google Chrome"
    chrome.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(browser, "NAMES", (*browser.NAMES[:-1], str(chrome)))
    assert browser.find() == str(chrome)


def test_rights_are_those_that_are_needed():
    """None for a workflow as a whole; writing for the job that publishes, and nothing for it to read."""
    rights = {
        (path.stem, name): job["permissions"] for path in WORKFLOWS for name, job in settings(path.stem)["jobs"].items()
    }
    assert all(settings(path.stem)["permissions"] == {} for path in WORKFLOWS)
    assert rights.pop(("book", "publish")) == {"pages": "write", "id-token": "write"}
    assert list(rights.values()) == [{"contents": "read"}] * 2


def test_each_week_the_newest_dependencies_are_tried_without_the_pins():
    weekly = settings("newest")
    assert weekly["on"]["schedule"] == [{"cron": "17 4 * * 1"}]
    lines = [step["run"] for step in weekly["jobs"]["newest"]["steps"] if "run" in step]
    assert lines == ["make matrix ENVIRONMENT=newest TORCH_BACKEND=cpu"]


def test_pre_commit_runs_the_ruff_of_the_pins():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    (ruff,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert ruff["rev"] == f"v{pins['ruff']}"
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
