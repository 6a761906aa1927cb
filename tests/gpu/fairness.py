# SPDX-License-Identifier: MIT
"""From counts of work at moments to shares of a GPU. Pure; times in seconds."""


def percentile(values, percent):
    """The smallest value that so many percent of all do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else 0.0


def interval(values):
    """Where the median of all such values is, 19 times in 20: between two of them, by their ranks."""
    ranked, n = sorted(values), len(values)
    reach = 0.98 * n ** 0.5
    return ranked[max(0, int(n / 2 - reach))], ranked[min(n - 1, int(n / 2 + reach))]


class Series:
    """Work done by several at common moments: at[i] seconds, done[who][i] seconds of GPU time.

    whole[who]: until nothing was in flight."""

    def __init__(self, at, done, whole):
        self.at, self.done, self.whole = at, done, whole

    def steps(self):
        return len(self.at)

    def work(self, first, last):
        return [d[last] - d[first] for d in self.done]

    def shares(self, first, last):
        work = self.work(first, last)
        total = sum(work)
        return [w / total for w in work] if total > 0 else [0.0] * len(work)

    def total(self, first, last):
        """All work together, as a part of the time."""
        return sum(self.work(first, last)) / (self.at[last] - self.at[first])

    def errors(self, first, last, steps, entitled):
        """For each window of so many steps, how far the one furthest from its part is from it."""
        return [max(abs(s - e) for s, e in zip(self.shares(i, i + steps), entitled))
                for i in range(first, last - steps + 1)]

    def settled(self, changed, steps, entitled, within):
        """Seconds from `changed` on until a window begins that has the shares; None: none does."""
        for i in range(self.steps() - steps):
            if self.at[i] >= changed and max(abs(s - e) for s, e in zip(
                    self.shares(i, i + steps), entitled)) <= within:
                return self.at[i] - changed
        return None


def series_of(answers, costs):
    """From the lines of tests/client/spin's `load`, and what a round costs each, in ns."""
    last = [lines[-1] for lines in answers]
    answers = [[l for l in lines if l[0] == "at"] for lines in answers]
    steps = min(len(lines) for lines in answers)
    at = [sum(int(lines[i][1]) for lines in answers) / len(answers) / 1e9 for i in range(steps)]
    done = [[int(lines[i][2]) * cost / 1e9 for i in range(steps)] for lines, cost in zip(answers, costs)]
    whole = [(int(l[2]) - int(lines[0][2])) * cost / 1e9 for l, lines, cost in zip(last, answers, costs)]
    return Series(at, done, whole)


def grouped(series, groups):
    """Several series' lines added up: groups[i] names the lines of the i-th."""
    done = [[sum(series.done[j][i] for j in group) for i in range(series.steps())] for group in groups]
    return Series(series.at, done, [sum(series.whole[j] for j in group) for group in groups])


def percents(parts):
    """Each as a part of all."""
    total = sum(parts) or 1
    return " ".join(f"{100 * p / total:.1f}" for p in parts)
