"""The READMEs: of one length, with the same commands in both languages, and nothing in them that is not there."""
import re
import subprocess

import pytest

from conftest import ROOT

READMES = {"English": ROOT / "README.md", "Chinese": ROOT / "README.zh.md"}


def by_hand(path):
    """The lines of a README without those that make report writes."""
    text = path.read_text()
    before, _, rest = text.partition("<!-- measured: written by make report -->")
    return (before + rest.partition("<!-- end of measured -->")[2]).splitlines()


def commands(lines):
    """The indented lines, without what is said behind # and without space at the end."""
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.startswith("    ")]


def test_both_readmes_have_the_same_commands():
    english, chinese = (commands(by_hand(path)) for path in READMES.values())
    assert english == chinese and len(english) > 10


def test_both_readmes_name_the_same_files_and_links():
    """Whatever stands in backquotes or behind a link, but for the link to the other language."""
    def names(lines):
        text = "\n".join(lines)
        found = {*re.findall(r"`([^`]+)`", text), *re.findall(r"\]\(([^)]+)\)", text)}
        return sorted(found - {"README.md", "README.zh.md"})

    english, chinese = (names(by_hand(path)) for path in READMES.values())
    assert english == chinese and len(english) > 20


@pytest.mark.parametrize("path", READMES.values(), ids=READMES)
def test_a_readme_can_be_read_at_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 130
    assert [line for line in by_hand(path) if len(line) > 120] == []


@pytest.mark.parametrize("path", [*READMES.values(), ROOT / "experiments/README.md"], ids=lambda path: path.name)
def test_what_a_readme_links_to_is_there(path):
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    assert links
    assert [link for link in links if not link.startswith("http") and not (path.parent / link).exists()] == []


def test_the_two_lines_that_declare_a_run_are_enough(tmp_path):
    """The example of the README, put behind report 3's declarations, is something to make."""
    example = [line[4:] for line in by_hand(READMES["English"]) if line.startswith(("    exp.", "    run."))]
    assert len(example) == 2
    for file in ["Makefile", *(f"experiments/{path.name}" for path in (ROOT / "experiments").glob("*"))]:
        if (ROOT / file).is_file():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text((ROOT / file).read_text())
    with open(tmp_path / "experiments/net.mk", "a") as file:
        file.write("\n".join(["", *example, ""]))
    made = subprocess.run(["make", "-n", "exp-smooth", "PYTHON=python3"], cwd=tmp_path, capture_output=True, text=True)
    assert "--run net/adam-smooth --seed 0" in made.stdout, made.stderr
