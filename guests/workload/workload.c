/* workload: a CPU-bound 32-bit program, for comparing emulators' speed.
 * Run:    minivm run guests/workload/workload.elf
 * Prints: sieve     000245C5
 * Prints: matrix    0E2674C7
 * Prints: crc32     8DF06C0E
 * Prints: memcpy    6DBC2F95
 * Prints: quicksort EFCAFB54
 * Prints: done
 * Exit:   1
 *
 * It prints on the debug console, which takes a byte at once; a serial port would be waited for.
 * No libc and no input: every run does the same. Each line is the checksum of one kind of work: memory in strides
 * (sieve), multiplying (matrix), table look-ups in a chain (CRC), wide copying (memcpy), branches (quicksort).
 */

#include <stdint.h>

enum { DEBUG_CONSOLE = 0xE9, EXIT_PORT = 0xF4, STACK_SIZE = 65536 };
enum { SIEVE_SIZE = 2000000, MATRIX_SIZE = 160, BUFFER_SIZE = 1 << 20, SORT_COUNT = 300000 };
enum { SIEVE_ROUNDS = 1, MATRIX_ROUNDS = 2, CRC_ROUNDS = 6, COPY_ROUNDS = 40, SORT_ROUNDS = 1 };

/* Multiboot 0.6.96, section 3.1: magic, flags, and a checksum that makes the three add up to zero. */
__attribute__((section(".multiboot"), used)) static const uint32_t multiboot_header[3] = {0x1BADB002, 0, -0x1BADB002u};

uint8_t stack[STACK_SIZE] __attribute__((aligned(16), used));

static uint8_t sieve_flags[SIEVE_SIZE];
static uint32_t left[MATRIX_SIZE][MATRIX_SIZE], right[MATRIX_SIZE][MATRIX_SIZE], product[MATRIX_SIZE][MATRIX_SIZE];
static uint32_t crc_table[256];
static uint8_t source[BUFFER_SIZE], target[BUFFER_SIZE];
static uint32_t numbers[SORT_COUNT];

static inline void out(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
    while (*text)
        out(DEBUG_CONSOLE, *text++);
}

static void report(const char *name, uint32_t checksum)
{
    print(name);
    for (int shift = 28; shift >= 0; shift -= 4)
        out(DEBUG_CONSOLE, "0123456789ABCDEF"[checksum >> shift & 15]);
    print("\r\n");
}

/* Numerical Recipes' linear congruential generator: the same numbers everywhere. */
static uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

static uint32_t sieve(void)
{
    uint32_t primes = 0;
    for (uint32_t i = 2; i < SIEVE_SIZE; i++)
        sieve_flags[i] = 1;
    for (uint32_t i = 2; i < SIEVE_SIZE; i++) {
        if (!sieve_flags[i])
            continue;
        primes++;
        for (uint32_t multiple = 2 * i; multiple < SIEVE_SIZE; multiple += i)
            sieve_flags[multiple] = 0;
    }
    return primes;
}

static uint32_t matrix(void)
{
    uint32_t state = 1, sum = 0;
    for (int i = 0; i < MATRIX_SIZE; i++)
        for (int j = 0; j < MATRIX_SIZE; j++) {
            left[i][j] = next_random(&state) >> 16;
            right[i][j] = next_random(&state) >> 16;
        }
    for (int i = 0; i < MATRIX_SIZE; i++)
        for (int j = 0; j < MATRIX_SIZE; j++) {
            uint32_t cell = 0;
            for (int k = 0; k < MATRIX_SIZE; k++)
                cell += left[i][k] * right[k][j];
            product[i][j] = cell;
            sum = sum * 31 + cell;
        }
    return sum;
}

static uint32_t crc32(const uint8_t *bytes, uint32_t length)
{
    uint32_t crc = 0xFFFFFFFF;
    while (length--)
        crc = crc >> 8 ^ crc_table[(crc ^ *bytes++) & 0xFF];
    return ~crc;
}

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (int bit = 0; bit < 8; bit++)
            entry = entry & 1 ? entry >> 1 ^ 0xEDB88320 : entry >> 1; /* IEEE 802.3, bits reversed */
        crc_table[i] = entry;
    }
}

static void copy(uint32_t *to, const uint32_t *from, uint32_t words)
{
    while (words--)
        *to++ = *from++;
}

static void quicksort(uint32_t *first, uint32_t *last)
{
    while (first < last) {
        uint32_t pivot = first[(last - first) / 2], *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                uint32_t swapped = *low;
                *low++ = *high;
                *high-- = swapped;
            }
        }
        quicksort(first, high); /* the lower part by a call, the upper part by going round */
        first = low;
    }
}

static uint32_t sort(void)
{
    uint32_t state = 7, sum = 0;
    for (int i = 0; i < SORT_COUNT; i++)
        numbers[i] = next_random(&state);
    quicksort(numbers, numbers + SORT_COUNT - 1);
    for (int i = 0; i < SORT_COUNT; i++)
        sum = sum * 31 + numbers[i];
    return sum;
}

__attribute__((used)) void run(void)
{
    uint32_t checksum = 0, state = 42;
    for (int i = 0; i < SIEVE_ROUNDS; i++)
        checksum = sieve();
    report("sieve     ", checksum);

    for (int i = 0; i < MATRIX_ROUNDS; i++)
        checksum = matrix();
    report("matrix    ", checksum);

    make_crc_table();
    for (int i = 0; i < BUFFER_SIZE; i++)
        source[i] = next_random(&state) >> 24;
    for (int i = 0; i < CRC_ROUNDS; i++)
        checksum = crc32(source, BUFFER_SIZE);
    report("crc32     ", checksum);

    for (int i = 0; i < COPY_ROUNDS; i++) {
        copy((uint32_t *)target, (const uint32_t *)source, BUFFER_SIZE / 4);
        source[i] ^= i; /* so that no two rounds are the same, and none is left out */
    }
    report("memcpy    ", crc32(target, BUFFER_SIZE));

    for (int i = 0; i < SORT_ROUNDS; i++)
        checksum = sort();
    report("quicksort ", checksum);

    print("done\r\n");
    out(EXIT_PORT, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* A Multiboot loader leaves no stack. */
__asm__(".globl start\nstart:\n\tmovl $stack + 65536, %esp\n\tcall run\n");
