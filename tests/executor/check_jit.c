/* SPDX-License-Identifier: MIT */
/*
 * Code that is compiled once for all processes of a VM, on a driver whose compiler the test is:
 * of "ptx" it makes an ELF file with the same words in it. And images that the driver of a library
 * is told it may keep looking at.
 */
#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/executor/serve.h"
#include "vg_wire.h"

#define SHELF_BYTES (1u << 20)

static struct vg_exec x;
static struct vg_stats stats;
static struct vg_slot *slot;
static struct {
    unsigned compiled, destroyed, loaded, of_text;
    bool broken, wary;  /* the compiler fails; the loader takes no code */
    int driver;
    uint8_t code[4096];
    const char *looks_at[4];    /* libraries' images; NULL: of its own copy */
    unsigned libraries;
    CUresult unloading;
} driver;

/* ---- The driver ---- */

static CUresult get_device(CUdevice *dev)
{
    *dev = 0;
    return CUDA_SUCCESS;
}

static CUresult get_attribute(int *value, CUdevice_attribute attribute, CUdevice dev)
{
    (void)attribute, (void)dev;
    *value = 9;
    return CUDA_SUCCESS;
}

static CUresult get_version(int *version)
{
    *version = driver.driver;
    return CUDA_SUCCESS;
}

static CUresult link_create(unsigned n, CUjit_option *option, void **value, CUlinkState *state)
{
    (void)option, (void)value;
    ck_assert_uint_eq(n, 0);
    *state = (CUlinkState)(uintptr_t)0x77;
    return CUDA_SUCCESS;
}

static CUresult link_add(CUlinkState state, CUjitInputType type, void *data, size_t size,
                         const char *name, unsigned n, CUjit_option *option, void **value)
{
    Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                    .e_machine = 190};

    (void)name, (void)n, (void)option, (void)value;
    ck_assert_uint_eq((uintptr_t)state, 0x77);
    ck_assert_int_eq(type, CU_JIT_INPUT_PTX);
    memset(driver.code, 0, sizeof(driver.code));
    memcpy(driver.code, &e, sizeof(e));
    memcpy(driver.code + sizeof(e), data, size);
    return driver.broken ? CUDA_ERROR_INVALID_PTX : CUDA_SUCCESS;
}

static CUresult link_complete(CUlinkState state, void **image, size_t *size)
{
    (void)state;
    driver.compiled++;
    *image = driver.code;
    *size = sizeof(driver.code);
    return CUDA_SUCCESS;
}

static CUresult link_destroy(CUlinkState state)
{
    (void)state;
    driver.destroyed++;
    memset(driver.code, 0xee, sizeof(driver.code));
    return CUDA_SUCCESS;
}

static CUresult load(CUmodule *module, const void *image, unsigned n, CUjit_option *option,
                     void **value)
{
    bool code = memcmp(image, ELFMAG, SELFMAG) == 0;

    (void)n, (void)option, (void)value;
    if (code && driver.wary)
        return CUDA_ERROR_INVALID_IMAGE;
    if (code)
        ck_assert(strncmp((const char *)image + sizeof(Elf64_Ehdr), ".version", 8) == 0);
    driver.of_text += !code;
    *module = (CUmodule)(uintptr_t)(0x1000 + ++driver.loaded * 0x10);
    return CUDA_SUCCESS;
}

static CUresult load_library(CUlibrary *library, const void *code, CUjit_option *jit, void **values,
                             unsigned n, CUlibraryOption *option, void **option_values, unsigned count)
{
    unsigned i = driver.libraries++;

    (void)jit, (void)values, (void)n, (void)option_values;
    ck_assert_uint_le(count, 1);
    ck_assert(count == 0 || option[0] == CU_LIBRARY_BINARY_IS_PRESERVED);
    driver.looks_at[i] = count ? code : NULL;
    *library = (CUlibrary)(uintptr_t)(0x2000 + i);
    return CUDA_SUCCESS;
}

