"""Which of an export's entries speaks for which photo: several may mean one file, or files of the same content."""

from collections import defaultdict
from collections.abc import Sequence

from campus_seg.errors import ExportError
from campus_seg.label_studio.facts import Header, PhotoFacts
from campus_seg.label_studio.index import PhotoIndex
from campus_seg.label_studio.raw import RawPhoto
from campus_seg.label_studio.report import ImportReport


def group_by_photo(
    raw_photos: Sequence[RawPhoto], index: PhotoIndex, report: ImportReport
) -> dict[str, list[RawPhoto]]:
    """Entries of one file together, in the export's order; photos that are not there are reported.

    Only entries of one path are of one photo: of several paths that lead to one file the closest keeps it.
    """
    groups: dict[str, dict[str, list[RawPhoto]]] = {}
    missing = []
    for raw in raw_photos:
        name = index.find(raw.file_name)
        if name is None:
            missing.append(raw)
        else:
            groups.setdefault(name, {}).setdefault(raw.file_name, []).append(raw)
    chosen = {}
    for name, by_path in groups.items():
        if len(by_path) == 1:
            (chosen[name],) = by_path.values()
            continue
        paths = sorted(by_path, key=lambda path: index.closeness(path, name), reverse=True)
        if index.closeness(paths[0], name) == index.closeness(paths[1], name):
            raise ExportError(
                f"{name}: both {paths[0]} and {paths[1]} lead to it; "
                "give CAMPUS.IMAGE_ROOT a folder that has both photos in the folders of these paths"
            )
        chosen[name] = by_path[paths[0]]
        missing += [raw for path in paths[1:] for raw in by_path[path]]
    for name, entries in chosen.items():
        if index.is_elsewhere(entries[0].file_name, name):
            report.defect("photo_elsewhere", name, None, f"taken for {entries[0].file_name}")
    for raw in missing:
        report.defect("photo_missing", raw.file_name, None, f"left out with {len(raw.annotations)} annotations")
    return chosen


def join_same_photos(
    groups: dict[str, list[RawPhoto]],
    headers: dict[str, Header],
    facts: PhotoFacts,
    policy: str,
    report: ImportReport,
) -> dict[str, list[RawPhoto]]:
    """One of the files that hold the same photo, with its entries; the others are reported.

    Of entries that tell when they were made the policy's comes first, else a photo uploaded later counts as newer.
    One that has annotations goes before one that has none, which may be an unlabelled copy.
    """
    by_bytes = defaultdict(list)
    for name in groups:
        by_bytes[headers[name].bytes].append(name)
    by_content = defaultdict(list)
    alike = [name for names in by_bytes.values() if len(names) > 1 for name in names]
    for name, sha256 in facts.hashes(alike).items():
        by_content[sha256].append(name)
    joined = dict(groups)
    for names in by_content.values():
        if len(names) == 1:
            continue
        labelled = [name for name in names if any(entry.labelled for entry in groups[name])] or names
        if len(labelled) > 1 and policy == "error":
            raise ExportError(
                f"{labelled[0]}: is the same photo as {labelled[1]}, and both are labelled; "
                "set CAMPUS.ANNOTATORS newest or oldest"
            )
        # Stable, so that later uploads stay later; of each file's entries the newest stands first.
        order = sorted(labelled, key=lambda name: groups[name][-1 if policy == "oldest" else 0].time)
        kept = order[0 if policy == "oldest" else -1]
        for name in names:
            if name != kept:
                count = sum(len(entry.annotations) for entry in groups[name])
                report.defect("photo_twice", name, None, f"left out with {count} annotations, the same photo as {kept}")
                del joined[name]
    return joined


def choose_annotator(name: str, entries: list[RawPhoto], policy: str, report: ImportReport) -> RawPhoto:
    """One entry of a photo labelled by several people; Label Studio writes the newest first.

    Of several tasks with the same photo, one that has annotations goes before one that has none.
    """
    entries = sorted(entries, key=lambda entry: entry.time, reverse=True)
    if len({str(entry.task) for entry in entries}) > 1:
        entries.sort(key=lambda entry: entry.labelled == (policy == "oldest"))
    if len(entries) > 1 and policy == "error":
        raise ExportError(f"{name}: labelled by {len(entries)} people; set CAMPUS.ANNOTATORS newest or oldest")
    chosen = entries[0 if policy == "newest" else -1]
    for other in entries:
        if other is not chosen:
            action = f"{len(other.annotations)} annotations left out, the {policy} kept"
            report.defect("several_annotators", name, None, action)
    return chosen
