/* SHA-256 of two messages at once, by the processor's own instructions for it (x86-64). Pure.
 *
 * Each of these instructions waits for the one before: a single message leaves the processor idle half of the time, and a second one
 * beside it costs nothing. OpenSSL has one message at a time. What is here is the arithmetic of FIPS 180-4 and no more; before it is used,
 * fimkit.baseline.pairs compares it with OpenSSL's, and what differs there is not used.
 */

#ifndef FIMKIT_SHA256_PAIR_H
#define FIMKIT_SHA256_PAIR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SHA256_BLOCK 64
#define SHA256_SIZE 32
#define SHA256_PADDING (2 * SHA256_BLOCK) /* bytes that pad_sum() may write to */

/* A message under way, and the whole blocks of it that are there and not hashed. */
typedef struct {
    uint32_t words[8];
    const unsigned char *next;
    size_t ready;
} Sum;

static void start_sum(Sum *sum)
{
    static const uint32_t start[8] = { /* Source: FIPS 180-4, 5.3.3 */
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(sum->words, start, sizeof start);
    sum->ready = 0;
}

/* Ends a message of so many bytes, behind the last of them that fill no block; gives how many blocks those are then. */
static size_t pad_sum(unsigned char *last, size_t length, uint64_t size)
{
    const uint64_t bits = size * 8;
    const size_t blocks = length + 1 + sizeof bits <= SHA256_BLOCK ? 1 : 2, end = blocks * SHA256_BLOCK;
    last[length] = 0x80;
    memset(last + length + 1, 0, end - length - 1);
    for (size_t number = 0; number < sizeof bits; number++)
        last[end - 1 - number] = (unsigned char)(bits >> 8 * number);
    return blocks;
}

static void end_sum(const Sum *sum, unsigned char *digest)
{
    for (int number = 0; number < SHA256_SIZE; number++)
        digest[number] = (unsigned char)(sum->words[number / 4] >> (24 - number % 4 * 8));
}

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t of_round[64] __attribute__((aligned(16))) = { /* Source: FIPS 180-4, 4.2.2 */
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static int has_pairs(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

/* The eight words as the instructions take them: a b e f, c d g h, the first one highest. */
typedef struct {
    __m128i abef, cdgh;
} Halves;

WITH_SHA static inline Halves load_halves(const uint32_t *words)
{
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(words + 4)), 0x1b);
    return (Halves){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

WITH_SHA static inline void store_halves(Halves halves, uint32_t *words)
{
    const __m128i feba = _mm_shuffle_epi32(halves.abef, 0x1b), dchg = _mm_shuffle_epi32(halves.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(words + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four words of the schedule, the 4 * step-th and on; the sixteen before them are in it. */
WITH_SHA static inline __m128i next_words(__m128i *schedule, int step, const unsigned char *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i last = schedule[(step + 3) % 4];
    if (step < 4) {
        schedule[step] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * step)), big_endian);
        return schedule[step];
    }
    __m128i words = _mm_sha256msg1_epu32(schedule[step % 4], schedule[(step + 1) % 4]);
    words = _mm_add_epi32(words, _mm_alignr_epi8(last, schedule[(step + 2) % 4], 4));
    schedule[step % 4] = _mm_sha256msg2_epu32(words, last);
    return schedule[step % 4];
}

/* Hashes so many blocks of each. The loops over the two are unrolled: their instructions alternate, which is all that this is for. */
WITH_SHA static void hash_both(uint32_t *const words[2], const unsigned char *const blocks[2], size_t count)
{
    Halves now[2] = {load_halves(words[0]), load_halves(words[1])};
    for (size_t at = 0; at < count * SHA256_BLOCK; at += SHA256_BLOCK) {
        const Halves before[2] = {now[0], now[1]};
        __m128i schedule[2][4] = {{{0}}};
#pragma GCC unroll 16
        for (int step = 0; step < 16; step++) {
            const __m128i of_step = _mm_load_si128((const __m128i *)(of_round + 4 * step));
#pragma GCC unroll 2
            for (int one = 0; one < 2; one++) {
                const __m128i sum = _mm_add_epi32(next_words(schedule[one], step, blocks[one] + at), of_step);
                now[one].cdgh = _mm_sha256rnds2_epu32(now[one].cdgh, now[one].abef, sum);
                now[one].abef = _mm_sha256rnds2_epu32(now[one].abef, now[one].cdgh, _mm_shuffle_epi32(sum, 0x0e));
            }
        }
        for (int one = 0; one < 2; one++) {
            now[one].abef = _mm_add_epi32(now[one].abef, before[one].abef);
            now[one].cdgh = _mm_add_epi32(now[one].cdgh, before[one].cdgh);
        }
    }
    store_halves(now[0], words[0]);
    store_halves(now[1], words[1]);
}

#else

static int has_pairs(void)
{
    return 0;
}

static void hash_both(uint32_t *const words[2], const unsigned char *const blocks[2], size_t count)
{
    (void)words, (void)blocks, (void)count; /* never called */
}

#endif

/* Hashes as many blocks as both have, or all of the one that has some: a second one of no use then costs no time. */
static void advance_sums(Sum *first, Sum *second)
{
    uint32_t unused[8] = {0};
    size_t count = first->ready < second->ready ? first->ready : second->ready;
    if (count > 0) {
        hash_both((uint32_t *const[2]){first->words, second->words}, (const unsigned char *const[2]){first->next, second->next}, count);
        first->next += count * SHA256_BLOCK, first->ready -= count;
        second->next += count * SHA256_BLOCK, second->ready -= count;
        return;
    }
    Sum *rest = first->ready > 0 ? first : second;
    hash_both((uint32_t *const[2]){rest->words, unused}, (const unsigned char *const[2]){rest->next, rest->next}, rest->ready);
    rest->next += rest->ready * SHA256_BLOCK, rest->ready = 0;
}

#endif