static CUresult unload_library(CUlibrary library)
{
    ck_assert_uint_lt((uintptr_t)library - 0x2000, driver.libraries);
    return driver.unloading;
}

/* ---- An executor, as often as the VM has processes ---- */

static int shelf;

static void begin_process(void)
{
    ck_assert_int_eq(vg_exec_init(&x), 0);
    memset(&stats, 0, sizeof(stats));
    x.stats = &stats;
    x.alone = true;
    x.opt.jit_cache = true;
    x.guest.slot = slot;
    x.console.pipe_read = -1;
    x.cuda.cuCtxGetDevice = get_device;
    x.cuda.cuDeviceGetAttribute = get_attribute;
    x.cuda.cuDriverGetVersion = get_version;
    x.cuda.cuLinkCreate_v2 = link_create;
    x.cuda.cuLinkAddData_v2 = link_add;
    x.cuda.cuLinkComplete = link_complete;
    x.cuda.cuLinkDestroy = link_destroy;
    x.cuda.cuModuleLoadDataEx = load;
    x.cuda.cuLibraryLoadData = load_library;
    x.cuda.cuLibraryUnload = unload_library;
    x.ctx = x.home = (CUcontext)(uintptr_t)0x10;
    vg_own_add(&x, VG_OBJ_CUcontext, 0x10, 0, 0);
    ck_assert_int_eq(vg_shelf_open(&x.shelf, dup(shelf), SHELF_BYTES), 0);
}

static void end_process(void)
{
    vg_exec_fini(&x);
}

static void setup(void)
{
    memset(&driver, 0, sizeof(driver));
    driver.driver = 13000;
    slot = calloc(1, VG_SLOT_STRIDE);
    shelf = (int)syscall(SYS_memfd_create, "shelf", 0u);
    ck_assert(slot && ftruncate(shelf, SHELF_BYTES) == 0);
    begin_process();
}

static void teardown(void)
{
    end_process();
    close(shelf);
    free(slot);
}

static void next_process(void)
{
    end_process();
    begin_process();
}

/* Loads it as a guest does that gives so many options; the result. */
static CUresult load_image(unsigned kind, const char *ptx, unsigned options)
{
    const struct vg_jit_option option = {.option = CU_JIT_MAX_REGISTERS, .value = 32};
    size_t len = strlen(ptx) + 1, at = (len + 7) & ~(size_t)7;
    struct vg_req r = {.call = {.call = VG_CALL_IMAGE_LOAD, .seq = 1, .flags = VG_F_REPLY}};

    memset(x.payload, 0, at);
    memcpy(x.payload, ptx, len);
    memcpy(x.payload + at, &option, sizeof(option));
    r.call.arg[0] = kind;
    r.call.arg[2] = len;
    r.call.arg[3] = options;
    r.call.payload_len = (uint32_t)(at + sizeof(option));
    ck_assert(vg_serve_record(&x, &r));
    return (CUresult)vg_slot_cell(slot, 0)->result.result;
}

static CUresult load_module(const char *ptx, unsigned options)
{
    return load_image(VG_IMAGE_MODULE, ptx, options);
}

static CUresult unload(unsigned index)
{
    struct vg_req r = {.call = {.call = VG_CALL_cuLibraryUnload, .seq = 1, .flags = VG_F_REPLY}};

    x.ctx = x.home = NULL;  /* nothing to wait for */
    r.call.arg[0] = 0x2000 + index;
    ck_assert(vg_serve_record(&x, &r));
    return (CUresult)vg_slot_cell(slot, 0)->result.result;
}

static const char one[] = ".version 8.0 one one one one one one", two[] = ".version 8.0 two two two";

START_TEST(is_compiled_once_for_all_processes)
{
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 1);
    ck_assert_uint_eq(driver.destroyed, 1);
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    next_process();
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 1);
    ck_assert_int_eq(load_module(two, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 2);
    ck_assert_uint_eq(driver.loaded, 4);
    ck_assert_uint_eq(driver.of_text, 0);
}
END_TEST

