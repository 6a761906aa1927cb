/* SPDX-License-Identifier: MIT */
/* Pitched 2D and 3D copies, and memsets of every width, against plain loops. */
#include "common.cuh"

static unsigned char at(size_t x, size_t y, size_t z)
{
    return (unsigned char)(x * 3 + y * 37 + z * 101 + 5);
}

/* A window of a larger host picture goes to pitched memory and back. */
static void copy_2d(size_t width, size_t height, bool async)
{
    const size_t host_pitch = width + 13;
    std::vector<unsigned char> in(host_pitch * height), out(host_pitch * height, 0xCC);
    unsigned char *device;
    size_t pitch;

    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < host_pitch; x++)
            in[y * host_pitch + x] = at(x, y, 0);
    RT(cudaMallocPitch(&device, &pitch, width, height));
    EXPECT(pitch >= width && pitch % 32 == 0, "a pitch of %zu for a width of %zu", pitch, width);
    if (async) {
        RT(cudaMemcpy2DAsync(device, pitch, in.data(), host_pitch, width, height,
                             cudaMemcpyHostToDevice, 0));
        RT(cudaMemcpy2DAsync(out.data(), host_pitch, device, pitch, width, height,
                             cudaMemcpyDeviceToHost, 0));
        RT(cudaStreamSynchronize(0));
    } else {
        RT(cudaMemcpy2D(device, pitch, in.data(), host_pitch, width, height,
                        cudaMemcpyHostToDevice));
        RT(cudaMemcpy2D(out.data(), host_pitch, device, pitch, width, height,
                        cudaMemcpyDeviceToHost));
    }
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < host_pitch; x++) {
            unsigned char want = x < width ? at(x, y, 0) : 0xCC;

            EXPECT(out[y * host_pitch + x] == want, "2D %zux%zu: (%zu,%zu) is %u, not %u", width,
                   height, x, y, out[y * host_pitch + x], want);
        }
    RT(cudaFree(device));
}

static void memset_2d(void)
{
    const size_t width = 70, height = 9;
    unsigned char *device;
    size_t pitch;

    RT(cudaMallocPitch(&device, &pitch, width, height));
    std::vector<unsigned char> all(pitch * height);
    RT(cudaMemset(device, 0x11, pitch * height));
    RT(cudaMemset2D(device + 1, pitch, 0x77, width - 2, height));
    RT(cudaMemcpy(all.data(), device, all.size(), cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < all.size(); i++) {
        size_t x = i % pitch;
        unsigned char want = x >= 1 && x < width - 1 ? 0x77 : 0x11;

        EXPECT(all[i] == want, "memset 2D: byte %zu of row %zu is %02x", x, i / pitch, all[i]);
    }
    RT(cudaFree(device));
}

/* A box out of the middle of a 3D block, device to device, read back whole. */
static void copy_3d(void)
{
    const size_t w = 40, h = 12, d = 7;
    cudaExtent whole = make_cudaExtent(w, h, d), box = make_cudaExtent(17, 5, 3);
    std::vector<unsigned char> in(w * h * d), out(w * h * d);
    cudaPitchedPtr a, b;
    cudaMemcpy3DParms up = {}, inside = {}, down = {};

    for (size_t i = 0; i < in.size(); i++)
        in[i] = at(i % w, i / w % h, i / w / h);
    RT(cudaMalloc3D(&a, whole));
    RT(cudaMalloc3D(&b, whole));
    RT(cudaMemset3D(b, 0x42, whole));
    up.srcPtr = make_cudaPitchedPtr(in.data(), w, w, h);
    up.dstPtr = a;
    up.extent = whole;
    up.kind = cudaMemcpyHostToDevice;
    RT(cudaMemcpy3D(&up));
    inside.srcPtr = a;
    inside.srcPos = make_cudaPos(3, 2, 1);
    inside.dstPtr = b;
    inside.dstPos = make_cudaPos(20, 6, 4);
    inside.extent = box;
    inside.kind = cudaMemcpyDeviceToDevice;
    RT(cudaMemcpy3DAsync(&inside, 0));
    down.srcPtr = b;
    down.dstPtr = make_cudaPitchedPtr(out.data(), w, w, h);
    down.extent = whole;
    down.kind = cudaMemcpyDeviceToHost;
    RT(cudaMemcpy3D(&down));
    for (size_t i = 0; i < out.size(); i++) {
        size_t x = i % w, y = i / w % h, z = i / w / h;
        bool moved = x >= 20 && x < 37 && y >= 6 && y < 11 && z >= 4 && z < 7;
        unsigned char want = moved ? at(x - 17, y - 4, z - 3) : 0x42;

        EXPECT(out[i] == want, "3D: (%zu,%zu,%zu) is %u, not %u", x, y, z, out[i], want);
    }
    RT(cudaFree(a.ptr));
    RT(cudaFree(b.ptr));
}

static void memset_1d(size_t offset, size_t n)
{
    device_array<unsigned char> device(n + offset + 8);
    RT(cudaMemset(device.ptr, 0, device.count));
    RT(cudaMemsetAsync(device.ptr + offset, 0x9B, n, 0));
    std::vector<unsigned char> got = device.read();
    for (size_t i = 0; i < got.size(); i++)
        EXPECT(got[i] == (i >= offset && i < offset + n ? 0x9B : 0),
               "memset of %zu at %zu: byte %zu is %02x", n, offset, i, got[i]);
}

int main(void)
{
    static const size_t widths[] = {1, 31, 64, 333, 4096};
    static const size_t lengths[] = {0, 1, 3, 4, 7, 4095, 4097, 65537};

    for (size_t w : widths) {
        copy_2d(w, 1, false);
        copy_2d(w, 17, false);
        copy_2d(w, 130, true);
    }
    memset_2d();
    copy_3d();
    for (size_t n : lengths)
        for (size_t offset = 0; offset < 5; offset++)
            memset_1d(offset, n);
    return passed("pitched copies, a 3D box, %zu memset lengths at 5 alignments",
                  sizeof(lengths) / sizeof(lengths[0]));
}
