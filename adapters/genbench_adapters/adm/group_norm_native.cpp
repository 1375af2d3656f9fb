// silu(norm(x) * (1 + scale) + shift) of bfloat16 images on a CPU, rounded once.
//
// Vectors of the compiler's own kind, which any machine has: gcc and clang make of them what the
// processor can do. Every operation is one of IEEE 754, in the order that is written and contracted
// with no other but where it says so, so the bits are the same whoever compiles it, for whatever
// processor.

#include <stdint.h>
#include <string.h>

#if !defined(__FMA__) && !defined(__ARM_FEATURE_FMA)
#error "this processor has no fused multiply-add"
#endif

namespace {

const int WIDTH = 16;  // channels at a time; a row of 2 WIDTH bfloat16 fills a line of the cache

typedef float Values __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(2 * WIDTH)));

// a * b + c, rounded once.
inline Values fused(const Values &a, const Values &b, const Values &c) {
    Values made;
    for (int i = 0; i < WIDTH; i++) made[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return made;
}

inline float widened(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline void load(Values &to, const uint16_t *from) {
    Halves halves;
    memcpy(&halves, from, sizeof halves);
    to = (Values)(__builtin_convertvector(halves, Words) << 16);
}

inline void load(Values &to, const float *from) { memcpy(&to, from, sizeof to); }

inline void store(float *to, const Values &from) { memcpy(to, &from, sizeof from); }

// To the nearest bfloat16, ties to even; NaN stays NaN.
inline void store(uint16_t *to, const Values &from) {
    Words bits = (Words)from, nan = Words{} + 0x7fc00000;
    bits += 0x7fff + ((bits >> 16) & 1);
    bits = from == from ? bits : nan;
    Halves halves = __builtin_convertvector(bits >> 16, Halves);
    memcpy(to, &halves, sizeof halves);
}

// x / (1 + e^-x). The power is 2^p, p kept between -126 and 128, where it is infinite: by a
// polynomial of p's distance from a whole number, whose largest relative error, 2e-7, is least.
inline void activate(Values &x) {
    Values p = x * -1.44269504f, least = Values{} - 126.0f, most = Values{} + 128.0f;
    p = p < least ? least : p;
    p = p > most ? most : p;
    Values shifted = p + 12582912.0f;  // 1.5 * 2^23: p rounded stands in the last bits
    Values r = p - (shifted - 12582912.0f);
    Values zero = {}, power = fused(r, zero + 1.3264727e-3f, zero + 9.6715130e-3f);
    power = fused(power, r, zero + 5.5507336e-2f);
    power = fused(power, r, zero + 2.4022242e-1f);
    power = fused(power, r, zero + 6.9314700e-1f);
    power = fused(power, r, zero + 1.0f);
    power = (Values)((Words)power + ((Words)shifted << 23));
    x /= 1.0f + power;
}

// Sums [channels] of an image's differences from its first pixel, and of their squares: a mean of
// many deviations costs no digits so.
void sum_up(const uint16_t *image, float *sums, float *squares, int64_t pixels, int64_t channels) {
    for (int64_t c = 0; c < channels; c += 2 * WIDTH) {
        Values first, second, a, b, sum_a = {}, sum_b = {}, square_a = {}, square_b = {};
        load(first, image + c);
        load(second, image + c + WIDTH);
        const uint16_t *row = image + c;
        for (int64_t p = 0; p < pixels; p++, row += channels) {
            load(a, row);
            load(b, row + WIDTH);
            a -= first;
            b -= second;
            sum_a += a;
            sum_b += b;
            square_a = fused(a, a, square_a);
            square_b = fused(b, b, square_b);
        }
        store(sums + c, sum_a);
        store(sums + c + WIDTH, sum_b);
        store(squares + c, square_a);
        store(squares + c + WIDTH, square_b);
    }
}

// In place of an image's sums and squares the factor and the summand of each channel: norm, its
// weights, scale and shift in one. told: scale and shift [2 channels], or null.
void combine(
    const uint16_t *image, float *sums, float *squares, const float *weight, const float *bias,
    const float *told, int64_t pixels, int64_t channels, int64_t groups, double eps
) {
    int64_t each = channels / groups;
    for (int64_t begin = 0; begin < channels; begin += each) {
        double mean = 0, variance = 0;
        for (int64_t c = begin; c < begin + each; c++)
            mean += (widened(image[c]) + sums[c] / (double)pixels) / (double)each;
        for (int64_t c = begin; c < begin + each; c++) {
            double within = sums[c] / (double)pixels;
            double from = widened(image[c]) + within - mean;
            double own = squares[c] / (double)pixels - within * within;
            variance += ((own > 0 ? own : own * 0) + from * from) / (double)each;
        }
        // Sums that left float32's range make every value of the group NaN: 0 is added otherwise.
        double inverse = 1 / __builtin_sqrt(variance + eps) + (variance - variance);
        for (int64_t c = begin; c < begin + each; c++) {
            double factor = weight[c] * inverse, summand = bias[c] - mean * factor;
            if (told) {
                factor *= 1.0 + told[c];
                summand = summand * (1.0 + told[c]) + told[channels + c];
            }
            sums[c] = (float)factor;
            squares[c] = (float)summand;
        }
    }
}

void apply(
    const uint16_t *image, uint16_t *made, const float *factors, const float *summands,
    int64_t pixels, int64_t channels
) {
    for (int64_t c = 0; c < channels; c += 2 * WIDTH) {
        Values factor_a, factor_b, summand_a, summand_b, a, b;
        load(factor_a, factors + c);
        load(factor_b, factors + c + WIDTH);
        load(summand_a, summands + c);
        load(summand_b, summands + c + WIDTH);
        for (int64_t p = c; p < pixels * channels; p += channels) {
            load(a, image + p);
            load(b, image + p + WIDTH);
            a = fused(a, factor_a, summand_a);
            b = fused(b, factor_b, summand_b);
            activate(a);
            activate(b);
            store(made + p, a);
            store(made + p + WIDTH, b);
        }
    }
}

}  // namespace

// x, made: [count, pixels, channels], channels a multiple of 32. weight, bias: [channels].
// condition: [count, 2 channels], scales before shifts, or null. work: room for 2 channels.
extern "C" void activated_group_norm(
    const uint16_t *x, uint16_t *made, const float *weight, const float *bias,
    const float *condition, float *work, int64_t count, int64_t pixels, int64_t channels,
    int64_t groups, double eps
) {
    for (int64_t i = 0; i < count; i++) {
        const uint16_t *image = x + i * pixels * channels;
        const float *told = condition ? condition + 2 * i * channels : nullptr;
        sum_up(image, work, work + channels, pixels, channels);
        combine(image, work, work + channels, weight, bias, told, pixels, channels, groups, eps);
        apply(image, made + i * pixels * channels, work, work + channels, pixels, channels);
    }
}
