/* SPDX-License-Identifier: MIT */
/*
 * Data flow over the blocks of one function; see liveness.h. What is true for
 * each lane alone is enough: every write is masked by lane. Registers that only
 * one block names, and writes first, need no data flow.
 */
#include "liveness.h"
#include "lower.h"

#include <string.h>

enum { MAX_WORDS = 8 << 20 }; /* of all sets; beyond, registers live everywhere */
enum { NOT_GLOBAL = -1 };

struct block {
    uint32_t first, last; /* uops, inclusive */
    uint64_t *in, *out, *use, *def;
};

struct flow {
    struct lower *l;
    struct life *life;
    struct block *blocks;
    uint32_t nblocks, *block_of;
    int32_t *global; /* number among registers that cross blocks */
    uint32_t nglobal, words;
    uint32_t *seen; /* block of the first mention + 1 */
};

typedef void (*visit_fn)(struct flow *f, uint32_t at, uint32_t vreg, int is_def, int kills);

static void visit(struct flow *f, uint32_t at, uint32_t enc, int is_def, int kills, visit_fn fn)
{
    if (enc != PTX_NO_REG && (enc & ENC_TAG) == ENC_REG)
        fn(f, at, enc & ~ENC_TAG, is_def, kills);
}

/* Uses before definitions. */
static void visit_uop(struct flow *f, uint32_t at, visit_fn fn)
{
    const struct uop *u = &f->l->code[at];
    const struct lower_info *info = &f->l->info[at];
    int kills = u->guard == ENC_PRED && !info->no_kill, pass, k;
    uint32_t n;

    visit(f, at, u->a, 0, 0, fn);
    visit(f, at, u->b, 0, 0, fn);
    visit(f, at, u->c, 0, 0, fn);
    for (pass = 0; pass < 2; pass++) {
        if (info->d_is_use == !pass)
            visit(f, at, u->d, pass, kills, fn);
        if (info->e_is_use == !pass)
            visit(f, at, u->e, pass, kills, fn);
        for (k = 0; k < LOWER_LISTS; k++)
            for (n = 0; info->list[k].is_def == pass && n < info->list[k].n; n++)
                visit(f, at, info->list[k].slots[(size_t)n * info->list[k].stride], pass, kills,
                      fn);
    }
}

static int ends_block(const struct uop *u)
{
    return u->fn == ptx_op_bra || u->fn == ptx_op_brx || u->fn == ptx_op_ret ||
           u->fn == ptx_op_exit;
}

static void find_blocks(struct flow *f)
{
    struct lower *l = f->l;
    unsigned char *leader = ast_alloc(l->a, l->ncode + 1);
    uint32_t i, k;

    leader[0] = 1;
    for (i = 0; i < l->ncode; i++) {
        const struct uop *u = &l->code[i];
        const struct code_targets *t = u->aux;

        if (u->fn == ptx_op_bra)
            leader[u->imm] = 1;
        for (k = 0; u->fn == ptx_op_brx && k < t->n; k++)
            leader[t->pc[k]] = 1;
        if (ends_block(u))
            leader[i + 1] = 1;
    }
    for (i = 0; i < l->ncode; i++)
        f->nblocks += leader[i];
    f->blocks = ast_alloc(l->a, f->nblocks * sizeof(*f->blocks));
    f->block_of = ast_alloc(l->a, l->ncode * sizeof(*f->block_of));
    f->nblocks = 0;
    for (i = 0; i < l->ncode; i++) {
        if (leader[i])
            f->blocks[f->nblocks++].first = i;
        f->blocks[f->nblocks - 1].last = i;
        f->block_of[i] = f->nblocks - 1;
    }
}

static void note(struct flow *f, uint32_t at, uint32_t v, int is_def, int kills)
{
    struct life *life = &f->life[v];
    uint32_t block = f->block_of[at] + 1;
    int crosses = f->seen[v] ? f->seen[v] != block : !(is_def && kills);

    if (!life->used) {
        life->used = 1;
        life->first = at;
    }
    life->last = at;
    if (crosses && f->global[v] == NOT_GLOBAL)
        f->global[v] = (int32_t)f->nglobal++;
    f->seen[v] = block;
}

