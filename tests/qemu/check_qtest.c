/* SPDX-License-Identifier: MIT */
/*
 * The device inside the QEMU that `make qemu` built, driven as a CPU would drive
 * it, with a small mediator of our own at the other end of the socket.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qtest.h"
#include "qtest_peer.h"
#include "tests/protocol/vg_test.h"
#include "vg_atomic.h"
#include "vg_region.h"
#include "vg_regs.h"
#include "vg_sock.h"

#define BAR0_ADDR 0xe0000000ull
#define BAR1_ADDR 0xd0000000ull

static struct vg_qtest qemu;
static unsigned slot;       /* of the device on PCI bus 0 */

/* ---- the guest ---- */

static uint32_t reg(unsigned offset)
{
    return (uint32_t)vg_qtest_read(&qemu, BAR0_ADDR + offset, 4);
}

static void set(unsigned offset, uint32_t value)
{
    vg_qtest_write(&qemu, BAR0_ADDR + offset, value, 4);
}

static void wait_status(uint32_t status)
{
    for (int ms = 0; reg(VG_REG_STATUS) != status; ms += 10) {
        ck_assert_msg(ms < PATIENCE, "STATUS stays %#x", reg(VG_REG_STATUS));
        usleep(10000);
    }
}

static void find_device(void)
{
    for (slot = 0; slot < 32; slot++)
        if (vg_qtest_pci_read(&qemu, slot, 0) == (VG_PCI_DEVICE << 16 | VG_PCI_VENDOR))
            return;
    ck_abort_msg("no device 10de:2331 on the bus");
}

static void enable_bars(void)
{
    vg_qtest_pci_write(&qemu, slot, 0x10, BAR0_ADDR);
    vg_qtest_pci_write(&qemu, slot, 0x14, BAR1_ADDR);
    vg_qtest_pci_write(&qemu, slot, 0x18, 0);
    vg_qtest_pci_write(&qemu, slot, 0x04, 2);
}

static void setup(void)
{
    vg_qtest_start(&qemu, ",size=16M,slots=8");
    find_device();
    enable_bars();
}

static void teardown(void)
{
    mediator_gone();
    vg_qtest_stop(&qemu);
}

static void come_up(void)
{
    mediator_listen(qemu.dir);
    mediator_accept();
    mediator_say(VG_MSG_WELCOME, 0, -1);
    wait_status(VG_STATUS_MEDIATOR);
}

static uint32_t state_of(uint32_t token)
{
    return vg_load_acquire(&vg_region_slot(region, &layout, VG_TOKEN_SLOT(token))->state);
}

/* Claims and attaches; the other end of the slot's doorbell. */
static uint32_t attach(int *ret_doorbell)
{
    uint32_t token = reg(VG_REG_CLAIM);

    ck_assert_uint_ne(token, VG_CLAIM_NONE);
    set(VG_REG_ATTACH, token);
    struct vg_msg msg = mediator_receive(NULL);
    ck_assert_uint_eq(msg.type, VG_MSG_ATTACH);
    ck_assert_uint_eq(msg.token, token);
    *ret_doorbell = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_ge(*ret_doorbell, 0);
    mediator_say(VG_MSG_ATTACHED, token, *ret_doorbell);
    return token;
}

static void ck_doorbell(int doorbell, uint64_t expected)
{
    uint64_t count;

    wait_readable(doorbell);
    ck_assert_int_eq(read(doorbell, &count, sizeof(count)), sizeof(count));
    ck_assert_uint_eq(count, expected);
}

/* ---- tests ---- */

START_TEST(configuration_space_names_the_device)
{
    uint32_t bar0, bar1;

    ck_assert_uint_eq(vg_qtest_pci_read(&qemu, slot, 0x08) >> 16, VG_PCI_CLASS);
    ck_assert_uint_eq(vg_qtest_pci_read(&qemu, slot, 0x2c), VG_PCI_SUBDEVICE << 16 | VG_PCI_SUBVENDOR);
    bar0 = vg_qtest_pci_read(&qemu, slot, 0x10);
    bar1 = vg_qtest_pci_read(&qemu, slot, 0x14);
    ck_assert_uint_eq(bar0 & 0xf, 0x0);     /* memory, 32 bits, not prefetchable */
    ck_assert_uint_eq(bar1 & 0xf, 0xc);     /* memory, 64 bits, prefetchable */
    vg_qtest_pci_write(&qemu, slot, 0x10, UINT32_MAX);
    vg_qtest_pci_write(&qemu, slot, 0x14, UINT32_MAX);
    ck_assert_uint_eq(~(vg_qtest_pci_read(&qemu, slot, 0x10) & ~0xfu) + 1, VG_BAR0_SIZE);
    ck_assert_uint_eq(~(vg_qtest_pci_read(&qemu, slot, 0x14) & ~0xfu) + 1, SIZE);
}
END_TEST

