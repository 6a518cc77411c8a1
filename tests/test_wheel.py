"""What is published: the wheel in an environment that has what it asks for and nothing else, and its page."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from vsbook import ledger
from vsbook.ledger import claims, finding, measured, result, verdict, why

ROOT = Path(ledger.__file__).parent.parent
EXTRAS = {"freia": "invertible", "ipywidgets": "widgets"}


def build(kind: str, source: Path, folder: Path) -> Path:
    """A wheel or an sdist of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel) -> Metadata:
    """As an index reads it; what it would refuse is an error here."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(files.read(name), validate=True)


def needed(requirements: list[Requirement]) -> list[Distribution]:
    """What these ask for, and what that asks for in turn."""
    found, queue = {}, list(requirements)
    while queue:
        asked = queue.pop()
        key = asked.name, frozenset(asked.extras)
        if key not in found:
            found[key] = distribution(asked.name)
            inner = map(Requirement, found[key].requires or ())
            queue += [r for r in inner if applies(r, asked.extras)]
    return list(found.values())


def applies(requirement: Requirement, extras) -> bool:
    """Whether it holds here, with these extras."""
    return not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


@pytest.fixture(scope="module")
def bare(wheel, metadata, tmp_path_factory) -> Path:
    """The folder of the programs of a new environment: the wheel, and this one's copies of what it requires, linked.

    Linked, since PyTorch with CUDA takes gigabytes; only what the wheel declares, so that what it forgets is missing.
    """
    folder = tmp_path_factory.mktemp("bare")
    libraries = folder / "libraries"
    libraries.mkdir()
    for found in needed([r for r in metadata.requires_dist if applies(r, ())]):
        tops = {file.parts[0] for file in found.files} - {"..", "__pycache__"}
        for top in tops - {path.name for path in libraries.iterdir()}:
            (libraries / top).symlink_to(found.locate_file(top))
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    site = output(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
    output(
        programs / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", folder=folder
    )  # venv's, old
    (Path(site.strip()) / "libraries.pth").write_text(f"{libraries}\n")
    output(programs / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, folder=folder)
    return programs


def output(*command, folder: Path) -> str:
    """What a program prints, run as by someone who knows nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"COLUMNS": "120", "MPLBACKEND": "agg"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_environment_is_whole_and_has_no_extras(bare, tmp_path):
    assert "No broken requirements" in output(bare / "python", "-m", "pip", "check", folder=tmp_path)
    listed = output(bare / "python", "-m", "pip", "list", "--format=freeze", folder=tmp_path)
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert {"vsbook", "torch", "scipy"} <= names
    assert not {*EXTRAS, "pytest", "jupyter-book", "pyyaml"} & names


def test_the_import(bare, tmp_path):
    code = "import sys, vsbook; print(vsbook.__file__, vsbook.__version__, 'torch' in sys.modules)"
    file, version, torch = output(bare / "python", "-c", code, folder=tmp_path).split()
    assert Path(file).is_relative_to(bare.parent)
    assert (version, torch) == (distribution("vsbook").version, "False")


def test_every_room_is_there_and_needs_no_extra(bare, tmp_path):
    code = "import importlib, pkgutil, vsbook\nfor m in pkgutil.walk_packages(vsbook.__path__, 'vsbook.'): "
    code += "print(importlib.import_module(m.name).__name__)"
    rooms = output(bare / "python", "-c", code, folder=tmp_path).split()
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "vsbook").rglob("*.py")]
    assert set(rooms) == {".".join(path.parts).removesuffix(".__init__") for path in paths} - {"vsbook"}


def test_the_command(bare, tmp_path):
    assert "Usage: vsbook" in output(bare / "vsbook", "--help", folder=tmp_path)
    assert "Usage: " in output(bare / "python", "-m", "vsbook", "--help", folder=tmp_path)
    said = output(bare / "vsbook", "ledger", folder=tmp_path)
    assert [line.split(": ")[0] for line in said.splitlines() if not line.startswith(" ")] == list(claims())
    one = "fcnn1-condition-number"
    assert output(bare / "vsbook", "ledger", one, folder=tmp_path).splitlines() == [
        f"{one}: {verdict(one)}",
        f"    stated 7.22; measured {measured(one)}",
        *(f"    {line}" for line in (claims()[one].statement, *finding(one), claims()[one].measure, why(one))),
    ]


