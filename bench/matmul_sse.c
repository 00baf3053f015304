/*
 * What 128-bit SIMD without fused multiply-add can do: the limit in registers, and products of matrices by the same
 * plan as assembly/policy/matmul.ts (panels of 256 terms packed, tiles of 4 rows by 8 columns).
 *
 *     matmul_sse m n k form [form …]      form: NN, NT, TN or TT
 *
 * Prints "limit GFLOP/s", then "form GFLOP/s" a line; each the best of the runs of a fifth of a second.
 */
#include <smmintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TERMS 256
#define COLUMNS 192
#define SECONDS 0.2

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int min(int a, int b) { return a < b ? a : b; }

/* Eight sums at a time, so that no addition waits for the one before it. */
static double limit(void) {
  const int rounds = 100000;
  double best = 0;
  for (double end = now() + SECONDS; now() < end;) {
    __m128 sum[8], x = _mm_set1_ps(1.0000001f), y = _mm_set1_ps(0.999f);
    for (int i = 0; i < 8; i++) sum[i] = _mm_set1_ps((float)i);
    double start = now();
    for (int r = 0; r < rounds; r++) {
      for (int i = 0; i < 8; i++) {
        sum[i] = _mm_add_ps(sum[i], _mm_mul_ps(x, y));
        __asm__ volatile("" : "+x"(x));
      }
    }
    double rate = rounds * 64.0 / (now() - start) / 1e9;
    for (int i = 1; i < 8; i++) sum[0] = _mm_add_ps(sum[0], sum[i]);
    volatile float kept = _mm_cvtss_f32(sum[0]);
    (void)kept;
    if (rate > best) best = rate;
  }
  return best;
}

/* to[l][0 … width - 1] = the elements of `width` rows or columns at term l. */
static void pack(float *to, const float *from, int across, int along, int width, int present, int terms) {
  for (int l = 0; l < terms; l++)
    for (int j = 0; j < width; j++) to[l * width + j] = from[(size_t)l * along + (size_t)min(j, present - 1) * across];
}

static void tile(const float *a, const float *b, int k, float *c, int n, int add) {
  __m128 sum[4][2];
  for (int i = 0; i < 4; i++) sum[i][0] = sum[i][1] = _mm_setzero_ps();
  for (int l = 0; l < k; l++, a += 4, b += 8) {
    __m128 left = _mm_loadu_ps(b), right = _mm_loadu_ps(b + 4);
    for (int i = 0; i < 4; i++) {
      __m128 x = _mm_load1_ps(a + i);
      sum[i][0] = _mm_add_ps(sum[i][0], _mm_mul_ps(x, left));
      sum[i][1] = _mm_add_ps(sum[i][1], _mm_mul_ps(x, right));
    }
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) {
      float *to = c + (size_t)i * n + 4 * j;
      _mm_storeu_ps(to, add ? _mm_add_ps(_mm_loadu_ps(to), sum[i][j]) : sum[i][j]);
    }
}

/* m a multiple of 4, n of 8. */
static void matmul(float *c, const float *a, const float *b, int m, int n, int k, int ta, int tb) {
  static float left[4 * TERMS], right[COLUMNS * TERMS];
  for (int j0 = 0; j0 < n; j0 += COLUMNS) {
    int j1 = min(j0 + COLUMNS, n);
    for (int l = 0; l < k; l += TERMS) {
      int terms = min(TERMS, k - l);
      for (int j = j0; j < j1; j += 8) {
        const float *from = tb ? b + (size_t)j * k + l : b + (size_t)l * n + j;
        pack(right + (j - j0) * terms, from, tb ? k : 1, tb ? 1 : n, 8, 8, terms);
      }
      for (int i = 0; i < m; i += 4) {
        pack(left, ta ? a + (size_t)l * m + i : a + (size_t)i * k + l, ta ? 1 : k, ta ? m : 1, 4, 4, terms);
        for (int j = j0; j < j1; j += 8) tile(left, right + (j - j0) * terms, terms, c + (size_t)i * n + j, n, l > 0);
      }
    }
  }
}

int main(int count, char **args) {
  int m = atoi(args[1]), n = atoi(args[2]), k = atoi(args[3]);
  float *a = malloc(sizeof(float) * m * k), *b = malloc(sizeof(float) * n * k), *c = malloc(sizeof(float) * m * n);
  for (size_t i = 0; i < (size_t)m * k; i++) a[i] = 0.5f;
  for (size_t i = 0; i < (size_t)n * k; i++) b[i] = 0.25f;
  printf("limit %.2f\n", limit());
  for (int form = 4; form < count; form++) {
    double best = 0;
    for (double end = now() + SECONDS; now() < end;) {
      double start = now();
      matmul(c, a, b, m, n, k, args[form][0] == 'T', args[form][1] == 'T');
      double rate = 2.0 * m * n * k / (now() - start) / 1e9;
      if (rate > best) best = rate;
    }
    printf("%s %.2f\n", args[form], best);
  }
  return 0;
}
