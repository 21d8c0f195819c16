"""Path templates that match the same requests without one being the more concrete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from portico.contract.segments import compatible, concreteness, shape

# A template and its segments; a segment and the templates that have it at some depth.
_Split = tuple[str, list[str]]
_Group = tuple[str, list[_Split]]


def overlaps(templates: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each pair of templates of which neither wins, in the order they are given.

    `/a/{x}` and `/a/b` are fine: the concrete one wins. `/{a}/me` and `/b/{id}` are not. No two
    templates may have the same shape.
    """
    order = {template: index for index, template in enumerate(templates)}
    by_length: dict[int, list[_Split]] = {}
    for template in templates:
        segments = template.split("/")[1:]
        by_length.setdefault(len(segments), []).append((template, segments))
    for group in by_length.values():
        for one, other in _overlapping(group):
            yield (one, other) if order[one] < order[other] else (other, one)


def _overlapping(group: list[_Split]) -> Iterator[tuple[str, str]]:
    """Compare only templates whose first segments can be equal, then the second, and so on."""
    # Two groups that agree so far, the depth, and whether the first or the second says more.
    pending: list[tuple[list[_Split], list[_Split], int, bool, bool]]
    pending = [(group, group, 0, False, False)]
    while pending:
        mine, theirs, depth, wins, losses = pending.pop()
        if depth == len(mine[0][1]):
            if wins and losses:
                yield mine[0][0], theirs[0][0]
            continue
        for (segment, these), (other, those) in _meetings(mine, theirs, depth):
            said, heard = concreteness(segment), concreteness(other)
            tie = said == heard and these is not those and shape(segment) != shape(other)
            inner_wins, inner_losses = wins or tie or said > heard, losses or tie or said < heard
            pending.append((these, those, depth + 1, inner_wins, inner_losses))


def _meetings(
    mine: list[_Split], theirs: list[_Split], depth: int
) -> Iterator[tuple[_Group, _Group]]:
    """Yield the parts of two groups whose segments at a depth can be equal, each pair once."""
    ours = _by_segment(mine, depth)
    if mine is theirs:
        groups = list(ours.values())
        yield from ((group, group) for group in groups if len(group[1]) > 1)
        templated = [group for group in groups if "{" in group[0]]
        for index, group in enumerate(templated):
            plain = (other for other in groups if "{" not in other[0])
            yield from _compatible(group, [*templated[index + 1 :], *plain])
        return
    for key, group in _by_segment(theirs, depth).items():
        if "{" in key:
            yield from ((one, two) for two, one in _compatible(group, ours.values()))
            continue
        if key in ours:
            yield ours[key], group
        templated = [other for other in ours.values() if "{" in other[0]]
        yield from ((one, two) for two, one in _compatible(group, templated))


def _by_segment(group: list[_Split], depth: int) -> dict[str, _Group]:
    found: dict[str, _Group] = {}
    for template, segments in group:
        segment = segments[depth]
        found.setdefault(shape(segment), (segment, []))[1].append((template, segments))
    return found


def _compatible(group: _Group, others: Iterable[_Group]) -> Iterator[tuple[_Group, _Group]]:
    return ((group, other) for other in others if compatible(group[0], other[0]))
