// Calls as 32-bit programs make them, `int 0x80`: `compat CALL PATH [PATH]`, in the directory that it is started in. Made twice:
// as a 32-bit program, without a C library, as a machine that compiles for 64 bits has none for it; and as a 64-bit one that
// calls in this way all the same. What it passes must lie below 4 GiB, as what is static does and the stack of the latter doesn't.
static char first[4096], second[4096];
static struct { unsigned bytes; int type; unsigned char handle[128]; } file = {.bytes = 128};
static struct { unsigned long long flags, mode, resolve; } how;
static int mount_id;
static struct { unsigned short family; char path[108]; } name = {1};
static struct { unsigned short family, port; unsigned ip; char rest[8]; } place = {2, 53 << 8, 0x0100007f};
static char question[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\4node\7example\0\0\x1c\0\1";
static struct { unsigned type, key, value, entries; char rest[112]; } map = {2, 4, 4, 1};

static long call(long number, long one, long two, long three, long four, long five) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(one), "c"(two), "d"(three), "S"(four), "D"(five)
#ifdef __x86_64__
                   : "memory", "r8", "r9", "r10", "r11");
#else
                   : "memory");
#endif
  return result;
}

// As C libraries do it: one call for all that sockets can do (include/uapi/linux/net.h).
static long by_socketcall(int which, long one, long two, long three) {
  static unsigned list[3];
  list[0] = one, list[1] = two, list[2] = three;
  return call(102, which, (long)list, 0, 0, 0);
}

static void copy(char *to, const char *from) {
  while ((*to++ = *from++))
    ;
}
static int same(const char *one, const char *other) {
  while (*one && *one == *other) one++, other++;
  return *one == *other;
}

// Numbers: arch/x86/entry/syscalls/syscall_32.tbl.
enum { HERE = -100, WRITE = 1, CREATE = 0100, TRUNCATE = 01000, ATTACH = 16, KILL = 9 };
enum { NEW_MOUNTS = 0x20000, NEW_HOST_NAME = 0x4000000 };
#define PASS(text) ((long)(text))

int main(int count, char **arguments) {
  (void)count;
  const char *act = arguments[1];
  copy(first, arguments[2]);
  if (arguments[3]) copy(second, arguments[3]);
  if (same(act, "open")) call(5, PASS(first), 0, 0, 0, 0);
  if (same(act, "creat")) call(8, PASS(first), 0600, 0, 0, 0);
  if (same(act, "openat")) call(295, HERE, PASS(first), WRITE | CREATE | TRUNCATE, 0600, 0);
  if (same(act, "openat2")) call(437, HERE, PASS(first), PASS(&how), sizeof how, 0);
  if (same(act, "handle")) {
    call(341, HERE, PASS(first), PASS(&file), PASS(&mount_id), 0);
    copy(second, ".");
    call(342, call(5, PASS(second), 0, 0, 0, 0), PASS(&file), 0, 0, 0);
  }
  if (same(act, "rename")) call(38, PASS(first), PASS(second), 0, 0, 0);
  if (same(act, "renameat")) call(302, HERE, PASS(first), HERE, PASS(second), 0);
  if (same(act, "unlink")) call(10, PASS(first), 0, 0, 0, 0);
  if (same(act, "mkdirat")) call(296, HERE, PASS(first), 0751, 0, 0);
  if (same(act, "link")) call(9, PASS(first), PASS(second), 0, 0, 0);
  if (same(act, "symlink")) call(83, PASS(first), PASS(second), 0, 0, 0);
  if (same(act, "fchmodat")) call(306, HERE, PASS(first), 04755, 0, 0);
  if (same(act, "fchmod")) call(94, call(5, PASS(first), 0, 0, 0, 0), 0640, 0, 0, 0);
  if (same(act, "chown")) call(212, PASS(first), 12, 34, 0, 0);
  if (same(act, "trace")) {
    long child = call(2, 0, 0, 0, 0, 0);
    if (child == 0) call(29, 0, 0, 0, 0, 0);
    call(26, ATTACH, child, 0, 0, 0);
    call(7, child, 0, 0, 0, 0);
    call(37, child, KILL, 0, 0, 0);
  }
  if (same(act, "unshare")) call(310, NEW_HOST_NAME, 0, 0, 0, 0);
  if (same(act, "mount")) {
    call(310, NEW_MOUNTS, 0, 0, 0, 0);
    copy(second, "tmpfs");
    call(21, PASS(second), PASS(first), PASS(second), 0, 0);
  }
  if (same(act, "memfd")) call(356, PASS(first), 0, 0, 0, 0);
  if (same(act, "bpf")) call(357, 0, PASS(&map), sizeof map, 0, 0);
  if (same(act, "raw")) call(359, 2, 3, 1, 0, 0);
  if (same(act, "connect")) {
    long listener = call(359, 1, 1, 0, 0, 0);
    copy(name.path, first);
    call(361, listener, PASS(&name), sizeof name, 0, 0);
    call(363, listener, 1, 0, 0, 0);
    call(362, call(359, 1, 1, 0, 0, 0), PASS(&name), sizeof name, 0, 0);
  }
  if (same(act, "connect-older")) {
    long listener = by_socketcall(1, 1, 1, 0);
    copy(name.path, first);
    by_socketcall(2, listener, PASS(&name), sizeof name);
    by_socketcall(4, listener, 1, 0);
    by_socketcall(3, by_socketcall(1, 1, 1, 0), PASS(&name), sizeof name);
  }
  if (same(act, "raw-older")) by_socketcall(1, 2, 3, 1);
  if (same(act, "ask")) {
    long fd = call(359, 2, 2, 0, 0, 0);
    call(362, fd, PASS(&place), sizeof place, 0, 0);
    call(4, fd, PASS(question), sizeof question - 1, 0, 0);
  }
  return 0;
}

#ifdef __i386__
__attribute__((used)) static void start(int *stack) {
  main(*stack, (char **)(stack + 1));
  call(1, 0, 0, 0, 0, 0);
}
__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");
#endif