static void gather_sets(struct flow *f, uint32_t at, uint32_t v, int is_def, int kills)
{
    struct block *b = &f->blocks[f->block_of[at]];
    uint64_t bit;
    uint32_t w;

    if (f->global[v] == NOT_GLOBAL)
        return;
    w = (uint32_t)f->global[v] / 64;
    bit = 1ull << (f->global[v] % 64);
    if (!(is_def && kills) && !(b->def[w] & bit))
        b->use[w] |= bit;
    if (is_def && kills)
        b->def[w] |= bit;
}

static void join(struct flow *f, struct block *b, uint32_t target)
{
    const struct block *s;
    uint32_t w;

    if (target >= f->l->ncode)
        return;
    s = &f->blocks[f->block_of[target]];
    for (w = 0; w < f->words; w++)
        b->out[w] |= s->in[w];
}

/* in = use | (out - def); 1 when in grew */
static int update(struct flow *f, struct block *b)
{
    const struct uop *u = &f->l->code[b->last];
    const struct code_targets *t = u->aux;
    int changed = 0;
    uint32_t w, k;

    if (u->fn == ptx_op_bra)
        join(f, b, (uint32_t)u->imm);
    for (k = 0; u->fn == ptx_op_brx && k < t->n; k++)
        join(f, b, t->pc[k]);
    if (!ends_block(u) || u->guard != ENC_PRED)
        join(f, b, b->last + 1);
    for (w = 0; w < f->words; w++) {
        uint64_t in = b->use[w] | (b->out[w] & ~b->def[w]);

        changed |= in != b->in[w];
        b->in[w] = in;
    }
    return changed;
}

static void extend(struct flow *f)
{
    uint32_t v, i;

    for (v = 0; v < f->l->nvregs; v++) {
        uint32_t w = (uint32_t)f->global[v] / 64;
        uint64_t bit = 1ull << ((uint32_t)f->global[v] % 64);
        struct life *life = &f->life[v];

        for (i = 0; f->global[v] != NOT_GLOBAL && i < f->nblocks; i++) {
            const struct block *b = &f->blocks[i];

            if ((b->in[w] & bit) && b->first < life->first)
                life->first = b->first;
            if ((b->out[w] & bit) && b->last > life->last)
                life->last = b->last;
            if ((b->in[w] & bit) && b->first > life->last)
                life->last = b->first;
            if ((b->out[w] & bit) && b->last < life->first)
                life->first = b->last;
        }
    }
}

static void solve(struct flow *f)
{
    uint32_t i, at;
    int changed;

    for (i = 0; i < f->nblocks; i++) {
        uint64_t *sets = ast_alloc(f->l->a, 4 * (size_t)f->words * sizeof(uint64_t));

        f->blocks[i].in = sets;
        f->blocks[i].out = sets + f->words;
        f->blocks[i].use = sets + 2 * (size_t)f->words;
        f->blocks[i].def = sets + 3 * (size_t)f->words;
    }
    for (at = 0; at < f->l->ncode; at++)
        visit_uop(f, at, gather_sets);
    do {
        changed = 0;
        for (i = f->nblocks; i-- > 0;)
            changed |= update(f, &f->blocks[i]);
    } while (changed);
    extend(f);
}

static void keep_everywhere(struct flow *f, uint32_t v)
{
    f->life[v].used = 1;
    f->life[v].first = 0;
    f->life[v].last = f->l->ncode - 1;
}

static void keep_formals(struct flow *f, const struct code_param *p, uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        if (p[i].reg_bytes)
            keep_everywhere(f, p[i].reg & ~ENC_TAG);
}

struct life *ptx_liveness(struct lower *l)
{
    struct flow f;
    uint32_t v, at;

    memset(&f, 0, sizeof(f));
    f.l = l;
    f.life = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(*f.life));
    f.global = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(*f.global));
    f.seen = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(*f.seen));
    for (v = 0; v < l->nvregs; v++)
        f.global[v] = NOT_GLOBAL;
    find_blocks(&f);
    for (at = 0; at < l->ncode; at++)
        visit_uop(&f, at, note);
    f.words = (f.nglobal + 63) / 64;
    if ((uint64_t)f.words * f.nblocks * 4 <= MAX_WORDS) {
        solve(&f);
    } else {
        for (v = 0; v < l->nvregs; v++)
            if (f.global[v] != NOT_GLOBAL)
                keep_everywhere(&f, v);
    }
    keep_formals(&f, l->fn->params, l->fn->nparams);
    keep_formals(&f, l->fn->rets, l->fn->nrets);
    return f.life;
}