START_TEST(registers_have_their_first_values)
{
    ck_assert_uint_eq(reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(reg(VG_REG_VERSION), VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(reg(VG_REG_FEATURES), 0);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 0);
    ck_assert_uint_eq(reg(VG_REG_SLOT_COUNT), SLOTS);
    ck_assert_uint_eq(reg(VG_REG_REGION_LO), SIZE);
    ck_assert_uint_eq(reg(VG_REG_REGION_HI), 0);
    ck_assert_uint_eq(reg(VG_REG_TRAPS), 8);
    ck_assert(!vg_qtest_logged(&qemu, "vgpu-stub"));
}
END_TEST

START_TEST(bad_accesses_read_ones_and_are_logged)
{
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR0_ADDR, 1), 0xff);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR0_ADDR, 2), 0xffff);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR0_ADDR, 8), UINT64_MAX);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR0_ADDR + 2, 4), UINT32_MAX);
    ck_assert_uint_eq(reg(VG_REG_END), UINT32_MAX);
    ck_assert_uint_eq(reg(VG_BAR0_SIZE - 4), UINT32_MAX);
    ck_assert_uint_eq(reg(VG_REG_DOORBELL), UINT32_MAX);
    ck_assert(vg_qtest_logged(&qemu, "vgpu-stub: bad register read"));
    set(VG_REG_MAGIC, 1);
    set(VG_REG_END, 1);
    vg_qtest_write(&qemu, BAR0_ADDR + VG_REG_ATTACH, 0x10000, 2);
    vg_qtest_write(&qemu, BAR0_ADDR + VG_REG_ATTACH, 0x10000, 8);
    set(VG_REG_ATTACH, UINT32_MAX);
    set(VG_REG_RELEASE, 0);
    set(VG_REG_DOORBELL, 0x7fffffff);
    ck_assert(vg_qtest_logged(&qemu, "vgpu-stub: bad register write"));
    ck_assert(vg_qtest_logged(&qemu, "vgpu-stub: release of a slot"));
    ck_assert_uint_eq(reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
}
END_TEST

START_TEST(bar1_is_the_memory_of_the_mediator)
{
    come_up();
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR, 8), VG_REGION_MAGIC);
    vg_qtest_write(&qemu, BAR1_ADDR + layout.data_off, 0x0123456789abcdefull, 8);
    ck_assert_uint_eq(*(uint64_t *)((char *)region + layout.data_off), 0x0123456789abcdefull);
    ((uint8_t *)region)[SIZE - 1] = 0xa5;
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR + SIZE - 1, 1), 0xa5);
    /* Sealed: no peer can pull the memory from under QEMU. */
    ck_assert_int_eq(ftruncate(region_fd, 4096), -1);
}
END_TEST

START_TEST(a_slot_lives_from_claim_to_slot_free)
{
    int doorbell;

    come_up();
    uint32_t token = attach(&doorbell);
    set(VG_REG_DOORBELL, token);
    ck_doorbell(doorbell, 1);
    set(VG_REG_DOORBELL, token);
    set(VG_REG_DOORBELL, token);
    ck_doorbell(doorbell, 2);
    set(VG_REG_RELEASE, token);
    struct vg_msg msg = mediator_receive(NULL);
    ck_assert_uint_eq(msg.type, VG_MSG_RELEASE);
    ck_assert_uint_eq(msg.token, token);
    for (unsigned i = 1; i < SLOTS; i++)
        ck_assert_uint_ne(VG_TOKEN_SLOT(reg(VG_REG_CLAIM)), VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    mediator_say(VG_MSG_SLOT_FREE, token, -1);
    for (int ms = 0; state_of(token) != VG_SLOT_FREE; ms++) {
        ck_assert_int_lt(ms, PATIENCE);
        usleep(1000);
    }
    uint32_t next = reg(VG_REG_CLAIM);
    ck_assert_uint_eq(VG_TOKEN_SLOT(next), VG_TOKEN_SLOT(token));
    ck_assert_uint_ne(next, token);
    close(doorbell);
}
END_TEST

START_TEST(a_late_mediator_is_found)
{
    uint32_t token = reg(VG_REG_CLAIM);
    int doorbell;

    usleep(800000);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
    set(VG_REG_ATTACH, token);
    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 1);
    ck_assert_uint_eq(state_of(token), VG_SLOT_GONE);
    set(VG_REG_RELEASE, token);
    token = attach(&doorbell);
    set(VG_REG_DOORBELL, token);
    ck_doorbell(doorbell, 1);
    close(doorbell);
}
END_TEST

