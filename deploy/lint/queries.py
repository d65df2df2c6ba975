"""Prints the queries of a Grafana dashboard as recording rules, so that promtool reads them, and complains of what is wrong
with the dashboard itself: ids that stand twice, panels over each other, panels without a title or a unit."""

import json
import re
import sys

# What Grafana puts into queries, and something in its place.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__interval": "1m",
}


def queries(panels):
    for panel in panels:
        for target in panel.get("targets", []):
            yield panel, target["expr"]
        yield from queries(panel.get("panels", []))


def check(panels):
    ids, cells = set(), set()
    for panel in panels:
        assert panel["id"] not in ids, f"the id {panel['id']} stands twice"
        ids.add(panel["id"])
        assert panel["title"], panel["id"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, f"`{panel['title']}` is too wide"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in cells, f"`{panel['title']}` stands over another"
                cells.add((x, y))
        if panel["type"] not in ("row", "text", "table"):
            assert panel["fieldConfig"]["defaults"].get("unit"), f"`{panel['title']}` has no unit"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    check(dashboard["panels"])
    names = {f"${item['name']}" for item in dashboard["templating"]["list"]}
    rules = []
    for number, (panel, expression) in enumerate(queries(dashboard["panels"])):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        for name in re.findall(r"\$\w+", expression):
            assert name in names, f"`{panel['title']}` uses {name}, which the dashboard has not"
            expression = expression.replace(name, "x")
        rules.append({"record": f"query:number:{number}", "expr": expression})
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)


main()
