# SPDX-License-Identifier: MIT
"""PyTorch's mathematics: cuBLAS, cuBLASLt, cuDNN, cuFFT, cuSOLVER, cuSPARSE, and its own kernels."""
from vg import expect, main, put
from torch_setup import filled, gpu, torch


def gemm():
    """cuBLAS and cuBLASLt in each precision; addmm with a bias goes to cuBLASLt."""
    a, b, bias = filled(512, 768), filled(768, 1024, seed=2), filled(1024, seed=3)
    put("gemm.fp32", a @ b)
    put("gemm.fp64", a.double() @ b.double())
    torch.backends.cuda.matmul.allow_tf32 = True
    put("gemm.tf32", a @ b)
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.bfloat16, torch.float16):
        put(f"gemm.{dtype}", a.to(dtype) @ b.to(dtype))
        put(f"gemm.linear.{dtype}", torch.nn.functional.linear(
            a.to(dtype), b.t().contiguous().to(dtype), bias.to(dtype)))
    put("gemm.addmm", torch.addmm(bias, a, b))
    put("gemm.batched", torch.bmm(filled(8, 64, 96), filled(8, 96, 32, seed=4)))
    put("gemm.complex", torch.complex(a, a) @ torch.complex(b, -b))
    put("gemm.mv", a @ b[:, 0].contiguous())


def gemm_small_types():
    """int8 and fp8 products, which only cuBLASLt has."""
    a = filled(256, 512).mul(8).round().clamp(-127, 127).to(torch.int8)
    put("gemm.int8", torch._int_mm(a, a.t()))
    one = torch.ones((), device=gpu)
    left = filled(256, 512).to(torch.float8_e4m3fn)
    right = filled(128, 512, seed=5).to(torch.float8_e4m3fn)
    for dtype in (torch.bfloat16, torch.float32):
        put(f"gemm.fp8.{dtype}", torch._scaled_mm(left, right.t(), scale_a=one, scale_b=one,
                                                  out_dtype=dtype))


def conv():
    """cuDNN, forwards and backwards."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        image = filled(8, 16, 56, 56, dtype=dtype).requires_grad_()
        kernel = filled(32, 16, 3, 3, dtype=dtype, seed=2).requires_grad_()
        out = torch.nn.functional.conv2d(image, kernel, padding=1, stride=2)
        out.float().square().mean().backward()
        put(f"conv2d.{dtype}", out, image.grad, kernel.grad)
    volume = torch.nn.functional.conv3d(filled(2, 4, 12, 12, 12), filled(8, 4, 3, 3, 3, seed=3))
    put("conv3d", volume)
    put("conv.transposed", torch.nn.functional.conv_transpose2d(filled(2, 8, 16, 16),
                                                                filled(8, 4, 4, 4, seed=4)))
    last = filled(4, 16, 32, 32, dtype=torch.half).to(memory_format=torch.channels_last)
    put("conv.channels_last", torch.nn.functional.conv2d(last, filled(16, 16, 3, 3,
                                                                      dtype=torch.half, seed=5)))


def norm_and_pool():
    image = filled(8, 16, 28, 28).requires_grad_()
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(16), torch.nn.MaxPool2d(2),
                                torch.nn.GroupNorm(4, 16)).to(gpu)
    out = layer(image)
    out.square().sum().backward()
    put("norm", out, image.grad, torch.nn.functional.layer_norm(image, (28,)))


def lstm():
    torch.manual_seed(6)
    net = torch.nn.LSTM(32, 64, num_layers=2, bidirectional=True).to(gpu)
    out, (hidden, cell) = net(filled(20, 4, 32))
    out.sum().backward()
    put("lstm", out, hidden, cell, *[p.grad for p in net.parameters()])


def attention():
    """Flash, memory-efficient, cuDNN and plain attention."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = (filled(2, 8, 256, 64, dtype=torch.bfloat16, seed=s).requires_grad_() for s in (1, 2, 3))
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION,
                    SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        put(f"attention.{backend.name.lower()}", out)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        torch.nn.functional.scaled_dot_product_attention(q, k, v).float().sum().backward()
    put("attention.backwards", q.grad, k.grad, v.grad)


