"""The book on another processor: a small part of `make portable`, and its own bookkeeping."""

from dataclasses import replace

import pytest
from rich.console import Console

from tools.compare import compare
from tools.portable import MACHINES, Outcome, foreign, main, numeric_tests, run, table

CHAPTERS = ("layer_as_matrix", "signal_ranking")  # with initial weights, ranks and condition numbers
CLAIMS = (
    *("bias-absorbed", "fcnn1-condition-number", "last-signal-vector-is-noise", "layerwise-inversion"),
    *(
        "residual-does-not-reach-other-neurons",
        "resnet18-kernel-7-rows",
        "signal-vectors-decrease",
        "subspaces-from-eigenvectors",
    ),
)


def test_chapters_and_quick_claims_under_foreign_kernels(project):
    again = [f"tests/test_results.py::test_measured_again_from_the_checkpoints[{claim}]" for claim in CLAIMS]
    found = run(project, foreign(), CHAPTERS, [*again, "tests/networks/test_draws.py"])
    assert found.failed == []
    assert found.passed > len(CHAPTERS) + len(CLAIMS)
    assert MACHINES[foreign()].got(found.kernels)


def test_what_fails_is_named(project, tmp_path):
    file = tmp_path / "test_planted.py"
    file.write_text("def test_good():\n    pass\n\n\ndef test_bad():\n    assert 1 == 2\n")
    found = run(project, "native", [], [str(file)])
    assert found.passed == 1
    assert [name.rpartition("::")[2] for name in found.failed] == ["test_bad"]


def test_a_pytest_that_does_not_run_has_failed(project):
    assert run(project, "native", [], ["no-such-file.py"]).failed[-1].startswith("pytest itself")


def test_a_pytest_that_stops_in_the_midst_has_failed(project, tmp_path):
    """What it prints has a count of what passed, and names no failure."""
    file = tmp_path / "test_planted.py"
    file.write_text(
        "import pytest\n\n\ndef test_good():\n    pass\n\n\ndef test_end():\n    pytest.exit('no more', 3)\n"
    )
    found = run(project, "native", [], [str(file)])
    assert [name.partition(":")[0] for name in found.failed] == ["pytest itself"]


def test_a_chapter_that_differs_has_failed(project, monkeypatch):
    """The reference of another chapter in its place. With its own it agrees, by two threads where the build had one."""
    other = project.reference(CHAPTERS[1])
    with monkeypatch.context() as patch:
        patch.setattr(type(project), "reference", lambda self, name: other)
        assert run(project, "native", CHAPTERS[:1], ["--version"]).failed[0] == f"notebooks/{CHAPTERS[0]}.md"
    assert MACHINES["native"].threads == 2
    compare(replace(project, made=project.root / "_build" / "portable" / "native"), CHAPTERS[0])


def test_other_kernels_than_those_asked_for_are_seen():
    got = "OpenBLAS Haswell, NumPy X86_V3, PyTorch AVX2 with oneDNN, threads: 1"
    assert MACHINES["haswell"].got(got)
    assert not MACHINES["nehalem"].got(got)
    assert not MACHINES["haswell"].got(got.replace("AVX2", "DEFAULT"))
    assert MACHINES["zen"].got(got) and MACHINES["zen"].got(got.replace("Haswell", "Zen"))
    assert not MACHINES["zen"].got(got.replace("Haswell", "Nehalem"))
    assert MACHINES["native"].got(got)
    assert MACHINES["arm"].got("OpenBLAS none, NumPy baseline, PyTorch DEFAULT with oneDNN, threads: 1")


def test_at_least_six_machines_with_one_two_and_four_threads():
    assert len(MACHINES) >= 6
    assert {machine.threads for machine in MACHINES.values()} == {1, 2, 4}
    cores = {machine.core for machine in MACHINES.values()}
    assert {"Nehalem", "Haswell", "SkylakeX", "Zen"} < cores
    assert {machine.generation for machine in MACHINES.values()} == {None, "default", "avx2", "avx512"}


def test_the_numeric_tests_are_those_of_the_package(project):
    names = {file.rpartition("/")[2] for file in numeric_tests(project)}
    assert {"test_subspaces.py", "test_results.py", "test_observations.py", "test_draws.py", "test_doors.py"} <= names
    assert not {"test_portable.py", "test_html.py", "test_build.py", "test_mutants.py"} & names


def test_the_table_has_a_row_for_each_machine_that_ran():
    console = Console(width=200, record=True)
    console.print(table({"nehalem": Outcome("OpenBLAS Nehalem", 12, ["a", "b"], 1.25)}))
    row = next(line for line in console.export_text().splitlines() if "nehalem" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["nehalem", "OpenBLAS Nehalem", "12", "2", "1.2"]


@pytest.mark.parametrize("wanted", [["no-such"], ["native", "no-such"]], ids=str)
def test_an_unknown_machine_is_refused(wanted, capsys):
    assert main(wanted) == 2
    assert "no-such" in capsys.readouterr().out
