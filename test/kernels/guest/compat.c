// Calls as 32-bit programs make them, `int 0x80`: `compat CALL PATH [PATH]`, in the directory that it is started in. Made twice:
// as a 32-bit program, without a C library, as a machine that compiles for 64 bits has none for it; and as a 64-bit one that
// calls in this way all the same. What it passes must lie below 4 GiB, as what is static does and the stack of the latter doesn't.
static char first[4096], second[4096];
static struct { unsigned bytes; int type; unsigned char handle[128]; } file = {.bytes = 128};
static struct { unsigned long long flags, mode, resolve; } how;
static int mount_id;

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

static void copy(char *to, const char *from) {
  while ((*to++ = *from++))
    ;
}
static int same(const char *one, const char *other) {
  while (*one && *one == *other) one++, other++;
  return *one == *other;
}

// Numbers: arch/x86/entry/syscalls/syscall_32.tbl.
enum { HERE = -100, WRITE = 1, CREATE = 0100, TRUNCATE = 01000 };
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
  return 0;
}

#ifdef __i386__
__attribute__((used)) static void start(int *stack) {
  main(*stack, (char **)(stack + 1));
  call(1, 0, 0, 0, 0, 0);
}
__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");
#endif