def fft():
    line, image = filled(64, 1000), filled(4, 3, 96, 80)
    put("fft.c2c", torch.fft.fft(torch.complex(line, -line)))
    put("fft.r2c", torch.fft.rfft(line), torch.fft.irfft(torch.fft.rfft(line), n=1000))
    put("fft.2d", torch.fft.fft2(image), torch.fft.rfft2(image))
    put("fft.prime", torch.fft.fft(filled(2, 9973)))
    put("fft.double", torch.fft.fftn(filled(8, 16, 32).double()))
    put("fft.stft", torch.stft(line[0], 128, return_complex=True,
                               window=torch.hann_window(128, device=gpu)))


def linalg():
    square = filled(96, 96)
    spd = square @ square.t() + 96 * torch.eye(96, device=gpu)
    put("linalg.svd", *torch.linalg.svd(filled(96, 64)))
    put("linalg.qr", *torch.linalg.qr(square))
    put("linalg.solve", torch.linalg.solve(spd, filled(96, 5)))
    put("linalg.cholesky", torch.linalg.cholesky(spd))
    put("linalg.eigh", *torch.linalg.eigh(spd))
    put("linalg.eig", *torch.linalg.eig(square))
    put("linalg.inv", torch.linalg.inv(spd), torch.linalg.det(spd / 96))
    put("linalg.lu", *torch.linalg.lu(square))
    put("linalg.lstsq", torch.linalg.lstsq(filled(96, 32), filled(96, 3, seed=7)).solution)
    put("linalg.batched", torch.linalg.solve(spd.repeat(4, 1, 1).double(), filled(4, 96, 2).double()),
        torch.linalg.eigh(spd.repeat(4, 1, 1)).eigenvalues)
    put("linalg.matrix_exp", torch.linalg.matrix_exp(square / 96))


def sparse():
    dense = filled(256, 256)
    dense[dense.abs() < 1] = 0
    right = filled(256, 32, seed=2)
    put("sparse.csr", dense.to_sparse_csr() @ right)
    put("sparse.coo", torch.sparse.mm(dense.to_sparse(), right))
    put("sparse.sparse", (dense.to_sparse_csr() @ dense.to_sparse_csr()).to_dense())
    put("sparse.sampled", torch.sparse.sampled_addmm(dense.to_sparse_csr(), right, right.t()).values())


def random():
    torch.manual_seed(9)
    put("random", torch.rand(10000, device=gpu), torch.randn(10000, device=gpu),
        torch.randint(0, 1000, (1000,), device=gpu), torch.randperm(5000, device=gpu))
    put("random.more", torch.bernoulli(torch.full((1000,), 0.3, device=gpu)),
        torch.poisson(torch.full((1000,), 4.0, device=gpu)),
        torch.nn.functional.dropout(filled(4096), 0.5),
        torch.multinomial(torch.rand(100, device=gpu), 50))


def kernels():
    """PyTorch's own kernels: reductions, scans, sorts, gathers, strings of elementwise work."""
    x = filled(1000, 257)
    put("kernels.reduce", x.sum(), x.sum(0), x.mean(1), x.std(), x.amax(1), x.argmin(0), x.norm())
    put("kernels.sort", *x.sort(1), *x.topk(10), x.flatten().unique(), *x.median(1))
    put("kernels.scan", x.cumsum(0), x.cumprod(1), x.logcumsumexp(0))
    index = torch.arange(0, 1000, 3, device=gpu)
    put("kernels.index", x[index], x.index_add(0, index, x[index]), x[x > 1], x.nonzero())
    put("kernels.math", x.exp().log1p().tanh(), torch.special.erfinv(x.tanh()), torch.lgamma(x),
        torch.nn.functional.gelu(x), x.softmax(1), torch.special.bessel_j0(x))
    put("kernels.int", (x * 100).int() // 7, (x * 100).long() % 13, (x * 10).to(torch.uint8))
    put("kernels.hist", torch.bincount((x.flatten() * 10).clamp(0, 63).int(), minlength=64))
    put("kernels.item", float(x[3, 4]))
    expect("kernels.equal", bool(torch.equal(x, x.clone())))


def small_training():
    """A small convolutional net under autocast with a gradient scaler."""
    torch.manual_seed(10)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
                              torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(),
                              torch.nn.Linear(256, 10)).to(gpu)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cuda")
    target = torch.arange(32, device=gpu) % 10
    for step in range(5):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = torch.nn.functional.cross_entropy(net(filled(32, 3, 24, 24, seed=step)), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        put(f"training.loss{step}", loss.detach())
    put("training.net", *net.parameters())


if __name__ == "__main__":
    main([gemm, gemm_small_types, conv, norm_and_pool, lstm, attention, fft, linalg, sparse, random,
          kernels, small_training])