/* Options change what is made, and ask for what only the loader tells. */
START_TEST(options_go_to_the_driver)
{
    ck_assert_int_eq(load_module(one, 1), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 0);
    ck_assert_uint_eq(driver.of_text, 1);
}
END_TEST

START_TEST(what_does_not_compile_is_the_drivers_to_say)
{
    driver.broken = true;
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.of_text, 1);
    ck_assert_uint_eq(driver.destroyed, 1);
    driver.broken = false;
    driver.wary = true;
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.of_text, 2);
}
END_TEST

START_TEST(another_driver_compiles_anew)
{
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    driver.driver = 13010;
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 2);
}
END_TEST

START_TEST(is_off_unless_asked_for)
{
    x.opt.jit_cache = false;
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    x.opt.jit_cache = true;
    vg_shelf_close(&x.shelf);
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.of_text, 2);
    ck_assert_uint_eq(driver.compiled, 0);
}
END_TEST

/* What another executor of the VM may have put there is looked at before the driver gets it. */
START_TEST(bad_code_is_compiled_anew)
{
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    for (uint32_t i = 0; i < x.shelf.blocks; i++)
        memset(x.shelf.block + (size_t)i * VG_SHELF_BLOCK + 40, 0xff, 8);   /* e_shoff */
    for (uint32_t i = 0; i < x.shelf.blocks; i++)
        memset(x.shelf.block + (size_t)i * VG_SHELF_BLOCK + 58, 0xff, 4);   /* e_shentsize, e_shnum */
    ck_assert_int_eq(load_module(one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 2);
    ck_assert_uint_eq(driver.of_text, 0);
}
END_TEST

START_TEST(the_image_of_a_library_stays_as_long_as_it_lives)
{
    x.opt.jit_cache = false;
    ck_assert_int_eq(load_image(VG_IMAGE_LIBRARY, one, 0), CUDA_SUCCESS);
    ck_assert_int_eq(load_image(VG_IMAGE_LIBRARY, two, 0), CUDA_SUCCESS);
    memset(x.payload, 0xee, sizeof(one));
    ck_assert_str_eq(driver.looks_at[0], one);
    ck_assert_str_eq(driver.looks_at[1], two);
    driver.unloading = CUDA_ERROR_ILLEGAL_ADDRESS;
    ck_assert_int_eq(unload(0), CUDA_ERROR_ILLEGAL_ADDRESS);
    ck_assert_str_eq(driver.looks_at[0], one);
    driver.unloading = CUDA_SUCCESS;
    ck_assert_int_eq(unload(0), CUDA_SUCCESS);
    ck_assert_str_eq(driver.looks_at[1], two);
    ck_assert_ptr_nonnull(x.kept);
    ck_assert_int_eq(unload(1), CUDA_SUCCESS);
    ck_assert_ptr_null(x.kept);
}
END_TEST

/* What was compiled is on the shelf, and the driver has a copy. */
START_TEST(compiled_code_does_not_stay)
{
    ck_assert_int_eq(load_image(VG_IMAGE_LIBRARY, one, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.compiled, 1);
    ck_assert_ptr_null(driver.looks_at[0]);
    ck_assert_ptr_null(x.kept);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jit");
    TCase *c = tcase_create("cache");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, is_compiled_once_for_all_processes);
    tcase_add_test(c, options_go_to_the_driver);
    tcase_add_test(c, what_does_not_compile_is_the_drivers_to_say);
    tcase_add_test(c, another_driver_compiles_anew);
    tcase_add_test(c, is_off_unless_asked_for);
    tcase_add_test(c, bad_code_is_compiled_anew);
    tcase_add_test(c, the_image_of_a_library_stays_as_long_as_it_lives);
    tcase_add_test(c, compiled_code_does_not_stay);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
