// One pass over the scores of M constraints, value, gradient and Hessian, as C: the reference of bench/dual.ts.
//     cc -O3 -march=native -ffast-math -DM=1 dual_pass.c -lm -o dual_pass && ./dual_pass scores.bin N K beta threshold λ…
// scores.bin holds f64[N][K] rewards, then f64[M or more][N][K] safety scores. Prints milliseconds, value, gradient and
// lower triangle of the Hessian of the faster of two kernels: one takes every exp, the other gathers the responses within
// 40·beta of their row's best first.
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAIRS (M * (M + 1) / 2)
#define WIDTH (1 + M + PAIRS)

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int N, K;
static double beta, threshold, lambda[M], *score, *gathered[M];

// Adds a row's value, mean and covariance to sums.
static void softmax(const double *restrict s, const double *const *g, int count, double top, double *sums) {
  const double *g0 = g[0];
#if M > 1
  const double *g1 = g[1];
#endif
#if M > 2
  const double *g2 = g[2], *g3 = g[3];
#endif
  const double inverse = 1 / beta;
  double total = 0, mean[M] = {0}, square[PAIRS] = {0};
  for (int k = 0; k < count; k++) {
    const double x = (s[k] - top) * inverse;
    // Vector libraries take a slow path where exp underflows.
    const double e = exp(x > -700 ? x : -700);
    total += e;
    const double p0 = e * g0[k];
    mean[0] += p0;
    square[0] += p0 * g0[k];
#if M > 1
    const double p1 = e * g1[k];
    mean[1] += p1;
    square[1] += p1 * g0[k];
    square[2] += p1 * g1[k];
#endif
#if M > 2
    const double p2 = e * g2[k], p3 = e * g3[k];
    mean[2] += p2;
    mean[3] += p3;
    square[3] += p2 * g0[k];
    square[4] += p2 * g1[k];
    square[5] += p2 * g2[k];
    square[6] += p3 * g0[k];
    square[7] += p3 * g1[k];
    square[8] += p3 * g2[k];
    square[9] += p3 * g3[k];
#endif
  }
  sums[0] += top + beta * log(total / K);
  for (int i = 0, at = 0; i < M; i++) {
    mean[i] /= total;
    sums[1 + i] += mean[i];
    for (int j = 0; j <= i; j++, at++) sums[1 + M + at] += square[at] / total - mean[i] * mean[j];
  }
}

static void pass(const double *r, const double *safety, int compact, double *out) {
  const size_t plane = (size_t)N * K;
  double sums[WIDTH] = {0};
  for (int n = 0; n < N; n++, r += K) {
    const double *g[M];
    for (int j = 0; j < M; j++) g[j] = safety + j * plane + (size_t)n * K;
    double top = -INFINITY;
    for (int k = 0; k < K; k++) {
      double s = r[k];
      for (int j = 0; j < M; j++) s += lambda[j] * g[j][k];
      score[k] = s;
      top = s > top ? s : top;
    }
    int count = K;
    if (compact) {
      const double least = top - 40 * beta;
      count = 0;
      for (int k = 0; k < K; k++) {
        const double s = score[k];
        score[count] = s;
        for (int j = 0; j < M; j++) gathered[j][count] = g[j][k];
        count += s >= least;
      }
    }
    softmax(score, compact ? (const double *const *)gathered : g, count, top, sums);
  }
  out[0] = sums[0] / N;
  for (int j = 0; j < M; j++) {
    out[0] -= lambda[j] * threshold;
    out[1 + j] = sums[1 + j] / N - threshold;
  }
  for (int i = 0; i < PAIRS; i++) out[1 + M + i] = sums[1 + M + i] / (N * beta);
}

int main(int argc, char **argv) {
  if (argc != 6 + M) return 2;
  N = atoi(argv[2]);
  K = atoi(argv[3]);
  beta = atof(argv[4]);
  threshold = atof(argv[5]);
  for (int j = 0; j < M; j++) lambda[j] = atof(argv[6 + j]);
  const size_t size = (size_t)N * K * (1 + M);
  double *scores = malloc(size * sizeof *scores), out[WIDTH], best = INFINITY;
  score = malloc((K + 1) * sizeof *score);
  for (int j = 0; j < M; j++) gathered[j] = malloc((K + 1) * sizeof *score);
  FILE *file = fopen(argv[1], "rb");
  if (!file || !scores || fread(scores, sizeof *scores, size, file) != size) return 1;
  for (int compact = 0; compact < 2; compact++) {
    int runs = 0;
    for (const double end = seconds() + 0.5; runs < 3 || seconds() < end; runs++) {
      const double start = seconds();
      pass(scores, scores + (size_t)N * K, compact, out);
      const double time = seconds() - start;
      if (time < best) best = time;
    }
  }
  printf("[%.6f", 1e3 * best);
  for (int i = 0; i < WIDTH; i++) printf(", %.17g", out[i]);
  printf("]\n");
  return 0;
}
