"""Grow a CHAID tree of the iris flowers and write it as PMML: iris_chaid.pmml here.

    python graphs/models/train_chaid.py

It reads ../data/iris.csv and needs nothing but Python; the same rows write the same bytes again.
Each measurement is cut into ten classes of about the same size. At a node, neighbouring classes
that tell the species alike (by a chi-squared test) are merged, and the measurement whose groups
tell most splits it into as many branches as it has groups left. The file has what a statistics
package writes beside such a tree: the distribution in each node, targets with their priors, and
outputs by the names `$R-`, `$RC-`, `$RP-` and `$RI-`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import comb, erfc, exp, inf, pi, sqrt
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
NAMES = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
TARGET = "Species"
CLASSES_EACH = 10
LEVEL = 0.05
DEEPEST, FEWEST_SPLIT, FEWEST = 3, 10, 5

Row = tuple[tuple[float, ...], str]


@dataclass
class Node:
    """A node of the tree: its rows, and the range `(low, high]` of the field that leads to it."""

    rows: list[Row]
    name: str = ""
    low: float = -inf
    high: float = inf
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def counts(self) -> Counter[str]:
        """How many rows of each species it holds."""
        return Counter(species for _, species in self.rows)


def main() -> None:
    """Write the file and print how well the tree knows the flowers it was grown on."""
    root = grown()
    path = HERE / "iris_chaid.pmml"
    path.write_bytes(written(root))
    right = sum(max(leaf.counts.values()) for leaf in _leaves(root))
    print(f"{path.name} written; {right / len(root.rows):.3f} of the flowers are told right")  # noqa: T201


def grown() -> Node:
    """The tree of all flowers."""
    with (HERE.parent / "data" / "iris.csv").open(newline="", encoding="utf-8") as file:
        _, *lines = csv.reader(file)
    rows = [(tuple(map(float, line[:4])), line[4]) for line in lines]
    edges = [_edges([values[place] for values, _ in rows]) for place in range(len(NAMES))]
    root = Node(rows)
    grow(root, edges, 0)
    return root


def _edges(values: Sequence[float]) -> list[float]:
    """The upper ends of all classes but the last."""
    ranked = sorted(values)
    cuts = (ranked[len(ranked) * part // CLASSES_EACH - 1] for part in range(1, CLASSES_EACH))
    return [edge for edge in dict.fromkeys(cuts) if edge < ranked[-1]]


def grow(node: Node, edges: Sequence[Sequence[float]], depth: int) -> None:
    """Split the node, and what comes of it, as far as the test allows."""
    if depth == DEEPEST or len(node.rows) < FEWEST_SPLIT:
        return
    best, children = LEVEL, list[Node]()
    for place in range(len(NAMES)):
        groups, chance = merged(_classes(node, place, edges[place]))
        if len(groups) > 1 and chance < best:
            best, children = chance, groups
    node.children = children
    for child in children:
        grow(child, edges, depth + 1)


def _classes(node: Node, place: int, edges: Sequence[float]) -> list[Node]:
    """The rows by the classes of a measurement, those left out that hold none."""
    found: list[Node] = []
    low = -inf
    for low_edge, high in pairwise((-inf, *edges, inf)):
        rows = [row for row in node.rows if low_edge < row[0][place] <= high]
        if rows:
            found.append(Node(rows, NAMES[place], low, high))
            low = high
    found[-1].high = inf  # what lies beyond is nearest to the last of them
    return found


def merged(groups: list[Node]) -> tuple[list[Node], float]:
    """The groups after neighbours that are alike are merged, and how likely they are by chance."""
    count = len(groups)
    while len(groups) > 1:
        likely = [
            2.0 if min(len(one.rows), len(other.rows)) < FEWEST else chance_of([one, other])
            for one, other in pairwise(groups)
        ]
        place = likely.index(max(likely))
        if likely[place] <= LEVEL:
            break
        one, other = groups[place : place + 2]
        joined = Node(one.rows + other.rows, one.name, one.low, other.high)
        groups = [*groups[:place], joined, *groups[place + 2 :]]
    # Bonferroni: so many ways there are to merge that many ordered classes into these groups.
    return groups, chance_of(groups) * comb(count - 1, len(groups) - 1)


def chance_of(groups: Sequence[Node]) -> float:
    """The chance that groups of one distribution differ as these do: Pearson's chi-squared test."""
    total = sum((group.counts for group in groups), Counter[str]())
    size = total.total()
    statistic = sum(
        (group.counts[species] - expected) ** 2 / expected
        for group in groups
        for species, count in total.items()
        if (expected := count * len(group.rows) / size)
    )
    return beyond(statistic, (len(total) - 1) * (len(groups) - 1))