START_TEST(a_restarted_mediator_is_found_again)
{
    int doorbell;

    come_up();
    uint32_t token = attach(&doorbell);
    vg_qtest_write(&qemu, BAR1_ADDR + SIZE - 8, 4711, 8);
    mediator_gone();
    wait_status(0);
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 1);
    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 2);
    ck_assert_uint_eq(((uint64_t *)region)[SIZE / 8 - 1], 4711);
    struct vg_slot *s = vg_region_slot(region, &layout, VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(s->state, VG_SLOT_GONE);
    ck_assert_uint_eq(s->reason, VG_GONE_MEDIATOR);
    set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(state_of(token), VG_SLOT_FREE);
    close(doorbell);
}
END_TEST

/* The same properties before QEMU has confined itself and after; and its 1 MiB for files. */
static void starts_at_home(enum vg_qtest_home home)
{
    vg_qtest_stop(&qemu);
    qemu.home = home;
    setup();
    come_up();
    memset(region, 0x5a, 4096);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR + 8, 8), 0x5a5a5a5a5a5a5a5a);
}

START_TEST(before_the_chroot_the_root_counts)
{
    starts_at_home(VG_QTEST_ROOTED);
}
END_TEST

START_TEST(a_confined_device_finds_its_mediator)
{
    if (geteuid() != 0)
        return;     /* only root can confine */
    starts_at_home(VG_QTEST_CONFINED);
}
END_TEST

/* No memory to share: no GPU, but a device, and a VM that starts. */
START_TEST(a_cramped_device_stays_offline)
{
    if (geteuid() != 0)
        return;
    vg_qtest_stop(&qemu);
    qemu.home = VG_QTEST_CRAMPED;
    setup();
    vg_qtest_write(&qemu, BAR1_ADDR + 4096, 0x1234567890abcdef, 8);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR + 4096, 8), 0x1234567890abcdef);
    ck_assert_uint_eq(reg(VG_REG_STATUS) & VG_STATUS_MEDIATOR, 0);
    vg_qtest_reset(&qemu);
    ck_assert_uint_eq(vg_qtest_pci_read(&qemu, slot, 0), VG_PCI_DEVICE << 16 | VG_PCI_VENDOR);
}
END_TEST

START_TEST(a_reset_takes_the_slots_back)
{
    int doorbell;

    come_up();
    uint32_t token = attach(&doorbell), idle = reg(VG_REG_CLAIM);
    vg_qtest_reset(&qemu);
    struct vg_msg msg = mediator_receive(NULL);
    ck_assert_uint_eq(msg.type, VG_MSG_RESET);
    enable_bars();
    ck_assert_uint_eq(reg(VG_REG_TRAPS), 0);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
    ck_assert_uint_eq(VG_TOKEN_SLOT(reg(VG_REG_CLAIM)), VG_TOKEN_SLOT(idle));
    mediator_say(VG_MSG_SLOT_FREE, token, -1);
    for (int ms = 0; state_of(token) != VG_SLOT_FREE; ms++) {
        ck_assert_int_lt(ms, PATIENCE);
        usleep(1000);
    }
    ck_assert_uint_eq(VG_TOKEN_SLOT(reg(VG_REG_CLAIM)), VG_TOKEN_SLOT(token));
    close(doorbell);
}
END_TEST

START_TEST(a_mad_mediator_is_dropped_and_tried_again)
{
    come_up();
    ck_assert_int_eq(send(peer, "nonsense", 8, MSG_NOSIGNAL), 8);
    mediator_gone();
    wait_status(0);
    come_up();
    mediator_say(VG_MSG_HELLO, 0, -1);
    mediator_gone();
    wait_status(0);
    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 3);
}
END_TEST

START_TEST(a_refused_vm_says_so)
{
    mediator_listen(qemu.dir);
    mediator_accept();
    mediator_say(VG_MSG_REFUSED, 0, -1);
    wait_status(VG_STATUS_REFUSED);
    mediator_gone();
    come_up();
}
END_TEST

static bool qmp_takes(const char *command, const char *refusal)
{
    char answer[1024];

    vg_qtest_qmp(&qemu, command, answer, sizeof(answer));
    ck_assert_msg(refusal || strncmp(answer, "{\"return\"", 9) == 0, "%s", answer);
    return !refusal || !strstr(answer, refusal);
}

