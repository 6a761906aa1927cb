/* SPDX-License-Identifier: MIT */
/*
 * A Llama of 1.1 B parameters with random weights for llama.cpp, and what it says.
 *
 *   llm make FILE         writes the model (Q4_0, about 600 MB), always the same bytes
 *   llm run FILE [STEPS]  prefills 512 tokens, decodes STEPS (128) greedily, and prints the
 *                         tokens' and logits' checksums (equal wherever the arithmetic is) and
 *                         the times
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml.h"
#include "gguf.h"
#include "llama.h"

#define VOCAB  32000
#define WIDTH  2048
#define HIDDEN 5632
#define LAYERS 22
#define HEADS  32
#define KV     4
#define HEAD   (WIDTH / HEADS)
#define PROMPT 512

/* ---- The model ---- */

static uint32_t draw(void)
{
    static uint64_t state = 42;

    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33);
}

/* Uniform in +-scale. */
static void fill(float *w, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        w[i] = ((float)draw() / 1073741824.0f - 1.0f) * scale;
}

static void add(struct gguf_context *g, struct ggml_context *c, const char *name, int64_t in,
                int64_t out)
{
    struct ggml_tensor *t = out ? ggml_new_tensor_2d(c, GGML_TYPE_Q4_0, in, out)
                                : ggml_new_tensor_1d(c, GGML_TYPE_F32, in);

    ggml_set_name(t, name);
    if (out) {
        float *w = malloc((size_t)(in * out) * sizeof(float));
        fill(w, (size_t)(in * out), 0.04f);
        ggml_quantize_chunk(GGML_TYPE_Q4_0, w, t->data, 0, out, in, NULL);
        free(w);
    } else
        for (int64_t i = 0; i < in; i++)
            ((float *)t->data)[i] = 1.0f;
    gguf_add_tensor(g, t);
}

static void add_layer(struct gguf_context *g, struct ggml_context *c, int layer)
{
    static const struct {
        const char *name;
        int64_t in, out;
    } parts[] = {
        {"attn_norm", WIDTH, 0},          {"attn_q", WIDTH, WIDTH},
        {"attn_k", WIDTH, KV * HEAD},     {"attn_v", WIDTH, KV * HEAD},
        {"attn_output", WIDTH, WIDTH},    {"ffn_norm", WIDTH, 0},
        {"ffn_gate", WIDTH, HIDDEN},      {"ffn_up", WIDTH, HIDDEN},
        {"ffn_down", HIDDEN, WIDTH},
    };
    char name[64];

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, parts[i].name);
        add(g, c, name, parts[i].in, parts[i].out);
    }
}

static int make(const char *file)
{
    struct ggml_init_params mem = {.mem_size = 1ull << 30};
    struct ggml_context *c = ggml_init(mem);
    struct gguf_context *g = gguf_init_empty();

    gguf_set_val_str(g, "general.architecture", "llama");
    gguf_set_val_str(g, "general.name", "random");
    gguf_set_val_u32(g, "llama.context_length", 2048);
    gguf_set_val_u32(g, "llama.embedding_length", WIDTH);
    gguf_set_val_u32(g, "llama.block_count", LAYERS);
    gguf_set_val_u32(g, "llama.feed_forward_length", HIDDEN);
    gguf_set_val_u32(g, "llama.attention.head_count", HEADS);
    gguf_set_val_u32(g, "llama.attention.head_count_kv", KV);
    gguf_set_val_u32(g, "llama.rope.dimension_count", HEAD);
    gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_set_val_u32(g, "llama.vocab_size", VOCAB);
    gguf_set_val_str(g, "tokenizer.ggml.model", "none");
    add(g, c, "token_embd.weight", WIDTH, VOCAB);
    add(g, c, "output_norm.weight", WIDTH, 0);
    add(g, c, "output.weight", WIDTH, VOCAB);
    for (int i = 0; i < LAYERS; i++)
        add_layer(g, c, i);
    return gguf_write_to_file(g, file, false) ? 0 : 1;
}

/* ---- Running it ---- */

static uint64_t sum = 14695981039346656037ull;

static void mix(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * 1099511628211ull;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static llama_token best(const float *logits)
{
    llama_token top = 0;

    for (llama_token i = 1; i < VOCAB; i++)
        if (logits[i] > logits[top])
            top = i;
    return top;
}

/* Feeds the tokens and returns the likeliest next one. */
static llama_token step(struct llama_context *ctx, llama_token *tokens, int n)
{
    const float *logits;

    if (llama_decode(ctx, llama_batch_get_one(tokens, n)) != 0) {
        fprintf(stderr, "llm: decoding failed\n");
        exit(1);
    }
    logits = llama_get_logits_ith(ctx, -1);
    mix(logits, VOCAB * sizeof(*logits));
    return best(logits);
}

static void quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    if (level >= GGML_LOG_LEVEL_WARN)
        fputs(text, stderr);
}

static int run(const char *file, int steps)
{
    struct llama_model_params mp = llama_model_default_params();
    struct llama_context_params cp = llama_context_default_params();
    llama_token prompt[PROMPT], token;
    double t0 = now(), t1, t2;

    llama_log_set(quiet, NULL);
    mp.n_gpu_layers = 99;
    cp.n_ctx = 1024;
    cp.n_batch = PROMPT;
    struct llama_model *model = llama_model_load_from_file(file, mp);
    struct llama_context *ctx = model ? llama_init_from_model(model, cp) : NULL;
    if (!ctx)
        return 1;
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (llama_token)((uint32_t)i * 2654435761u % VOCAB);
    printf("time load %.3f\n", now() - t0);
    step(ctx, prompt, PROMPT); /* the first is slower: modules, graphs */
    llama_memory_clear(llama_get_memory(ctx), true);
    t0 = now();
    token = step(ctx, prompt, PROMPT);
    t1 = now();
    for (int i = 0; i < steps; i++) {
        mix(&token, sizeof(token));
        token = step(ctx, &token, 1);
    }
    t2 = now();
    printf("result llm %016llx\n", (unsigned long long)sum);
    printf("time prefill %.4f\ntime decode %.4f\n", t1 - t0, t2 - t1);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "make"))
        return make(argv[2]);
    if (argc >= 3 && !strcmp(argv[1], "run"))
        return run(argv[2], argc > 3 ? atoi(argv[3]) : 128);
    fprintf(stderr, "usage: llm make FILE | llm run FILE [STEPS]\n");
    return 2;
}
