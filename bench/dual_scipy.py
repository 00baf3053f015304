"""Times minimisers of the dual in numpy: scipy's L-BFGS-B and the paper's projected gradient descent. Started by
bench/dual.ts as `dual_scipy.py scores.bin N K methods seconds m:beta…`; prints JSON."""
import json
import sys
import time

import numpy as np

THRESHOLD = 0.5


def dual(reward, safety, beta):
    prompts, responses = reward.shape
    slacks = [g - THRESHOLD for g in safety]

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


def lbfgsb(evaluate, m, end):
    from scipy.optimize import minimize

    found = minimize(
        evaluate,
        np.zeros(m),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * m,
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    return found.x, found.nfev, 1, True


def gradient(evaluate, m, end):
    """Steps of λ := max(0, λ − step·∇D) from 1 until five in a row lie within 1e-5. The authors' schedule: after 200
    steps without that, all over again with a shorter step (1, 1/2, 1/8, 1/64, 1/1024), and after five runs the end."""
    step = 1.0
    passes = 0
    for run in range(5):
        step /= 2**run
        prices = np.ones(m)
        last = []
        for i in range(200):
            if time.perf_counter() > end:
                return prices, passes, run + 1, False
            prices = np.maximum(0, prices - step * evaluate(prices)[1])
            passes += 1
            last = [*last[-4:], prices]
            if i >= 10 and max(np.abs(prices - other).max() for other in last) < 1e-5:
                return prices, passes, run + 1, True
    return prices, passes, 5, False


def timing(method, evaluate, m, limit):
    """The least time of as many runs as begin within a second."""
    begun = time.perf_counter()
    best = float("inf")
    while best == float("inf") or time.perf_counter() < begun + 1:
        start = time.perf_counter()
        prices, passes, runs, ended = method(evaluate, m, start + limit)
        best = min(best, time.perf_counter() - start)
    return {
        "lambda": prices.tolist(),
        "milliseconds": 1e3 * best,
        "passes": passes,
        "runs": runs,
        "ended": ended,
        "limited": not ended and best >= limit,
    }


def main():
    file, prompts, responses, methods, limit = sys.argv[1:6]
    values = np.fromfile(file).reshape(-1, int(prompts), int(responses))
    known = {"lbfgsb": lbfgsb, "gradient": gradient}
    results = []
    for case in sys.argv[6:]:
        m, beta = int(case.split(":")[0]), float(case.split(":")[1])
        evaluate = dual(values[0], values[1 : 1 + m], beta)
        results.append({name: timing(known[name], evaluate, m, float(limit)) for name in methods.split(",")})
    print(json.dumps(results))


main()
