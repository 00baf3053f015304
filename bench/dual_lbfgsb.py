"""Times scipy's L-BFGS-B on the dual; started by bench/dual.ts, prints JSON."""
import json
import sys
import time

import numpy as np
from scipy.optimize import minimize


def dual(reward, safety, beta, thresholds):
    prompts, responses = reward.shape
    slacks = [np.ascontiguousarray(g - b) for g, b in zip(safety, thresholds)]

    def evaluate(prices):
        s = reward.copy()
        for price, slack in zip(prices, slacks):
            s += price * slack
        s /= beta
        top = s.max(1, keepdims=True)
        s -= top
        np.exp(s, out=s)
        total = s.sum(1)
        value = beta * np.mean(top[:, 0] + np.log(total / responses))
        s /= total[:, None]
        return value, np.array([np.einsum("ij,ij->", s, slack) / prompts for slack in slacks])

    return evaluate


def main():
    folder, prompts, responses = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    size = prompts * responses
    results = []
    for case in sys.argv[4:]:
        m, beta = int(case.split(":")[0]), float(case.split(":")[1])
        values = np.fromfile(f"{folder}/{m}.bin")
        reward = values[:size].reshape(prompts, responses).copy()
        safety = values[size:].reshape(m, prompts, responses).copy()
        best = float("inf")
        end = time.perf_counter() + 0.5
        runs = 0
        while runs < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            found = minimize(
                dual(reward, safety, beta, [0.5] * m),
                np.zeros(m),
                jac=True,
                method="L-BFGS-B",
                bounds=[(0, None)] * m,
                options={"ftol": 1e-15, "gtol": 1e-10},
            )
            best = min(best, time.perf_counter() - start)
            runs += 1
        results.append({"lambda": found.x.tolist(), "milliseconds": 1e3 * best, "evaluations": int(found.nfev)})
    print(json.dumps(results))


main()
