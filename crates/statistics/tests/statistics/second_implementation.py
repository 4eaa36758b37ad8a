# Makes the constants of second_implementation.rs, with NumPy 2.4 and SciPy 1.17.
import numpy as np
from math import sqrt
from scipy import stats

def series(seed, n):
    out = []
    for _ in range(n):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(2**40 // (1 + (seed >> 40)))
    return np.array(out, dtype=np.uint64)

def quantile(x, p):
    return np.quantile(x, p, method="inverted_cdf")

x = series(1, 100_000)
# Not numpy.percentile: 99.9 / 100 * 100_000 is more than 99,900 in floating point, and the rank one too high.
for p in (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999):
    interval = stats.quantile_test(x, p=p).confidence_interval(0.95)
    print(p, quantile(x, p), interval.low, interval.high)
print(x.min(), x.max(), x.mean(), x.astype(float).std(ddof=1))

def outliers(x):
    x = x.astype(float)
    q1, q3 = quantile(x, 0.25), quantile(x, 0.75)
    far = [np.sum(x < q1 - k * (q3 - q1)) for k in (1.5, 3)] + [np.sum(x > q3 + k * (q3 - q1)) for k in (1.5, 3)]
    return far[1], far[0] - far[1], far[2] - far[3], far[3]

print(outliers(x), outliers(2**40 - x))

for n, p in ((6, .5), (71, .95), (72, .95), (101, .5), (12_345, .9), (1_000_000, .999), (3_000_000, .5)):
    low, high = int(stats.binom.ppf(.025, n, p)), int(stats.binom.isf(.025, n, p)) + 1
    print(n, p, low if low >= 1 and high <= n else None, high)

def medians(blocks, chunk, rng):
    for _ in range(20_000):
        drawn = []
        for block in rng.integers(0, len(blocks), len(blocks)):
            starts = rng.integers(0, len(blocks[block]) - chunk + 1, -(-len(blocks[block]) // chunk))
            drawn.append(np.concatenate([blocks[block][s:s + chunk] for s in starts])[:len(blocks[block])])
        yield quantile(np.concatenate(drawn), 0.5)

a, b, rng = np.split(series(3, 8_000), 8), np.split(series(4, 4_000), 8), np.random.default_rng(1)
ratios = [m / n for m, n in zip(medians(a, 10, rng), medians(b, 8, rng))]
tail = stats.norm.cdf(-sqrt(8 / 7) * stats.t.ppf(.975, 7))
print(quantile(np.concatenate(a), 0.5) / quantile(np.concatenate(b), 0.5), np.quantile(ratios, [tail, 1 - tail]))