def beyond(statistic: float, degrees: int) -> float:
    """The chance of a chi-squared value at least as large."""
    if degrees == 0:
        return 1.0
    half = statistic / 2
    even = degrees % 2 == 0
    chance, term = (
        (0.0, exp(-half)) if even else (erfc(sqrt(half)), exp(-half) * 2 * sqrt(half / pi))
    )
    for step in range(degrees // 2):
        chance += term
        term *= half / (step + (1.0 if even else 1.5))
    return chance


def _leaves(node: Node) -> list[Node]:
    if not node.children:
        return [node]
    return [leaf for child in node.children for leaf in _leaves(child)]


def written(root: Node) -> bytes:
    """The tree as a PMML document."""
    document = ElementTree.Element(
        "PMML", {"xmlns": "http://www.dmg.org/PMML-4_4", "version": "4.4"}
    )
    header = ElementTree.SubElement(
        document,
        "Header",
        {
            "copyright": "The Thalweg maintainers",
            "description": "Species of an iris from four measurements in centimetres.",
            "modelVersion": "1",
        },
    )
    ElementTree.SubElement(header, "Application", {"name": "train_chaid.py", "version": "1"})
    species = sorted(root.counts)
    dictionary = ElementTree.SubElement(document, "DataDictionary", {"numberOfFields": "5"})
    for name in NAMES:
        ElementTree.SubElement(
            dictionary, "DataField", {"name": name, "optype": "continuous", "dataType": "double"}
        )
    target = ElementTree.SubElement(
        dictionary, "DataField", {"name": TARGET, "optype": "categorical", "dataType": "string"}
    )
    for name in species:
        ElementTree.SubElement(target, "Value", {"value": name})
    model = ElementTree.SubElement(
        document,
        "TreeModel",
        {
            "modelName": "iris_chaid",
            "functionName": "classification",
            "algorithmName": "CHAID",
            "splitCharacteristic": "multiSplit",
            "missingValueStrategy": "defaultChild",
            "noTrueChildStrategy": "returnLastPrediction",
        },
    )
    schema = ElementTree.SubElement(model, "MiningSchema")
    for name in NAMES:
        ElementTree.SubElement(schema, "MiningField", {"name": name, "usageType": "active"})
    ElementTree.SubElement(schema, "MiningField", {"name": TARGET, "usageType": "target"})
    _write_outputs(ElementTree.SubElement(model, "Output"), species)
    targets = ElementTree.SubElement(model, "Targets")
    priors = ElementTree.SubElement(targets, "Target", {"field": TARGET, "optype": "categorical"})
    for name in species:
        prior = root.counts[name] / len(root.rows)
        ElementTree.SubElement(
            priors, "TargetValue", {"value": name, "priorProbability": f"{prior:.6f}"}
        )
    _write_node(model, root, species, "0")
    ElementTree.indent(document)
    written: bytes = ElementTree.tostring(document, "utf-8", xml_declaration=True)
    return written + b"\n"


def _write_outputs(output: ElementTree.Element, species: Sequence[str]) -> None:
    text = {"optype": "categorical", "dataType": "string", "targetField": TARGET}
    number = {"optype": "continuous", "dataType": "double", "targetField": TARGET}
    for name, kind, told in (
        (f"$R-{TARGET}", text, {"feature": "predictedValue"}),
        (f"$RC-{TARGET}", number, {"feature": "probability"}),
        *(
            (f"$RP-{value}", number, {"feature": "probability", "value": value})
            for value in species
        ),
        (f"$RI-{TARGET}", text, {"feature": "entityId"}),
    ):
        ElementTree.SubElement(output, "OutputField", {"name": name, **kind, **told})


def _write_node(parent: ElementTree.Element, node: Node, species: Sequence[str], name: str) -> None:
    counts = node.counts
    attributes = {
        "id": name,
        "score": max(species, key=lambda value: counts[value]),
        "recordCount": str(len(node.rows)),
    }
    if node.children:
        most = max(range(len(node.children)), key=lambda place: len(node.children[place].rows))
        attributes["defaultChild"] = f"{name}.{most + 1}"
    element = ElementTree.SubElement(parent, "Node", attributes)
    _write_predicate(element, node)
    for value in species:
        ElementTree.SubElement(
            element,
            "ScoreDistribution",
            {
                "value": value,
                "recordCount": str(counts[value]),
                "confidence": f"{counts[value] / len(node.rows):.6f}",
            },
        )
    for place, child in enumerate(node.children, 1):
        _write_node(element, child, species, f"{name}.{place}")


def _write_predicate(element: ElementTree.Element, node: Node) -> None:
    bounds = [
        {"field": node.name, "operator": operator, "value": f"{value:g}"}
        for operator, value in (("greaterThan", node.low), ("lessOrEqual", node.high))
        if abs(value) < inf
    ]
    if not bounds:
        ElementTree.SubElement(element, "True")
        return
    if len(bounds) > 1:
        element = ElementTree.SubElement(element, "CompoundPredicate", {"booleanOperator": "and"})
    for bound in bounds:
        ElementTree.SubElement(element, "SimplePredicate", bound)


if __name__ == "__main__":
    main()