/* What xenopsd and xl do, in their words, and another QEMU for the VM. */
static void save_and_go_elsewhere(void)
{
    char command[160];

    snprintf(qemu.state, sizeof(qemu.state), "/tmp/vgpu-qtest-state-%d", (int)getpid());
    snprintf(command, sizeof(command), "{\"execute\": \"xen-save-devices-state\", "
             "\"arguments\": {\"filename\": \"%s\"}}", qemu.state);
    qmp_takes("{\"execute\": \"stop\"}", NULL);
    qmp_takes(command, NULL);
    mediator_gone();
    vg_qtest_stop(&qemu);
    vg_qtest_start(&qemu, ",size=16M,slots=8");
    for (int ms = 0; qmp_takes("{\"execute\": \"query-status\"}", "\"running\": true"); ms += 50) {
        ck_assert_int_lt(ms, PATIENCE);
        usleep(50000);
    }
    unlink(qemu.state);
}

static const char migrate[] = "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"unix:/nowhere\"}}";

START_TEST(a_saved_vm_goes_on_with_its_device)
{
    int doorbell;

    come_up();
    uint32_t token = attach(&doorbell);
    vg_qtest_write(&qemu, BAR1_ADDR + SIZE - 8, 4711, 8);
    save_and_go_elsewhere();
    /* Where the guest had put its BARs, and memory that is new. */
    ck_assert_uint_eq(reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR + SIZE - 8, 8), 0);
    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 2);
    ck_assert_uint_eq(state_of(token), VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(region, &layout, VG_TOKEN_SLOT(token))->reason, VG_GONE_MOVED);
    set(VG_REG_RELEASE, token);
    close(doorbell);
    ck_assert_uint_ne(attach(&doorbell), token);
    close(doorbell);
}
END_TEST

/* An attempt before may not have failed yet. */
static bool migration_is_blocked(void)
{
    char answer[1024] = "in progress";

    for (int ms = 0; strstr(answer, "in progress"); ms += 50) {
        ck_assert_int_lt(ms, PATIENCE);
        usleep(50000);
        vg_qtest_qmp(&qemu, migrate, answer, sizeof(answer));
    }
    return strstr(answer, "non-migratable device") != NULL;
}

START_TEST(a_vm_that_computes_is_not_migrated)
{
    int doorbell;

    come_up();
    ck_assert(!migration_is_blocked());
    uint32_t token = attach(&doorbell);
    set(VG_REG_DOORBELL, token);
    ck_assert(migration_is_blocked());
    set(VG_REG_RELEASE, token);
    ck_assert(!migration_is_blocked());
    close(doorbell);
}
END_TEST

/* Where the memory is not the guest's, nothing has to be done for it. */
START_TEST(a_toolstack_that_says_that_it_leaves_is_heard)
{
    static const char leaving[] = "{\"execute\": \"qom-set\", \"arguments\": {\"path\": \"/machine\", "
                                  "\"property\": \"vgpu-leaving\", \"value\": %s}}";
    char command[160];
    int doorbell;

    come_up();
    snprintf(command, sizeof(command), leaving, "true");
    ck_assert(qmp_takes(command, NULL));
    snprintf(command, sizeof(command), leaving, "[]");
    ck_assert(!qmp_takes(command, "Invalid parameter type"));
    attach(&doorbell);
    snprintf(command, sizeof(command), leaving, "true");
    ck_assert(!qmp_takes(command, "uses the GPU"));
    close(doorbell);
}
END_TEST

/* Stopped, and saved, and not gone after all. */
START_TEST(a_vm_that_stays_loses_nothing)
{
    char command[160];
    int doorbell;

    come_up();
    uint32_t token = attach(&doorbell);
    snprintf(qemu.state, sizeof(qemu.state), "/tmp/vgpu-qtest-state-%d", (int)getpid());
    snprintf(command, sizeof(command), "{\"execute\": \"xen-save-devices-state\", "
             "\"arguments\": {\"filename\": \"%s\", \"live\": true}}", qemu.state);
    vg_qtest_write(&qemu, BAR1_ADDR + SIZE - 8, 4711, 8);
    ck_assert(qmp_takes("{\"execute\": \"stop\"}", NULL));
    ck_assert(qmp_takes(command, NULL));
    ck_assert(qmp_takes("{\"execute\": \"cont\"}", NULL));
    unlink(qemu.state);
    qemu.state[0] = '\0';
    ck_assert_uint_eq(vg_qtest_read(&qemu, BAR1_ADDR + SIZE - 8, 8), 4711);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
    ck_assert_uint_ne(state_of(token), VG_SLOT_GONE);
    ck_assert_uint_eq(((struct vg_region_header *)region)->moving, 0);
    close(doorbell);
}
END_TEST

