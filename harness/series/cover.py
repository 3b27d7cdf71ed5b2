# SPDX-License-Identifier: GPL-2.0-only
"""`./lab patches cover NAME`: a sub-series as the e-mails that it would be posted by."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.artefacts import patches
from harness.artefacts.patches import Commit
from harness.core import files
from harness.core.errors import BadCall, LabError
from harness.core.git import git
from harness.core.progress import say
from harness.core.workspace import Base, Layout
from harness.series.export import format_patches, view

TEMPLATE, MEASURED = "cover.j2", "bench.json"
FIELDS = ("Subject", "Tree")
# What git format-patch leaves to be filled in (its log.c and builtin/log.c).
SUBJECT, BLURB = "*** SUBJECT HERE ***", "*** BLURB HERE ***"
DIGITS = 12


def refuse_unknown(series_dir: Path, parts: Sequence[str]) -> None:
    """Raise BadCall for a name that no sub-series has."""
    known = patches.parts(series_dir)
    for part in parts:
        if part not in known:
            raise BadCall(f"there is no sub-series {part!r}", hint=f"one of {', '.join(known)}")


def commits_of(tree: Path, series_dir: Path, part: str) -> list[Commit]:
    """The commits of a sub-series in the series' tree.

    Raises LabError if the tree has commits that are in no file yet.
    """
    home = {patch.digest: patch.part for patch in patches.parse_series(series_dir)}
    made, commits = patches.made_of(tree), patches.commits(tree)
    for commit in commits:
        if made.get(commit.hash) not in home:
            raise LabError(
                f"commit {commit.hash[:DIGITS]} ({commit.subject}) is in no file of the series",
                hint="./lab patches export",
            )
    return [commit for commit in commits if home[made[commit.hash]] == part]


def cover(layout: Layout, base: Base, part: str) -> Path:
    """Write a sub-series' letter and patches to a folder of their own, and say where.

    The template is an e-mail: the fields Subject and Tree (net, bpf-next ...: the prefix of
    each subject), an empty line, the text. There `kernel` is the base's version, and `bench`
    what `./lab bench` wrote.
    Raises LabError for a template that can't be filled in, also where a table's figures are of
    another kernel; what `commits_of` raises.
    """
    commits = commits_of(layout.linux, base.series_dir, part)
    if not commits:
        raise LabError(f"the sub-series {part} has no patches")
    fields, text = _letter(layout.linux, base, part, commits)
    folder, seen = layout.source / "cover" / part, layout.source / "cover" / ".view"
    for leftover in (folder, seen):
        shutil.rmtree(leftover, ignore_errors=True)
    view(layout.linux, commits[-1].hash, seen)
    options = ("--cover-letter", "--numbered", f"--subject-prefix=PATCH {fields['Tree']}")
    revisions = f"{commits[0].hash}^..{commits[-1].hash}"
    letter, *_ = format_patches(seen, folder, *options, revisions)
    shutil.rmtree(seen)
    filled = letter.read_text().replace(SUBJECT, fields["Subject"]).replace(BLURB, text)
    files.replace(letter, filled)
    say(f"patches   {len(commits)} and their letter in {folder}")
    return folder


def _letter(
    tree: Path, base: Base, part: str, commits: Sequence[Commit]
) -> tuple[dict[str, str], str]:
    """The fields of a template, and its text."""
    import jinja2  # slow to import

    template = base.series_dir / part / TEMPLATE
    if not template.exists():
        raise LabError(f"{template} is not there", hint="write it: Subject, Tree, the text")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=False, trim_blocks=True
    )
    text = template.read_text()
    given: dict[str, object] = {"kernel": base.version.partition("-")[0]}
    if "bench" in text:
        given["bench"] = _measured(tree, template.parent / MEASURED, commits)
    try:
        rendered = environment.from_string(text).render(given)
    except jinja2.TemplateError as error:
        raise LabError(f"{template}: {error}") from None
    head, _, body = rendered.partition("\n\n")
    fields = dict(line.partition(": ")[::2] for line in head.splitlines())
    if tuple(fields) != FIELDS or not all(fields.values()) or not body.strip():
        wanted = " and ".join(FIELDS)
        raise LabError(f"{template} has to begin with the fields {wanted}, and then a text")
    return fields, body.strip()


def _measured(tree: Path, file: Path, commits: Sequence[Commit]) -> Mapping[str, object]:
    """The figures beside a template. Raises LabError if they are not of this series' kernel."""
    hint = f"./lab bench; then copy the JSON that it names to {file}"
    if not file.exists():
        raise LabError(f"{file.parent / TEMPLATE} has a table, and {file} is not there", hint=hint)
    measured: dict[str, object] = json.loads(file.read_text())
    of = [git(tree, "rev-parse", f"{each}^{{tree}}").strip() for each in ("HEAD", commits[-1].hash)]
    if measured.get("tree") not in of:
        raise LabError(f"{file} is of another kernel than the series'", hint=hint)
    return measured
