// One pass over the scores of one constraint, value, gradient and Hessian, as plain C: the reference of bench/dual_pass.ts.
//     cc -O3 -march=native -ffast-math dual_pass.c -lm -o dual_pass && ./dual_pass scores.bin N K beta threshold lambda
// scores.bin holds f64[N][K] rewards, then f64[N][K] safety scores. Prints milliseconds, value, gradient and Hessian.
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void pass(const double *r, const double *g, int N, int K, double beta, double b, double lambda, double *out) {
  double *s = malloc(K * sizeof *s);
  double value = 0, gradient = 0, hessian = 0;
  for (int n = 0; n < N; n++, r += K, g += K) {
    double top = -INFINITY, total = 0, mean = 0, square = 0;
    for (int k = 0; k < K; k++) {
      s[k] = r[k] + lambda * g[k];
      top = s[k] > top ? s[k] : top;
    }
    for (int k = 0; k < K; k++) {
      const double e = exp((s[k] - top) / beta);
      total += e;
      mean += e * g[k];
      square += e * g[k] * g[k];
    }
    mean /= total;
    value += top + beta * log(total / K);
    gradient += mean;
    hessian += square / total - mean * mean;
  }
  free(s);
  out[0] = value / N - lambda * b;
  out[1] = gradient / N - b;
  out[2] = hessian / (N * beta);
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  const int N = atoi(argv[2]), K = atoi(argv[3]);
  const double beta = atof(argv[4]), b = atof(argv[5]), lambda = atof(argv[6]);
  const size_t size = (size_t)N * K;
  double *scores = malloc(2 * size * sizeof *scores), out[3], best = INFINITY;
  FILE *file = fopen(argv[1], "rb");
  if (!file || !scores || fread(scores, sizeof *scores, 2 * size, file) != 2 * size) return 1;
  const double end = seconds() + 1;
  while (seconds() < end) {
    const double start = seconds();
    pass(scores, scores + size, N, K, beta, b, lambda, out);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  printf("[%.6f, %.17g, %.17g, %.17g]\n", 1e3 * best, out[0], out[1], out[2]);
  return 0;
}
