"""What the runs of runs.py found: values over seeds with their errors, and experiments by name."""

import json
import math
import pathlib
import statistics


class Value:
    """A mean over seeds and its standard error (nan with one seed)."""

    def __init__(self, samples):
        self.samples = list(samples)
        self.mean = statistics.fmean(self.samples)
        n = len(self.samples)
        self.error = statistics.stdev(self.samples) / math.sqrt(n) if n > 1 else math.nan

    def __str__(self):
        return f"{self.mean:.3f} ±{self.error:.3f}" if len(self.samples) > 1 else f"{self.mean:.3f}"


def combine(function, *values):
    """The same seeds side by side: what they have in common cancels."""
    return Value(function(*row) for row in zip(*(v.samples for v in values)))


def ratio(a, b):
    return combine(lambda x, y: x / y, a, b)


def finished(result):
    """Every method that the run has begun is evaluated after its last step."""
    return all(None not in m["tasks"]["retrieval"]["E"][-1] for m in result["methods"].values())


class Experiment:
    """One experiment's runs, a seed each: NAME-SEED in the folder. False when there are none. A run
    that has not come to its end is left out."""

    def __init__(self, folder, name):
        found = [(path, json.loads(path.read_text()))
                 for path in sorted(pathlib.Path(folder).glob(f"{name}-[0-9]/results.json"))]
        most = max((len(result["methods"]) for _, result in found), default=0)
        whole = [(path, result) for path, result in found
                 if finished(result) and len(result["methods"]) == most]
        self.runs, self.results = [p for p, _ in whole], [r for _, r in whole]

    def __bool__(self):
        return bool(self.results)

    def steps(self):
        return self.results[0]["steps"]

    def methods(self):
        return [m for m in self.results[0]["methods"] if all(m in r["methods"] for r in self.results)]

    def task(self, method, task, key):
        return Value(r["methods"][method]["tasks"][task][key] for r in self.results)

    def retrieval(self, method, key):
        return self.task(method, "retrieval", key)

    def relative(self, method, key):
        return Value(r["methods"][method]["tasks"]["retrieval"]["relative"][key]
                     for r in self.results)

    def macs(self, method, key="nominal"):
        return Value(r["methods"][method]["macs"][key] for r in self.results)

    def spent(self, method):
        return combine(lambda a, b: a + b, self.macs(method), self.macs(method, "extra"))

    def statics(self, method, wanted):
        """Mean of the last model's scores on the static sets whose name is `wanted`'s."""
        means = []
        for r in self.results:
            tasks = r["methods"][method]["tasks"]
            means.append(statistics.fmean(t["last"] for name, t in tasks.items()
                                          if name.startswith("static/") and wanted(name[7:])))
        return Value(means)

    def matrix(self, method, task="retrieval"):
        rows = [r["methods"][method]["tasks"][task]["E"] for r in self.results]
        n = len(rows[0])
        return [[statistics.fmean(e[i][j] for e in rows) for j in range(n)] for i in range(n)]

    def cells(self, method, task, row, columns):
        """Mean of E[row][columns] for steps by name, over seeds."""
        i, places = self.steps().index(row), [self.steps().index(c) for c in columns]
        return Value(statistics.fmean(r["methods"][method]["tasks"][task]["E"][i][j] for j in places)
                     for r in self.results)

    def events(self, *names):
        """Of all runs' ledgers."""
        for path in self.runs:
            for line in (path.parent / "ledger.jsonl").read_text().splitlines():
                event = json.loads(line)
                if event["event"] in names:
                    yield event

    def seconds(self):
        """Of training and evaluation; what was taken over took none."""
        return sum(event["spent"]["seconds"] for event in self.events("step_end", "evaluation")
                   if "same_as" not in event)

    def pairs(self):
        """(trained on, with what is beside training in pairs of training; evaluated)."""
        trained = evaluated = 0.0
        for event in self.events("step_end", "evaluation"):
            spent = event["spent"]
            if event["event"] == "evaluation":
                evaluated += spent["pairs"]
            elif "same_as" not in event:
                trained += spent["pairs"] * (1 + spent["extra"] / spent["nominal"])
        return trained, evaluated

    def coefficients(self):
        """{step: what patching chose there, over seeds}."""
        found = {}
        for event in self.events("patched"):
            found.setdefault(event["step"], []).append(event["coefficient"])
        return {step: Value(values) for step, values in found.items()}

    def only(self, seed):
        """The same with the runs of one seed."""
        one = Experiment.__new__(Experiment)
        kept = [(p, r) for p, r in zip(self.runs, self.results) if r["experiment"]["seed"] == seed]
        one.runs, one.results = [p for p, _ in kept], [r for _, r in kept]
        return one