/* A hostile guest: whatever it does, QEMU answers and the mediator gets well-formed messages. */
START_TEST(random_accesses_never_end_qemu)
{
    static const unsigned width[] = { 1, 2, 4, 4, 4, 4, 8 };
    uint64_t seed = vg_test_seed();
    struct vg_msg msg;

    come_up();
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t offset = vg_test_random(&seed) % (i % 4 ? VG_REG_END : VG_BAR0_SIZE);
        uint64_t value = i % 2 ? VG_TOKEN(vg_test_random(&seed) % (SLOTS + 1), i % 8)
                               : vg_test_random(&seed);
        unsigned bytes = width[vg_test_random(&seed) % 7];
        if (i % 8)
            offset &= ~3ull;
        if (vg_test_random(&seed) % 2)
            vg_qtest_write(&qemu, BAR0_ADDR + offset, value, bytes);
        else
            vg_qtest_read(&qemu, BAR0_ADDR + offset, bytes);
        if (recv(peer, &msg, sizeof(msg), MSG_DONTWAIT) != (ssize_t)sizeof(msg))
            continue;
        ck_assert(msg.type == VG_MSG_ATTACH || msg.type == VG_MSG_RELEASE);
        ck_assert_uint_lt(VG_TOKEN_SLOT(msg.token), SLOTS);
        mediator_say(vg_test_random(&seed) % 2 ? VG_MSG_SLOT_FREE : VG_MSG_REFUSED, msg.token, -1);
    }
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}
END_TEST

/* A device that cannot be made ends QEMU with a message, at start only. */
START_TEST(wrong_properties_are_named)
{
    static const struct { const char *properties, *message; } wrong[] = {
        { "size=8M", "size must be 16 MiB" },
        { "size=48M", "power of two" },
        { "slots=0", "slots 1 to 64" },
        { "slots=65", "slots 1 to 64" },
        { "size=16M,slots=64", "slots must fit" },
    };
    char command[768], line[512];

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        bool found = false;
        snprintf(command, sizeof(command), "%s -M " VG_QTEST_MACHINE " -accel qtest -nodefaults "
                 "-display none -device vgpu-stub,%s 2>&1", vg_qtest_binary(), wrong[i].properties);
        FILE *p = popen(command, "r");
        ck_assert_ptr_nonnull(p);
        while (fgets(line, sizeof(line), p))
            found |= strstr(line, wrong[i].message) != NULL;
        int status = pclose(p);
        ck_assert_msg(found, "%s: no message", wrong[i].properties);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vgpu-stub in QEMU");
    TCase *tc = tcase_create("device"), *start = tcase_create("start");

    if (!vg_qtest_binary())
        return 77;
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_set_timeout(start, 60);
    tcase_add_test(tc, configuration_space_names_the_device);
    tcase_add_test(tc, registers_have_their_first_values);
    tcase_add_test(tc, bad_accesses_read_ones_and_are_logged);
    tcase_add_test(tc, bar1_is_the_memory_of_the_mediator);
    tcase_add_test(tc, a_slot_lives_from_claim_to_slot_free);
    tcase_add_test(tc, a_late_mediator_is_found);
    tcase_add_test(tc, a_restarted_mediator_is_found_again);
    tcase_add_test(tc, before_the_chroot_the_root_counts);
    tcase_add_test(tc, a_confined_device_finds_its_mediator);
    tcase_add_test(tc, a_cramped_device_stays_offline);
    tcase_add_test(tc, a_reset_takes_the_slots_back);
    tcase_add_test(tc, a_mad_mediator_is_dropped_and_tried_again);
    tcase_add_test(tc, a_refused_vm_says_so);
    tcase_add_test(tc, a_saved_vm_goes_on_with_its_device);
    tcase_add_test(tc, a_vm_that_computes_is_not_migrated);
    tcase_add_test(tc, a_toolstack_that_says_that_it_leaves_is_heard);
    tcase_add_test(tc, a_vm_that_stays_loses_nothing);
    tcase_add_test(tc, random_accesses_never_end_qemu);
    tcase_add_test(start, wrong_properties_are_named);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, start);
    return vg_test_main(suite);
}