def test_a_network_and_the_data(bare, tmp_path):
    """The shipped network's accuracy on the shipped images is the ledger's: two images of 10,000 may be close."""
    code = "from vsbook.networks import evaluate, load, logits, mnist\n"
    code += "print(logits(load('fcnn1'), mnist().test.images).shape, evaluate(load('fcnn1'), mnist().test))"
    *shape, accuracy = output(bare / "python", "-c", code, folder=tmp_path).split()
    assert " ".join(shape) == "torch.Size([10000, 10])"
    assert 100 * float(accuracy) == pytest.approx(result("fcnn1-test-accuracy")["runs"][0]["value"], abs=0.02)


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("freia", "from vsbook.networks import load; load('invertible')"),
        ("ipywidgets", "from vsbook import plots; plots.with_alt(plots.plt.figure(), 'nothing')"),
    ],
)
def test_without_an_extra_the_error_says_what_to_install(bare, tmp_path, package, use):
    code = f"from vsbook.checks import BadInput\ntry:\n    {use}\nexcept BadInput as error: print(error)"
    assert output(bare / "python", "-c", code, folder=tmp_path).endswith(
        f"found none; install it: pip install {package}\n"
    )


def test_the_extras_have_what_the_errors_name(metadata):
    for package, extra in EXTRAS.items():
        for chosen, there in (("", False), (extra, True), ("book", True)):
            assert (package in {r.name for r in metadata.requires_dist if applies(r, [chosen])}) is there


def contents(path: Path) -> dict[str, int]:
    """The files of a wheel, with their checksums."""
    with zipfile.ZipFile(path) as files:
        return {entry.filename: entry.CRC for entry in files.infolist() if not entry.filename.endswith("RECORD")}


def test_the_sdist_makes_the_same_wheel(wheel, tmp_path):
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as files:
        files.extractall(tmp_path / "source", filter="data")
    assert contents(build("wheel", next((tmp_path / "source").iterdir()), tmp_path / "again")) == contents(wheel)


def test_the_wheel_has_the_package_and_the_evidence_alone(wheel):
    names = contents(wheel)
    assert {name.partition("/")[0] for name in names} == {
        "vsbook",
        f"vsbook-{distribution('vsbook').version}.dist-info",
    }
    assert {"vsbook/py.typed", "vsbook/evidence/claims.toml"} <= set(names)
    assert sum(name.startswith("vsbook/evidence/results/") for name in names) == sum(1 for c in claims() if result(c))
    observations = {f"vsbook/{path.relative_to(ROOT)}" for path in (ROOT / "evidence" / "observations").iterdir()}
    assert {name for name in names if name.startswith("vsbook/evidence/observations/")} == observations


# the page that an index shows


def test_the_page_says_who_and_for_what(metadata, project):
    assert metadata.author or metadata.author_email
    assert metadata.keywords
    versions = [c.rpartition(" ")[2] for c in metadata.classifiers if re.search(r":: 3\.\d+$", c)]
    assert versions == ["3.11", "3.12", "3.13"]
    assert all(v in metadata.requires_python for v in versions)
    address = project.config["repository"]["url"]
    assert all(url == address or url.startswith(f"{address}/") for url in metadata.project_urls.values())


def test_the_links_of_the_page_lead_somewhere(metadata, project):
    """None is relative, since the page stands elsewhere; those into the repository name files that are there."""
    text = metadata.description
    assert text == (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((\S+?)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
    config = project.config["repository"]
    owner = config["url"].removeprefix("https://github.com/")
    places = {
        f"{config['url']}/blob/{config['branch']}/",
        f"https://raw.githubusercontent.com/{owner}/{config['branch']}/",
    }
    mine = [link for link in links if owner in link]
    assert len(mine) >= 3
    for link in mine:
        paths = [link.removeprefix(place) for place in places if link.startswith(place)]
        assert link == config["url"] or (paths and (ROOT / paths[0]).is_file()), link
