/* SPDX-License-Identifier: MIT */
/*
 * Copies of every size around the boundaries that matter to a transport
 * (cache line, page, 64 KiB extent, 1 MiB, 16 MiB window), host to device,
 * device to device and back, pageable and pinned, at odd offsets, and
 * overlapping on several streams.
 *
 *   async_copies [MAX_MIB]    default 16 (and one byte more); up to 1024
 */
#include "common.cuh"

static const size_t KIB = 1024, MIB = 1024 * 1024;

/* Byte i of pattern s: position and pattern both show in every byte. */
static void fill(unsigned char *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)((i * 2654435761u + s * 40503u) >> 13);
}

static void check(const unsigned char *p, size_t n, uint32_t s, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char want = (unsigned char)((i * 2654435761u + s * 40503u) >> 13);

        EXPECT(p[i] == want, "%s, %zu bytes: byte %zu is %u, not %u", what, n, i, p[i], want);
    }
}

struct buffers {
    unsigned char *host, *back;
    unsigned char *a, *b;
};

/* Guard bytes on both sides must stay as they are. */
static void round_trip(const struct buffers *m, size_t n, size_t shift, cudaStream_t stream,
                       const char *kind)
{
    unsigned char *src = m->host + shift, *dst = m->back + shift;
    uint32_t pattern = (uint32_t)n * 7 + (uint32_t)shift;

    fill(src, n, pattern);
    dst[-1] = 0xA5;
    dst[n] = 0x5A;
    RT(cudaMemsetAsync(m->b, 0xEE, shift + n + 1, stream));
    RT(cudaMemcpyAsync(m->a + shift, src, n, cudaMemcpyHostToDevice, stream));
    RT(cudaMemcpyAsync(m->b + shift, m->a + shift, n, cudaMemcpyDeviceToDevice, stream));
    RT(cudaMemcpyAsync(dst, m->b + shift, n, cudaMemcpyDeviceToHost, stream));
    RT(cudaStreamSynchronize(stream));
    check(dst, n, pattern, kind);
    EXPECT(dst[-1] == 0xA5 && dst[n] == 0x5A, "%s, %zu bytes: wrote outside", kind, n);
    unsigned char edge[2] = {0, 0};
    RT(cudaMemcpy(&edge[0], m->b + shift - 1, 1, cudaMemcpyDefault));
    RT(cudaMemcpy(&edge[1], m->b + shift + n, 1, cudaMemcpyDefault));
    EXPECT(edge[0] == 0xEE && edge[1] == 0xEE, "%s, %zu bytes: device edge overwritten", kind, n);
}

static void synchronous(const struct buffers *m, size_t n)
{
    fill(m->host, n, 99);
    RT(cudaMemcpy(m->a, m->host, n, cudaMemcpyHostToDevice));
    memset(m->back, 0, n);
    RT(cudaMemcpy(m->back, m->a, n, cudaMemcpyDeviceToHost));
    check(m->back, n, 99, "synchronous");
}

static std::vector<size_t> sizes_up_to(size_t most)
{
    static const size_t centres[] = {1,        64,        256,      4 * KIB,   32 * KIB,
                                     64 * KIB, 128 * KIB, 1 * MIB,  2 * MIB,   4 * MIB,
                                     8 * MIB,  16 * MIB,  64 * MIB, 256 * MIB, 1024 * MIB};
    std::vector<size_t> sizes;

    for (size_t c : centres)
        for (int d = -1; d <= 1; d++)
            if (c + d > 0 && c + d <= most + 1)
                sizes.push_back(c + d);
    return sizes;
}

static void all_sizes(const struct buffers *m, const std::vector<size_t> &sizes,
                      cudaStream_t stream, const char *kind)
{
    for (size_t n : sizes) {
        round_trip(m, n, 1 + n % 3, stream, kind);
        synchronous(m, n);
    }
}

/* Six streams copy in and out at once; every one must get its own bytes. */
static void overlapping(size_t n)
{
    const int count = 6;
    unsigned char *host[count], *device[count];
    cudaStream_t streams[count];

    for (int i = 0; i < count; i++) {
        RT(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
        RT(cudaMallocHost(&host[i], n));
        RT(cudaMalloc(&device[i], n));
        fill(host[i], n, i);
    }
    for (int i = 0; i < count; i++) {
        RT(cudaMemcpyAsync(device[i], host[i], n, cudaMemcpyHostToDevice, streams[i]));
        RT(cudaMemcpyAsync(host[i], device[i], n, cudaMemcpyDeviceToHost, streams[i]));
    }
    for (int i = count - 1; i >= 0; i--) {
        RT(cudaStreamSynchronize(streams[i]));
        check(host[i], n, i, "overlapping");
    }
    for (int i = 0; i < count; i++) {
        RT(cudaStreamDestroy(streams[i]));
        RT(cudaFreeHost(host[i]));
        RT(cudaFree(device[i]));
    }
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 16;
    size_t most = mib * MIB, room = most + 16;
    std::vector<size_t> sizes = sizes_up_to(most);
    struct buffers m;
    cudaStream_t stream;

    EXPECT(mib >= 1 && mib <= 1024, "the argument is a number of MiB from 1 to 1024");
    RT(cudaStreamCreate(&stream));
    RT(cudaMalloc(&m.a, room));
    RT(cudaMalloc(&m.b, room));
    m.host = (unsigned char *)malloc(room);
    m.back = (unsigned char *)malloc(room);
    EXPECT(m.host && m.back, "out of memory");
    all_sizes(&m, sizes, stream, "pageable");
    free(m.host);
    free(m.back);

    RT(cudaMallocHost(&m.host, room));
    RT(cudaMallocHost(&m.back, room));
    all_sizes(&m, sizes, stream, "pinned");
    RT(cudaFreeHost(m.host));
    RT(cudaFreeHost(m.back));
    overlapping(MIB + 12345);
    RT(cudaFree(m.a));
    RT(cudaFree(m.b));
    RT(cudaStreamDestroy(stream));
    return passed("%zu sizes up to %zu MiB, pageable and pinned, 6 streams", sizes.size(), mib);
}
